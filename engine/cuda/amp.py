"""Mixed precision on CUDA, by the names it had before other devices had it (``torch.cuda.amp``)."""

from __future__ import annotations

from engine import amp
from engine.dtypes import dtype as DType
from engine.dtypes import float16


class autocast(amp.autocast):  # noqa: N801 - PyTorch's name
    """``engine.amp.autocast("cuda")``."""

    def __init__(self, enabled: bool = True, dtype: DType = float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """``engine.amp.GradScaler("cuda")``."""

    def __init__(
        self, init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True
    ) -> None:  # fmt: skip
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


__all__ = ["GradScaler", "autocast"]

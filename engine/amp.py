"""Mixed precision (``torch.amp``): products in half precision, losses in single, gradients scaled so that they do not vanish."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from engine.backend import cuda_device_count
from engine.backend import device as Device
from engine.dtypes import bfloat16, float16
from engine.dtypes import dtype as DType
from engine.modes import no_grad, state
from engine.optim.optimizer import Optimizer
from engine.tensor import Tensor

_F = TypeVar("_F", bound=Callable[..., Any])
_DEFAULTS = {"cpu": bfloat16, "cuda": float16}


class autocast:  # noqa: N801 - PyTorch's name
    """Inside, or in the decorated function, matrix products, convolutions and recurrent layers on ``device_type`` compute in ``dtype``
    (bfloat16 on the CPU, float16 on CUDA, unless given), and losses in float32. Parameters stay as they are. Without CUDA, or in another dtype, it
    warns and does nothing, as PyTorch does."""

    def __init__(self, device_type: str, dtype: DType | None = None, enabled: bool = True, cache_enabled: bool | None = None) -> None:
        self.device = Device(device_type).type
        self.dtype = dtype or _DEFAULTS.get(self.device, float16)
        if enabled and self.device == "cuda" and not cuda_device_count():
            warnings.warn("CUDA is not available. Disabling autocast.", stacklevel=2)
            enabled = False
        if enabled and self.dtype not in (bfloat16, float16):
            warnings.warn(
                f"autocast knows bfloat16 and float16, and the target dtype is {self.dtype.name}. Disabling autocast.", stacklevel=2
            )
            enabled = False
        self.enabled = enabled
        self._before: list[dict[str, DType] | None] = []

    def __enter__(self) -> autocast:
        self._before.append(state.autocast)
        others = {k: v for k, v in (state.autocast or {}).items() if k != self.device}
        state.autocast = (others | {self.device: self.dtype} if self.enabled else others) or None
        return self

    def __exit__(self, *exc: object) -> None:
        state.autocast = self._before.pop()

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]  # wraps keeps the signature, which mypy cannot see


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    return device_type in (state.autocast or {})


def get_autocast_dtype(device_type: str) -> DType:
    """What products on the device compute in, or would."""
    return (state.autocast or {}).get(device_type, _DEFAULTS[device_type])


def is_autocast_available(device_type: str) -> bool:
    return device_type in _DEFAULTS


class GradScaler:
    """Multiplies losses so that gradients in float16 do not become zero, and skips steps whose gradients overflowed (Micikevicius et al., 2018).

    The scale starts at ``init_scale``, grows by ``growth_factor`` after ``growth_interval`` steps without overflow and shrinks by ``backoff_factor`` after each with one.
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True
    ) -> None:  # fmt: skip
        if enabled and Device(device).type == "cuda" and not cuda_device_count():
            warnings.warn("GradScaler is enabled, but CUDA is not available. Disabling.", stacklevel=2)
            enabled = False
        if enabled and growth_factor <= 1:
            raise AssertionError(f"The growth factor must be > 1.0, got {growth_factor}")
        if enabled and backoff_factor >= 1:
            raise AssertionError(f"The backoff factor must be < 1.0, got {backoff_factor}")
        self._enabled, self._scale, self._used, self._tracker = enabled, float(init_scale), False, 0
        self._growth, self._backoff, self._interval = growth_factor, backoff_factor, growth_interval
        self._found: dict[Optimizer, bool] = {}  # whether an optimizer's gradients, unscaled since the last update, overflowed
        self._stepped: set[Optimizer] = set()

    def scale(self, outputs: Any) -> Any:
        """A tensor, or tensors in lists and tuples, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            self._used = True
            return outputs * self._scale
        if not isinstance(outputs, Iterable):
            raise ValueError("outputs must be a Tensor or an iterable of Tensors")
        return (list if isinstance(outputs, list) else tuple)(map(self.scale, outputs))

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients of the optimizer's parameters by the scale: before they are clipped, say. Raises RuntimeError when done twice."""
        if not self._enabled:
            return
        self._begun("unscale_")
        if optimizer in self._stepped:
            raise RuntimeError("unscale_() is being called after step().")
        if optimizer in self._found:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        overflowed = False
        with no_grad():
            for p in (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None):
                if p.grad.dtype is float16:
                    raise ValueError("Attempting to unscale FP16 gradients.")
                p.grad.mul_(1 / self._scale)
                overflowed |= not bool(p.grad.isfinite().all())
        self._found[optimizer] = overflowed

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step, on gradients that are unscaled if they were not; None, and no step, where one is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._begun("step")
        if optimizer in self._stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if optimizer not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(optimizer)
        return None if self._found[optimizer] else optimizer.step()

    def update(self, new_scale: Any = None) -> None:
        """Once after the steps of all optimizers: a larger scale, a smaller one, or ``new_scale``."""
        if not self._enabled:
            return
        self._begun("update")
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(self._found.values()):
            self._scale, self._tracker = self._scale * self._backoff, 0
        else:
            self._tracker += 1
            if self._tracker == self._interval:
                grown = self._scale * self._growth
                self._scale, self._tracker = grown if math.isfinite(grown) else self._scale, 0
        self._found, self._stepped = {}, set()

    def _begun(self, what: str) -> None:
        if not self._used:
            raise AssertionError(
                f"Attempted {what} but _scale is None.  This may indicate your script did not use scaler.scale(loss or outputs) earlier in the iteration."
            )

    def is_enabled(self) -> bool:
        return self._enabled

    def get_scale(self) -> float:
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        return self._growth

    def set_growth_factor(self, new_factor: float) -> None:
        self._growth = new_factor

    def get_backoff_factor(self) -> float:
        return self._backoff

    def set_backoff_factor(self, new_factor: float) -> None:
        self._backoff = new_factor

    def get_growth_interval(self) -> int:
        return self._interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Empty where disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth, "backoff_factor": self._backoff, "growth_interval": self._interval,
            "_growth_tracker": self._tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler.")
        self._scale, self._tracker = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        self._growth, self._backoff, self._interval = (state_dict[k] for k in ("growth_factor", "backoff_factor", "growth_interval"))


__all__ = ["GradScaler", "autocast", "get_autocast_dtype", "is_autocast_available", "is_autocast_enabled"]

"""Looking rows up by index."""

from __future__ import annotations

from engine.dispatch import only_recorded
from engine.dtypes import INTEGER, int64
from engine.modes import no_grad
from engine.ops.embedding import rows
from engine.ops.statistics import renorm
from engine.tensor import Tensor


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:  # fmt: skip
    """The rows of ``weight (n, d)`` that ``x (*)`` names: ``(*, d)``; no gradient reaches the row ``padding_idx``."""
    if input.dtype.category > INTEGER or input.dtype.name not in ("int64", "int32"):
        raise RuntimeError(
            f"Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got {input.dtype.legacy_name} instead"
        )
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    n = weight.shape[0]
    if padding_idx is not None and not -n <= padding_idx < n:
        raise AssertionError("Padding_idx must be within num_embeddings")
    if max_norm is not None:
        with no_grad():
            used = input.reshape(-1).unique()
            weight[used] = renorm(weight.detach()[used], norm_type, 0, max_norm)
    y = rows(weight, input, None if padding_idx is None else padding_idx % n)
    if scale_grad_by_freq:
        times = input.reshape(-1).bincount(minlength=n)[input].unsqueeze(-1).to(y.dtype)
        y = y / times + (y - y / times).detach()
    return y


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Ones where the index points: ``(*)`` int64 to ``(*, num_classes)`` int64."""
    if tensor.dtype is not int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    recorded = only_recorded() and num_classes > 0  # the scatter has an error of its own
    least, most = (int(tensor.min()), int(tensor.max())) if tensor.numel() and not recorded else (0, -1)
    if least < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = most + 1
    elif num_classes < 1 and tensor.numel():
        raise RuntimeError("num_classes should be positive")
    if num_classes <= most:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return tensor.new_zeros((*tensor.shape, num_classes)).scatter(-1, tensor.unsqueeze(-1), 1)


__all__ = ["embedding", "one_hot"]

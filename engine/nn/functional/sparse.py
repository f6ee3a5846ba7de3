"""Looking rows up by index."""

from __future__ import annotations

from engine.creation import arange
from engine.dispatch import only_recorded
from engine.dtypes import INTEGER, int64
from engine.modes import no_grad
from engine.ops.embedding import bags as sum_bags
from engine.ops.embedding import rows
from engine.ops.order import searchsorted
from engine.ops.statistics import renorm
from engine.tensor import Tensor


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:  # fmt: skip
    """The rows of ``weight (n, d)`` that ``x (*)`` names: ``(*, d)``; no gradient reaches the row ``padding_idx``."""
    n = _checked(input, weight, padding_idx)
    if max_norm is not None:
        with no_grad():
            used = input.reshape(-1).unique()
            weight[used] = renorm(weight.detach()[used], norm_type, 0, max_norm)
    y = rows(weight, input, None if padding_idx is None else padding_idx % max(n, 1))
    if scale_grad_by_freq:
        times = input.reshape(-1).bincount(minlength=n)[input].unsqueeze(-1).to(y.dtype)
        y = y / times + (y - y / times).detach()
    return y


def _checked(input: Tensor, weight: Tensor, padding_idx: int | None) -> int:
    """How many rows ``weight`` has. Raises for indices, a weight or a padding that cannot be."""
    if input.dtype.category > INTEGER or input.dtype.name not in ("int64", "int32"):
        raise RuntimeError(
            f"Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got {input.dtype.legacy_name} instead"
        )
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    n = weight.shape[0]
    if padding_idx and not -n <= padding_idx < n:  # 0 is none where there are no rows
        raise AssertionError("Padding_idx must be within num_embeddings")
    return n


def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None, norm_type: float = 2, scale_grad_by_freq: bool = False,
    mode: str = "mean", sparse: bool = False, per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """The sum, mean or maximum of the rows of ``weight (n, d)`` that each bag names: ``(bags, d)``; an empty bag gives zeros.

    Bags are the rows of ``input (bags, length)``, or begin at ``offsets (bags)`` within ``input (indices)``. Rows of ``padding_idx`` do not count.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if input.ndim not in (1, 2):
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(
                f"embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got mode='{mode}')."
            )
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, it must have the same shape as the input ({list(input.shape)})"
            )
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences. However, found offsets of type Tensor"
            )
        bags, length = input.shape
        starts = arange(bags, device=input.device) * length
    else:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        if len(offsets) and not only_recorded() and int(offsets[0]) != 0:
            raise RuntimeError(
                f"offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got {int(offsets[0])}"
            )
        starts = offsets[:-1] if include_last_offset else offsets
        bags = len(starts)
    index = input.reshape(-1)
    if mode != "max" and max_norm is None and per_sample_weights is None and not scale_grad_by_freq and index.numel():
        n = _checked(index, weight, padding_idx)
        return sum_bags(weight, index, starts, mode == "mean", None if padding_idx is None else padding_idx % max(n, 1))
    if input.ndim == 2:
        bag = arange(bags, device=input.device).repeat_interleave(input.shape[1])
    else:
        bag = searchsorted(starts.to(int64), arange(len(index), device=input.device), right=True) - 1
    found = embedding(index, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    counts = None if padding_idx is None else index != padding_idx % max(len(weight), 1)
    if mode == "max":
        least = float("-inf")
        found = found if counts is None else found.masked_fill(~counts.unsqueeze(1), least)
        top = found.new_full((bags, found.shape[1]), least).scatter_reduce(0, bag.unsqueeze(1).expand(found.shape), found, "amax")
        return top.masked_fill(top == least, 0)
    if per_sample_weights is not None:
        found = found * per_sample_weights.reshape(-1, 1)
    if counts is not None:
        found = found.masked_fill(~counts.unsqueeze(1), 0)
    total = found.new_zeros(bags, found.shape[1]).index_add(0, bag, found)
    if mode == "sum":
        return total
    sizes = total.new_zeros(bags).index_add(0, bag, found.new_ones(len(index)) if counts is None else counts.to(total.dtype))
    return total / sizes.clamp(min=1).unsqueeze(1)


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


__all__ = ["embedding", "embedding_bag", "one_hot"]

"""Sparse matrices in coordinate form: what graph networks multiply by (``torch.sparse``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.creation import as_tensor
from engine.dtypes import dtype as DType
from engine.dtypes import int64
from engine.ops.index import spread
from engine.ops.join import stack
from engine.tensor import Size, Tensor


class SparseTensor:
    """Values ``(n,)`` at places ``indices (d, n)``, zeros elsewhere; a place named twice holds the sum. Gradients reach the values."""

    is_sparse = True

    def __init__(self, indices: Tensor, values: Tensor, size: Sequence[int]) -> None:
        if indices.ndim != 2 or indices.shape[0] != len(size) or indices.shape[1] != values.shape[0]:
            raise RuntimeError(
                f"sparse_coo_tensor: expected indices ({len(size)}, {values.shape[0]}) for {values.shape[0]} values and the size {list(size)}, got {list(indices.shape)}"
            )
        for d, n in enumerate(size):
            row = indices[d]
            if row.numel() and not (int(row.min()) >= 0 and int(row.max()) < n):
                raise RuntimeError(f"size is inconsistent with indices: for dim {d}, size is {n} but found index {int(row.max())}")
        self._places, self._elements, self.shape = indices, values, Size(size)

    @property
    def dtype(self) -> DType:
        return self._elements.dtype

    @property
    def device(self) -> Any:
        return self._elements.device

    @property
    def requires_grad(self) -> bool:
        return self._elements.requires_grad

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def indices(self) -> Tensor:
        return self._places

    def values(self) -> Tensor:
        return self._elements

    _indices, _values = indices, values

    def _nnz(self) -> int:
        return self._elements.shape[0]

    def coalesce(self) -> SparseTensor:
        """The same with each place named once, in order."""
        flat = self._places[0]
        for d in range(1, len(self.shape)):
            flat = flat * self.shape[d] + self._places[d]
        places, inverse = flat.unique(return_inverse=True)
        values = self._elements.new_zeros(places.shape[0]).index_add(0, inverse, self._elements)
        rows = []
        for n in reversed(self.shape[1:]):
            rows.append(places % n)
            places = places.div(n, rounding_mode="floor")
        return SparseTensor(stack([places, *reversed(rows)]), values, self.shape)

    def to_dense(self) -> Tensor:
        return spread(self._elements, tuple(self._places[d] for d in range(len(self.shape))), tuple(self.shape))

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        values = self._elements.to(*args, **kwargs)
        return SparseTensor(self._places.to(values.device), values, self.shape)

    def cuda(self) -> SparseTensor:
        return self.to("cuda")

    def cpu(self) -> SparseTensor:
        return self.to("cpu")

    def t(self) -> SparseTensor:
        if len(self.shape) != 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, got {len(self.shape)}")
        return SparseTensor(self._places.flip(0), self._elements, self.shape[::-1])

    def mm(self, other: Tensor) -> Tensor:
        return mm(self, other)

    def __matmul__(self, other: Tensor) -> Tensor:
        return mm(self, other) if other.ndim > 1 else mm(self, other.unsqueeze(1)).squeeze(1)

    def __repr__(self) -> str:
        return f"tensor(indices={self._places},\n       values={self._elements},\n       size={tuple(self.shape)}, nnz={self._nnz()}, layout=torch.sparse_coo)"


def sparse_coo_tensor(
    indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> SparseTensor:
    """A sparse tensor from its places ``(d, n)`` and values ``(n,)``; without ``size``, just large enough."""
    places = as_tensor(indices, int64, device)
    elements = as_tensor(values, dtype, device)
    shape = [int(row.max()) + 1 for row in places] if size is None else size
    return SparseTensor(places, elements.requires_grad_() if requires_grad else elements, shape)


def to_sparse(x: Tensor) -> SparseTensor:
    """The elements of a dense tensor that are not zero."""
    places = x.detach().nonzero(as_tuple=True)
    return SparseTensor(stack(places), x[places], x.shape)


def mm(a: SparseTensor, b: Tensor) -> Tensor:
    """A sparse matrix times a dense one, ``(n, k) (k, m)`` to ``(n, m)``."""
    if not isinstance(a, SparseTensor):
        return a.mm(b)
    if len(a.shape) != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a.shape))} and {'x'.join(map(str, b.shape))})")
    rows, columns = a.indices()
    return spread(a.values().unsqueeze(1) * b[columns], (rows,), (a.shape[0], b.shape[1]))


spmm = mm


def FloatTensor(indices: Tensor, values: Tensor, size: Sequence[int]) -> SparseTensor:
    """``torch.sparse.FloatTensor``, as older programs call it."""
    return sparse_coo_tensor(indices, values.float(), size)


Tensor.to_sparse = to_sparse  # type: ignore[attr-defined]  # the only method that makes something else than a tensor
Tensor.is_sparse = False  # type: ignore[attr-defined]  # as above

"""Sequences of different lengths one step of time after the other, without padding (``torch.nn.utils.rnn.PackedSequence``).

Sequences are sorted, the longest first: step t holds the elements of the first ``batch_sizes[t]`` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine import dtypes
from engine.creation import tensor
from engine.ops.order import argsort
from engine.ops.select import index_copy, index_select
from engine.tensor import Tensor


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


class PackedSequence(_Fields):
    """``data`` is ``(sum of lengths, *)``, ``batch_sizes`` int64 on the CPU; ``sorted_indices`` says in which order the sequences were given,
    ``unsorted_indices`` leads back. Made by ``pack_padded_sequence`` and ``pack_sequence``."""

    __slots__ = ()

    def __new__(
        cls, data: Tensor, batch_sizes: Tensor | None = None, sorted_indices: Tensor | None = None, unsorted_indices: Tensor | None = None
    ) -> PackedSequence:
        if batch_sizes is None:
            raise ValueError("PackedSequence needs batch_sizes: pack_padded_sequence and pack_sequence make it")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With ``data`` in another dtype or on another device."""
        data = self.data.to(*args, **kwargs)
        order = [None if i is None else i.to(data.device) for i in (self.sorted_indices, self.unsorted_indices)]
        return PackedSequence(data, self.batch_sizes, *order)

    def cpu(self) -> PackedSequence:
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> PackedSequence:
        return self.to(device)

    def double(self) -> PackedSequence:
        return self.to(dtypes.float64)

    def float(self) -> PackedSequence:
        return self.to(dtypes.float32)

    def half(self) -> PackedSequence:
        return self.to(dtypes.float16)

    def long(self) -> PackedSequence:
        return self.to(dtypes.int64)

    def int(self) -> PackedSequence:
        return self.to(dtypes.int32)

    @property
    def is_cuda(self) -> bool:
        return self.data.is_cuda

    # -- for layers

    def lengths(self) -> np.ndarray[Any, Any]:
        """How long each sequence is, the longest first."""
        sizes = self.batch_sizes.numpy()
        return np.asarray((sizes > np.arange(sizes[0])[:, None]).sum(1))

    def padded(self, value: Any = 0.0, steps: Any = None) -> Tensor:
        """``(L, N, *)``, ``value`` where a sequence is over; in the order of ``data``."""
        sizes = self.batch_sizes.numpy()
        count, steps = int(sizes[0]), len(sizes) if steps is None else steps
        rows = self.data.new_full((steps * count, *self.data.shape[1:]), value)
        return index_copy(rows, 0, self.places(), self.data).reshape(steps, count, *self.data.shape[1:])

    def places(self) -> Tensor:
        """Where each element of ``data`` lies among the ``L * N`` of the padded sequences."""
        sizes = self.batch_sizes.numpy()
        return tensor(np.concatenate([t * sizes[0] + np.arange(n) for t, n in enumerate(sizes)]), device=self.data.device)

    def ends(self) -> Tensor:
        """Which of the ``L * N`` are the sequences' last elements."""
        lengths = self.lengths()
        return tensor((lengths - 1) * len(lengths) + np.arange(len(lengths)), device=self.data.device)

    def backwards(self) -> Tensor:
        """For each of the ``L * N``, which lies there when each sequence is turned round and its padding stays."""
        lengths, steps = self.lengths(), np.arange(len(self.batch_sizes))[:, None]
        turned = np.where(steps < lengths, lengths - 1 - steps, steps) * len(lengths) + np.arange(len(lengths))
        return tensor(turned.ravel(), device=self.data.device)


def _batch_sizes(lengths: np.ndarray[Any, Any]) -> Tensor:
    """How many sequences have an element at each step; ``lengths`` are sorted, the longest first."""
    return tensor((lengths > np.arange(lengths[0])[:, None]).sum(1), device="cpu")


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    return None if permutation is None else argsort(permutation)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Padded sequences ``(L, N, *)``, or ``(N, L, *)`` with ``batch_first``, without what lies behind each one's length.

    Raises RuntimeError for lengths that are not positive, longer than L, or, with ``enforce_sorted``, not in decreasing order.
    """
    if input.ndim < 2:
        raise IndexError(f"Dimension out of range: sequences are (L, N, *), got {list(input.shape)}")
    rows = input.transpose(0, 1) if batch_first else input
    sizes = np.asarray(lengths.detach().cpu().numpy() if isinstance(lengths, Tensor) else [int(n) for n in lengths], np.int64)
    steps, count = rows.shape[:2]
    if len(sizes) != count:
        raise RuntimeError(f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} (batch_size={count})")
    if (sizes <= 0).any():
        raise RuntimeError("Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0")
    if (sizes > steps).any():
        raise RuntimeError(f"Expected lengths of at most {steps}, which the padded sequences have, got {int(sizes.max())}")
    order = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise RuntimeError(
                "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass `enforce_sorted=False` to "
                "pack_padded_sequence and/or pack_sequence to sidestep this requirement."
            )
    else:
        by_length = np.argsort(-sizes, kind="stable")
        sizes, order = sizes[by_length], tensor(by_length, device=input.device)
        rows = index_select(rows, 1, order)
    packed = PackedSequence(rows, _batch_sizes(sizes), order)
    return packed._replace(data=index_select(rows.reshape(steps * count, *rows.shape[2:]), 0, packed.places()))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The sequences padded with ``padding_value``, and their lengths, in the order in which they were packed."""
    longest = len(sequence.batch_sizes)
    if total_length is not None and total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, but got "
            f"total_length={total_length} and max sequence length being {longest}"
        )
    rows, lengths = sequence.padded(padding_value, total_length), tensor(sequence.lengths(), device="cpu")
    if sequence.unsorted_indices is not None:
        rows, lengths = index_select(rows, 1, sequence.unsorted_indices), lengths[sequence.unsorted_indices.cpu()]
    return rows.transpose(0, 1) if batch_first else rows, lengths


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences, in the order in which they were packed."""
    rows, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return [row[:n] for row, n in zip(rows, lengths.tolist(), strict=True)]


__all__ = ["PackedSequence", "invert_permutation", "pack_padded_sequence", "pad_packed_sequence", "unpack_sequence"]

"""Sequences of different lengths as one tensor (``torch.nn.utils.rnn``)."""

from __future__ import annotations

from collections.abc import Sequence

from engine.nn.packed import PackedSequence, invert_permutation, pack_padded_sequence, pad_packed_sequence, unpack_sequence
from engine.ops.join import stack
from engine.ops.pad import pad
from engine.tensor import Tensor


def pad_sequence(sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right") -> Tensor:
    """Sequences ``(L_i, *)`` padded to the longest: ``(L, N, *)``, or ``(N, L, *)`` with ``batch_first``."""
    if not len(sequences):
        raise RuntimeError("pad_sequence: received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side must be 'left' or 'right', got {padding_side!r}")
    longest = max(s.shape[0] for s in sequences)

    def padded(s: Tensor) -> Tensor:
        missing = longest - s.shape[0]
        return pad(s, [0, 0] * (s.ndim - 1) + ([missing, 0] if padding_side == "left" else [0, missing]), value=padding_value)

    return stack([padded(s) for s in sequences], 0 if batch_first else 1)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences ``(L_i, *)`` without padding; with ``enforce_sorted`` the longest comes first."""
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences without their padding."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[:n] for row, n in zip(rows, lengths.tolist(), strict=True)]


__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence", "unpack_sequence",
    "unpad_sequence",
]  # fmt: skip

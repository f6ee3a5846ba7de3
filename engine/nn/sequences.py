"""Sequences as specs have them: batch first, one tensor out, padding left out of account where lengths say so."""

from __future__ import annotations

from typing import Any, Literal

from engine.creation import arange
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.nn.recurrent import GRU, LSTM, RNN, RNNBase
from engine.ops.elementwise import where
from engine.ops.join import cat
from engine.tensor import Tensor

Pool = Literal["none", "last", "mean", "max"]


class Padding:
    """Which elements of padded sequences ``(L, N, *)`` count, by their ``lengths (N,)``, as tensors: nothing is read, so that a step can be recorded."""

    def __init__(self, lengths: Tensor, steps: int) -> None:
        self.lengths, self._steps = lengths.clamp(1, steps), steps
        self._order = arange(len(lengths), device=lengths.device)
        self._time = arange(steps, device=lengths.device).unsqueeze(1)

    def counts(self) -> Tensor:
        """``(L, N)``: true up to each sequence's end."""
        return self._time < self.lengths

    def ends(self) -> Tensor:
        """Which of the ``L * N`` are the sequences' last elements."""
        return (self.lengths - 1) * len(self._order) + self._order

    def backwards(self) -> Tensor:
        """For each of the ``L * N``, which lies there when each sequence is turned round and its padding stays."""
        turned = where(self.counts(), self.lengths - 1 - self._time, self._time.expand(self._steps, len(self._order)))
        return (turned * len(self._order) + self._order).reshape(-1)


def check_sequences(x: Tensor, who: str) -> None:
    """Raises ValueError for what is no batch of sequences ``(N, L, C)``."""
    if x.ndim != 3:
        raise ValueError(f"{who} takes sequences (N, L, C), got {x.ndim} dimensions {list(x.shape)}")


def check_lengths(lengths: Tensor, x: Tensor, who: str) -> None:
    """Raises ValueError for what is not one length for each sample."""
    if lengths.ndim != 1 or len(lengths) != len(x) or lengths.dtype.is_floating_point:
        raise ValueError(f"{who} takes one whole number a sample as lengths, got {list(lengths.shape)} of {lengths.dtype.name}")


def zero_padded_lengths(x: Tensor) -> Tensor:
    """How long the sequences ``(N, L, C)`` are up to the zero vectors at their ends."""
    there = (x != 0).any(-1)
    return (there * arange(1, x.shape[1] + 1, device=x.device)).amax(1)


def pooled(y: Tensor, pool: Pool, padding: Padding | None) -> Tensor:
    """Sequences ``(L, N, C)`` as one vector each ``(N, C)``; with ``none`` batch first ``(N, L, C)``, zeros for padding."""
    if pool == "last":
        return y[-1] if padding is None else y.reshape(-1, y.shape[-1])[padding.ends()]
    counts = None if padding is None else padding.counts().unsqueeze(-1)
    if pool == "max":
        return (y if counts is None else y.masked_fill(~counts, float("-inf"))).amax(0)
    y = y if counts is None else y.masked_fill(~counts, 0)
    if pool == "mean":
        return y.mean(0) if padding is None else y.sum(0) / padding.lengths.unsqueeze(-1).to(y.dtype)
    return y.transpose(0, 1)


class SequencePool(Module):
    """One vector for each sequence: ``(N, L, C)``, with ``lengths (N,)`` where they differ, to ``(N, C)``.

    ``zero_padded``: sequences end where nothing but zero vectors follow.
    """

    spec_facts = Facts(inputs=("input", "lengths"))

    def __init__(self, pool: Literal["last", "mean", "max"] = "mean", zero_padded: bool = False) -> None:
        super().__init__()
        self.pool: Pool = pool
        self.zero_padded = zero_padded

    def forward(self, input: Tensor, lengths: Tensor | None = None) -> Tensor:
        return pooled(input.transpose(0, 1), self.pool, _padding(self, input, lengths))

    def extra_repr(self) -> str:
        return f"{self.pool!r}, zero_padded={self.zero_padded}"


class SequenceLengths(Module):
    """The lengths ``(N,)`` of sequences of tokens ``(N, L)`` that end with the token ``padding_idx``."""

    spec_facts = Facts(takes="indices")

    def __init__(self, padding_idx: int = 0) -> None:
        super().__init__()
        self.padding_idx = padding_idx

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 2:
            raise ValueError(f"SequenceLengths takes tokens (N, L), got {input.ndim} dimensions {list(input.shape)}")
        return ((input != self.padding_idx) * arange(1, input.shape[1] + 1, device=input.device)).amax(1)

    def extra_repr(self) -> str:
        return f"padding_idx={self.padding_idx}"


def _padding(layer: Any, input: Tensor, lengths: Tensor | None) -> Padding | None:
    """What the lengths say that are given, or those that a layer reads off its input."""
    name = type(layer).spec_facts.name or type(layer).__name__
    check_sequences(input, name)
    if lengths is None:
        return Padding(zero_padded_lengths(input), input.shape[1]) if layer.zero_padded else None
    check_lengths(lengths, input, name)
    return Padding(lengths, input.shape[1])


class _Sequence(RNNBase):
    """A recurrent layer over ``(N, L, input_size)`` whose output is one tensor: its last state ``(N, D hidden)`` (of both directions, where there are two),
    the mean or the maximum of its outputs over time, or with ``pool`` "none" all of them ``(N, L, D hidden)``.

    ``lengths (N,)`` says how long each sequence is; with ``zero_padded`` sequences end where nothing but zero vectors follow, as those of an ``Embedding`` with a
    ``padding_idx``.
    """

    def __init__(
        self, *args: Any, batch_first: Literal[True] = True, pool: Pool = "last", zero_padded: bool = False, **options: Any
    ) -> None:
        super().__init__(*args, **{**options, "batch_first": batch_first})
        self.pool: Pool = pool
        self.zero_padded = zero_padded

    def forward(self, input: Any, lengths: Any = None) -> Any:
        padding = _padding(self, input, lengths)
        self._check(input, None)
        y, ends = self._layers(input.transpose(0, 1), None, padding)
        if self.pool != "last":
            return pooled(y, self.pool, padding)
        states = ends[0]
        return cat([states[-2], states[-1]], -1) if self.bidirectional else states[-1]

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pool={self.pool!r}" + (", zero_padded=True" if self.zero_padded else "")


def _facts(name: str) -> Facts:
    return Facts(name=name, inputs=("input", "lengths"), infers={"input_size": (0, -1)})


class SequenceRNN(_Sequence, RNN):
    """``RNN`` in specs."""

    spec_facts = _facts("RNN")


class SequenceLSTM(_Sequence, LSTM):
    """``LSTM`` in specs."""

    spec_facts = _facts("LSTM")


class SequenceGRU(_Sequence, GRU):
    """``GRU`` in specs."""

    spec_facts = _facts("GRU")

"""Recurrent layers over sequences, and their cells, which are layers of one step (engine.ops.recurrent)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from engine.creation import empty
from engine.dtypes import dtype as DType
from engine.modes import state as mode
from engine.nn import functional as F
from engine.nn import init
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.nn.packed import PackedSequence
from engine.nn.parameter import Parameter
from engine.ops.join import cat, stack
from engine.ops.linalg import linear
from engine.ops.recurrent import gru, lstm, lstm_step, rnn
from engine.ops.select import index_select
from engine.tensor import Tensor

State = tuple[Tensor, ...]


class _Ends(Protocol):
    """What layers have to know of padded sequences ``(L, N, *)``, as indices of their ``L * N`` elements."""

    def ends(self) -> Tensor: ...
    def backwards(self) -> Tensor: ...


def _rows(x: Tensor, index: Tensor, shape: Sequence[int]) -> Tensor:
    """Of the ``L * N`` rows those that the index names."""
    return index_select(x.reshape(-1, x.shape[-1]), 0, index).reshape(shape)


class _Recurrent(Module):
    """What layers and cells share: the weights ``(gates * hidden, in)``, ``(gates * hidden, hidden)`` and two biases."""

    gates = 1
    states = 1

    def _weights(self, suffix: str, in_size: int, hidden: int, bias: bool, device: Any, dtype: DType | None, proj: int = 0) -> None:
        rows = self.gates * hidden
        shapes = {
            f"weight_ih{suffix}": (rows, in_size),
            f"weight_hh{suffix}": (rows, proj or hidden),
            **({f"bias_ih{suffix}": (rows,), f"bias_hh{suffix}": (rows,)} if bias else {}),
            **({f"weight_hr{suffix}": (proj, hidden)} if proj else {}),
        }
        for name, shape in shapes.items():
            self.register_parameter(name, Parameter(empty(*shape, device=device, dtype=dtype)))

    def reset_parameters(self) -> None:
        """All uniform within ``1 / sqrt(hidden_size)``."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _through_time(self, x: Tensor, state: State, w: Tensor, b: Tensor | None, reverse: bool = False) -> State:
        """The states after each step, from what the inputs add to them."""
        raise NotImplementedError


class RNNBase(_Recurrent):
    """Layers over whole sequences ``(L, N, in)``, or ``(N, L, in)`` with ``batch_first``, or ``(L, in)``."""

    spec_facts = Facts(excluded="returns its states beside its outputs: the layer of this type in specs yields one tensor")

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        proj_size: int = 0, device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(size, int):
                raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
            if size <= 0:
                raise ValueError(f"{name} must be greater than zero, got {size}")
        for name, flag in (("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
        if proj_size and (self.states == 1 or not 0 <= proj_size < hidden_size):
            raise ValueError(f"proj_size is for LSTM, and has to be smaller than hidden_size and not negative, got {proj_size}")
        if not 0 <= dropout <= 1:
            raise ValueError(
                f"dropout should be a number in range [0, 1] representing the probability of an element being zeroed, got {dropout}"
            )
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional, self.proj_size = batch_first, dropout, bidirectional, proj_size
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                width = input_size if layer == 0 else (proj_size or hidden_size) * len(self._suffixes(0))
                self._weights(suffix, width, hidden_size, bias, device, dtype, proj_size)
        self.reset_parameters()

    def flatten_parameters(self) -> None:
        """Nothing: there is no other layout of the weights to bring them into."""

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"] if self.bidirectional else [f"_l{layer}"]

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """The last layer's output at every step, and the last state of every layer ``(layers * directions, N, hidden)``; of a PackedSequence, packed."""
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        self._check(input, hx)
        batched = input.ndim == 3
        x = input.unsqueeze(1) if not batched else input.transpose(0, 1) if self.batch_first else input
        given = None if hx is None else tuple(s if batched else s.unsqueeze(1) for s in (hx if isinstance(hx, tuple) else (hx,)))
        y, ends = self._layers(x, given)
        y = y.squeeze(1) if not batched else y.transpose(0, 1) if self.batch_first else y
        ends = ends if batched else tuple(s.squeeze(1) for s in ends)
        return y, ends if self.states > 1 else ends[0]

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """Over padded sequences, each up to its end."""
        x = input.padded()
        given = None if hx is None else hx if isinstance(hx, tuple) else (hx,)
        self._check(x.transpose(0, 1) if self.batch_first else x, hx)
        if given is not None and input.sorted_indices is not None:
            given = tuple(index_select(s, 1, input.sorted_indices) for s in given)
        y, ends = self._layers(x, given, input)
        if input.unsorted_indices is not None:
            ends = tuple(index_select(s, 1, input.unsorted_indices) for s in ends)
        data = index_select(y.reshape(-1, y.shape[-1]), 0, input.places())
        return input._replace(data=data), ends if self.states > 1 else ends[0]

    def _layers(self, input: Tensor, given: State | None, packed: _Ends | None = None) -> tuple[Tensor, State]:
        """``(L, N, in)`` through all layers, from the states ``given``, or zeros."""
        if given is None:
            count, widths = self.num_layers * len(self._suffixes(0)), (self.proj_size or self.hidden_size, self.hidden_size)
            given = tuple(input.new_zeros(count, input.shape[1], w) for w in widths[: self.states])
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes(layer):
                start = tuple(s[len(last)] for s in given)
                reverse = suffix.endswith("_reverse")
                if packed is None:
                    states = self._scan(input, start, suffix, reverse)
                    last.append(tuple(s[0 if reverse else -1] for s in states))
                    outputs.append(states[0])
                    continue
                states = self._scan(_rows(input, packed.backwards(), input.shape) if reverse else input, start, suffix, False)
                last.append(tuple(_rows(s, packed.ends(), s.shape[1:]) for s in states))
                outputs.append(_rows(states[0], packed.backwards(), states[0].shape) if reverse else states[0])
            input = cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if self.dropout and layer < self.num_layers - 1:
                input = F.dropout(input, self.dropout, self.training)
        return input, tuple(stack([s[i] for s in last]) for i in range(self.states))

    def _check(self, input: Tensor, hx: Any) -> None:
        """Raises for an input or a state that does not fit, with PyTorch's types of error."""
        name = type(self).__name__
        if input.dtype is not self.weight_ih_l0.dtype and not mode.autocast:
            raise ValueError(
                f"{name} input dtype ({input.dtype}) does not match weight dtype ({self.weight_ih_l0.dtype}). Convert input: input.to({self.weight_ih_l0.dtype}), or convert model: model.to({input.dtype})"
            )
        if input.ndim not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}")
        if input.shape[0 if input.ndim == 2 or not self.batch_first else 1] == 0:
            raise RuntimeError(f"Expected sequence length to be larger than 0 in RNN, got an input of size {list(input.shape)}")
        if hx is None:
            return
        given = hx if isinstance(hx, tuple) else (hx,)
        batch = () if input.ndim == 2 else (input.shape[0 if self.batch_first else 1],)
        count = self.num_layers * len(self._suffixes(0))
        for i, s in enumerate(given):
            if s.ndim != input.ndim:
                raise RuntimeError(
                    f"For {'batched 3-D' if batch else 'unbatched 2-D'} input, hx should also be {input.ndim}-D but got {s.ndim}-D tensor"
                )
            expected = (count, *batch, self.hidden_size if i or not self.proj_size else self.proj_size)
            if tuple(s.shape) != expected:
                raise RuntimeError(f"Expected hidden[{i}] size {expected}, got {list(s.shape)}")

    def _scan(self, x: Tensor, state: State, suffix: str, reverse: bool) -> State:
        """The states after each step of one layer in one direction: the inputs of all steps are multiplied at once."""
        w, b = getattr(self, f"weight_hh{suffix}"), getattr(self, f"bias_hh{suffix}") if self.bias else None
        projected = linear(x, getattr(self, f"weight_ih{suffix}"), getattr(self, f"bias_ih{suffix}") if self.bias else None)
        if self.proj_size:
            return self._projected(projected, state, w, b, getattr(self, f"weight_hr{suffix}"), reverse)
        return self._through_time(projected, state, w, b, reverse)

    def _projected(self, x: Tensor, state: State, w: Tensor, b: Tensor | None, project: Tensor, reverse: bool) -> State:
        """The same where ``h`` is projected between steps (Sak et al., 2014)."""
        h, c = state
        states: list[State] = []
        for t in range(len(x)):
            h, c = lstm_step(x[len(x) - 1 - t if reverse else t], linear(h, w, b), c)
            h = linear(h, project)
            states.append((h, c))
        return tuple(stack(list(s)[::-1] if reverse else list(s)) for s in zip(*states, strict=True))

    def extra_repr(self) -> str:
        options = (("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0.0), ("bidirectional", False))
        projected = f", proj_size={self.proj_size}" if self.proj_size else ""
        return f"{self.input_size}, {self.hidden_size}{projected}" + "".join(
            f", {n}={getattr(self, n)}" for n, default in options if getattr(self, n) != default
        )


class RNN(RNNBase):
    """``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or with relu (Elman, 1990)."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: Literal["tanh", "relu"] = "tanh", bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype)
        self.nonlinearity = nonlinearity

    def _through_time(self, x: Tensor, state: State, w: Tensor, b: Tensor | None, reverse: bool = False) -> State:
        return (rnn(x, w, state[0], b, self.nonlinearity, reverse),)


class LSTM(RNNBase):
    """Long short-term memory; the state is the pair (h, c)."""

    gates, states = 4, 2

    def _through_time(self, x: Tensor, state: State, w: Tensor, b: Tensor | None, reverse: bool = False) -> State:
        return lstm(x, w, state[0], state[1], b, reverse)


class GRU(RNNBase):
    """Gated recurrent units."""

    gates = 3

    def _through_time(self, x: Tensor, state: State, w: Tensor, b: Tensor | None, reverse: bool = False) -> State:
        return (gru(x, w, state[0], b, reverse),)


class RNNCellBase(_Recurrent):
    """One step for ``(N, in)`` or ``(in)``."""

    spec_facts = Facts(excluded="one step of a recurrence: the layer over whole sequences is in specs")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: DType | None = None) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self._weights("", input_size, hidden_size, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {input.shape[-1]}, expected {self.input_size}")
        given: State = (
            (input.new_zeros(*input.shape[:-1], self.hidden_size),) * self.states if hx is None else hx if isinstance(hx, tuple) else (hx,)
        )
        for i, s in enumerate(given):
            if s.ndim not in (1, 2):
                raise ValueError(
                    f"{name}: Expected {'hx' if self.states > 1 else 'hidden'}{f'[{i}]' if self.states > 1 else ''} to be 1D or 2D, got {s.ndim}D instead"
                )
            if s.shape[-1] != self.hidden_size or s.shape[:-1] != input.shape[:-1]:
                raise RuntimeError(
                    f"hidden{i} has inconsistent hidden_size or batch: got {list(s.shape)}, expected {[*input.shape[:-1], self.hidden_size]}"
                )
        projected = linear(input, self.weight_ih, self.bias_ih if self.bias else None)
        if input.ndim == 1:
            projected, given = projected.unsqueeze(0), tuple(s.unsqueeze(0) for s in given)
        new = self._through_time(projected, given, self.weight_hh, self.bias_hh if self.bias else None)
        new = new if input.ndim == 2 else tuple(s.squeeze(0) for s in new)
        return new if self.states > 1 else new[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of an ``RNN``."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: Literal["tanh", "relu"] = "tanh", device: Any = None, dtype: DType | None = None
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def _through_time(self, x: Tensor, state: State, w: Tensor, b: Tensor | None, reverse: bool = False) -> State:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return (rnn(x, w, state[0], b, self.nonlinearity),)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an ``LSTM``: (h, c) to (h, c)."""

    gates, states = 4, 2

    def _through_time(self, x: Tensor, state: State, w: Tensor, b: Tensor | None, reverse: bool = False) -> State:
        return lstm(x, w, state[0], state[1], b, reverse)


class GRUCell(RNNCellBase):
    """One step of a ``GRU``."""

    gates = 3

    def _through_time(self, x: Tensor, state: State, w: Tensor, b: Tensor | None, reverse: bool = False) -> State:
        return (gru(x, w, state[0], b, reverse),)

"""Packed sequences, and recurrent layers over them, beside PyTorch's."""

from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"nonlinearity": "relu"}), ("GRU", {"batch_first": True, "bias": False}), ("GRU", {"bidirectional": True}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}), ("LSTM", {"proj_size": 3, "bidirectional": True, "batch_first": True}),
]  # fmt: skip


def outcome(lib: Any, layer: Any, x: Any, lengths: list[int], enforce_sorted: bool, hx: tuple[Any, ...]) -> tuple[list[Any], Any]:
    rnn = lib.nn.utils.rnn
    packed = rnn.pack_padded_sequence(x, lib.tensor(lengths), layer.batch_first, enforce_sorted)
    y, ends = layer(packed, hx if len(hx) > 1 else hx[0] if hx else None)
    ends = ends if isinstance(ends, tuple) else (ends,)
    padded, counted = rnn.pad_packed_sequence(y, layer.batch_first, -1.5, 8)
    loss = (y.data**3).sum() + sum((s**2).sum() for s in ends)
    return [*packed[:2], y.data, padded, counted, *ends, *rnn.unpack_sequence(y)], loss


@pytest.mark.parametrize(("kind", "options"), LAYERS)
@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [4, 1, 6, 4]])
@pytest.mark.parametrize("started", [False, True])
def test_layers_over_packed_sequences(kind: str, options: dict[str, Any], lengths: list[int], started: bool) -> None:
    random = np.random.default_rng(0)
    layers = [getattr(lib.nn, kind)(3, 5, dtype=lib.float64, **options) for lib in (engine, torch)]
    layers[0].load_state_dict({k: engine.tensor(v.numpy()) for k, v in layers[1].state_dict().items()})
    states = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    widths = [options.get("proj_size", 5), 5][: 1 + (kind == "LSTM")]
    arrays = [
        random.normal(size=(4, 6, 3) if layers[0].batch_first else (6, 4, 3)),
        *[random.normal(size=(states, 4, w)) for w in widths] * started,
    ]
    found = []
    for lib, layer in zip((engine, torch), layers, strict=True):
        given = [lib.tensor(a, requires_grad=True) for a in arrays]
        results, loss = outcome(lib, layer, given[0], lengths, lengths == sorted(lengths, reverse=True), tuple(given[1:]))
        loss.backward()
        found.append([*results, *(leaf.grad for leaf in (*given, *layer.parameters()))])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_sequences_are_packed_and_unpacked() -> None:
    arrays = [np.random.default_rng(0).normal(size=(n, 2)) for n in (2, 5, 3)]
    ours, theirs = (lib.nn.utils.rnn.pack_sequence([lib.tensor(a) for a in arrays], enforce_sorted=False) for lib in (engine, torch))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(engine.nn.utils.rnn.unpack_sequence(ours.float()), arrays, strict=True):
        assert a.dtype is engine.float32
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda lib, rnn, x: rnn.pack_padded_sequence(x, [1, 2]),
        lambda lib, rnn, x: rnn.pack_padded_sequence(x, [3, 0]),
        lambda lib, rnn, x: rnn.pack_padded_sequence(x, [3]),
        lambda lib, rnn, x: rnn.pack_padded_sequence(x[:, 0, 0], [3]),
        lambda lib, rnn, x: rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [3, 1]), total_length=2),
        lambda lib, rnn, x: rnn.pack_sequence([]),
        lambda lib, rnn, x: lib.nn.LSTM(2, 3)(rnn.pack_padded_sequence(x, [3, 1])),
    ],
)
def test_errors_are_pytorchs(wrong: Any) -> None:
    kinds = []
    for lib in (engine, torch):
        with pytest.raises(Exception) as caught:
            wrong(lib, lib.nn.utils.rnn, lib.zeros(3, 2, 1))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]

"""Layers in specs: every layer of the engine is there or says why not, and those over sequences compute what PyTorch computes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import nn
from engine.data import ingest, open_source
from engine.data.source import Source
from engine.inference import load_model
from engine.spec import SpecError, build_model, check, json_schema, registry, resolve_layers, summarize, wants_indices
from engine.spec.inputs import Shape, limit_of
from engine.state import metadata, save_file
from tests.data.prepared import prepared
from tests.train.jobs import goes_on_exactly, job, points

BASE: dict[str, Any] = {"loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "Adam"}, "data": {"dataset": "x", "batch_size": 4}}


def checked(*layers: dict[str, Any]) -> dict[str, Any]:
    return check({**BASE, "model": list(layers)})


def problems(shape: tuple[int, ...], *layers: dict[str, Any]) -> dict[str, str]:
    try:
        summarize(checked(*layers), shape)
    except SpecError as error:
        return {p.pointer: p.detail for p in error.problems}
    return {}


def test_every_module_is_in_specs_or_says_why_not() -> None:
    known = {**registry.layers(), **registry.losses()}
    held = {kind.make for kind in known.values()} | set(registry.CONTAINERS.values())
    for name in nn.__all__:
        c = getattr(nn, name)
        if inspect.isclass(c) and issubclass(c, nn.Module) and c is not nn.Module:
            assert (c in held) is (c.spec_facts.excluded is None), name
            assert c.spec_facts.excluded is None or len(c.spec_facts.excluded) > 10, name
    for name, kind in registry.layers().items():
        arguments = set(kind.model.model_fields)
        assert set(kind.facts.follows) <= arguments, name
        assert kind.facts.required <= len(kind.facts.inputs), name
        for key in kind.facts.follows:
            assert json_schema()["$defs"][name]["properties"][key].get("default") is None, (name, key)


def test_a_new_layer_is_in_specs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scaled(nn.Linear):
        """A layer that nobody listed."""

        def __init__(self, in_features: int, out_features: int, by: float = 2.0) -> None:
            super().__init__(in_features, out_features)
            self.by = by

    monkeypatch.setattr(nn, "Scaled", Scaled, raising=False)
    monkeypatch.setattr(nn, "__all__", [*nn.__all__, "Scaled"])
    registry.layers.cache_clear()
    try:
        spec = checked({"type": "Scaled", "out_features": 3})
        assert resolve_layers(spec, (5,))[0] == {"type": "Scaled", "in_features": 5, "out_features": 3, "by": 2.0}
    finally:
        monkeypatch.undo()
        registry.layers.cache_clear()
    assert "Scaled" not in registry.layers()


def test_sizes_follow_through_sequences() -> None:
    spec = checked(
        {"type": "Embedding", "embedding_dim": 6, "padding_idx": 0}, {"type": "PositionalEmbedding"}, {"type": "PositionalEncoding"},
        {"type": "TransformerEncoderLayer", "nhead": 2, "dim_feedforward": 8}, {"type": "MultiheadAttention", "num_heads": 3, "causal": True},
        {"type": "TransformerEncoder", "nhead": 2, "num_layers": 2, "dim_feedforward": 8, "final_norm": True}, {"type": "LayerNorm"},
        {"type": "GRU", "hidden_size": 5, "bidirectional": True, "pool": "none"}, {"type": "LSTM", "hidden_size": 7},
        {"type": "Linear", "out_features": 3},
    )  # fmt: skip
    layers = resolve_layers(spec, Shape((9,), 11))
    found = {
        key: layer.get(key)
        for layer in layers
        for key in ("num_embeddings", "max_len", "d_model", "embed_dim", "normalized_shape")
        if key in layer
    }
    assert found == {"num_embeddings": 11, "max_len": 9, "d_model": 6, "embed_dim": 6, "normalized_shape": 6}
    assert [layers[i]["input_size"] for i in (7, 8)] == [6, 10] and layers[9]["in_features"] == 7
    table = summarize(spec, Shape((9,), 11))
    assert [r.output for r in table.layers] == [[9, 6]] * 7 + [[9, 10], [7], [3]] and all(r.flops > 0 for r in table.layers)
    model = build_model(spec, Shape((9,), 11))
    assert table.parameters == sum(p.numel() for p in model.parameters())
    assert model(engine.tensor(np.arange(18).reshape(2, 9) % 11)).shape == (2, 3)
    wide = checked({"type": "Embedding", "num_embeddings": 20, "embedding_dim": 4}, {"type": "PositionalEmbedding", "max_len": 30})
    assert resolve_layers(wide, Shape((9,), 11))[1]["max_len"] == 30


EMBEDDED = {"type": "Embedding", "embedding_dim": 4}
MISFITS: list[tuple[str, tuple[int, ...], list[dict[str, Any]], str, str]] = [
    ("too few rows", Shape((5,), 11), [{**EMBEDDED, "num_embeddings": 10}], "/model/0/num_embeddings", "at least 11 (the data has indices from 0 to 10), got 10"),
    ("numbers looked up", (5,), [EMBEDDED], "/model/0", "takes indices, but the layer above yields numbers (5)"),
    ("indices multiplied", Shape((5,), 11), [{"type": "Linear", "out_features": 2}], "/model/0", "is an Embedding missing?"),
    ("too few positions", (5, 4), [{"type": "PositionalEncoding", "max_len": 3}], "/model/0/max_len", "at least 5"),
    ("vectors for sequences", (5,), [{"type": "LSTM", "hidden_size": 3}], "/model/0", "takes sequences (N, L, C), got 2 dimensions"),
    ("maps for sequences", (1, 4, 4), [{"type": "MultiheadAttention", "num_heads": 2}], "/model/0", "takes sequences (N, L, C)"),
    ("time first", (5, 4), [{"type": "GRU", "hidden_size": 3, "batch_first": False}], "/model/0/batch_first", "expected true"),
    ("another size", (5, 4), [{"type": "RNN", "hidden_size": 3, "input_size": 5}], "/model/0/input_size", "expected 4"),
    ("one input for two", (5, 4), [{"type": "TransformerDecoderLayer", "nhead": 2}], "/model/0", "takes tgt, memory, tgt_lengths (optional), memory_lengths (optional), got 1 input: make it a node of a Graph"),
    ("the batch's dimension", (5, 4), [{"type": "Permute", "dims": [1, 0, 2]}], "/model/0", "samples of a batch apart"),
    ("dimensions twice", (5, 4), [{"type": "Permute", "dims": [0, 2, 2]}], "/model/0/dims", "once"),
    ("heads", (5, 4), [{"type": "TransformerEncoder", "nhead": 3, "num_layers": 1}], "/model/0", "divisible"),
    ("too many layers", (5, 4), [{"type": "TransformerEncoder", "nhead": 2, "num_layers": 10**9}], "/model/0/num_layers", "at most 256"),
    ("too many recurrences", (5, 4), [{"type": "LSTM", "hidden_size": 2, "num_layers": 10**9}], "/model/0/num_layers", "at most 256"),
    ("too many positions", (5, 4), [{"type": "PositionalEncoding", "max_len": 10**9}], "/model/0/max_len", "at most 65536"),
    ("no layers", (5, 4), [{"type": "TransformerEncoder", "nhead": 2, "num_layers": 0}], "/model/0/num_layers", "at least 1"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "layers", "pointer", "text"), [row[1:] for row in MISFITS], ids=[row[0] for row in MISFITS])
def test_what_does_not_fit_is_said(shape: tuple[int, ...], layers: list[dict[str, Any]], pointer: str, text: str) -> None:
    found = problems(shape, *layers)
    assert list(found) == [pointer] and text in found[pointer], found


def test_indices_are_wanted_by_the_first_layer_that_computes() -> None:
    flat: dict[str, Any] = {"type": "Flatten"}
    linear = {"type": "Linear", "out_features": 2}
    graph = {"type": "Graph", "nodes": [{"name": "a", "layer": {"type": "Identity"}}, {"name": "b", "layer": EMBEDDED}]}
    for layers, wanted in (
        ([EMBEDDED], True), ([flat, EMBEDDED], True), ([linear, EMBEDDED], False), ([flat], False), ([graph], True),
        ([{"type": "Sequential", "layers": [flat]}, EMBEDDED], True), ([{"type": "Parallel", "branches": [[EMBEDDED], [{**EMBEDDED}]]}], True),
        ([{"type": "EmbeddingBag", "embedding_dim": 3}], True), ([{"type": "SequenceLengths"}], True),
    ):  # fmt: skip
        assert wants_indices(checked(*layers)["model"]) is wanted, layers


# -- beside PyTorch

LENGTHS = [6, 1, 4]
X = np.random.default_rng(5).normal(size=(3, 6, 4)).astype(np.float32)


def beside(layer: Any, other: Any, call: Any, *inputs: np.ndarray[Any, Any], reach: bool = True) -> None:
    """Outputs and gradients of inputs and parameters, with the parameters of ``layer`` in both."""
    torch = pytest.importorskip("torch")
    other.load_state_dict({k: torch.from_numpy(v.numpy()) for k, v in layer.state_dict().items()})
    ours = [engine.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    theirs = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    y, wanted = layer(*ours), call(other, *theirs)
    assert np.allclose(y.detach().numpy(), wanted.detach().numpy(), atol=1e-5)
    (y * y).sum().backward()
    (wanted * wanted).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad is None or np.allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-4)
    for (name, p), q in zip(layer.named_parameters(), other.parameters(), strict=True):
        assert np.allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-4), name


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("pool", ["last", "mean", "max", "none"])
def test_pooled_sequences_of_several_lengths(kind: str, pool: str) -> None:
    torch = pytest.importorskip("torch")
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": pool != "max"}
    layer = registry.layers()[kind].make(4, 5, pool=pool, **options)

    def packed(other: Any, x: Any, lengths: Any) -> Any:
        rnn = torch.nn.utils.rnn
        y, state = other(rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        if pool == "last":
            state = state[0] if kind == "LSTM" else state
            return torch.cat([state[-2], state[-1]], -1)
        rows = rnn.pad_packed_sequence(y, batch_first=True)[0]
        there = (torch.arange(6) < lengths[:, None]).unsqueeze(-1)
        if pool == "max":
            return rows.masked_fill(~there, -torch.inf).amax(1)
        return rows.sum(1) / lengths[:, None] if pool == "mean" else rows

    beside(layer, getattr(torch.nn, kind)(4, 5, batch_first=True, **options), packed, X, np.array(LENGTHS))


def test_a_transformer_of_several_lengths() -> None:
    torch = pytest.importorskip("torch")
    layer = registry.layers()["TransformerEncoder"].make(4, 2, 2, 8, 0.0, norm_first=True, final_norm=True)
    assert not np.allclose(layer.layers[0].linear1.weight.detach().numpy(), layer.layers[1].linear1.weight.detach().numpy())
    own = torch.nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True, norm_first=True)
    other = torch.nn.TransformerEncoder(own, 2, torch.nn.LayerNorm(4), enable_nested_tensor=False)
    beside(layer, other, lambda m, x, n: m(x, src_key_padding_mask=torch.arange(6) >= n[:, None]), X, np.array(LENGTHS))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_and_its_layers(causal: bool) -> None:
    torch = pytest.importorskip("torch")
    mask = torch.ones(6, 6).triu(1).bool() if causal else None
    kinds = registry.layers()
    attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)
    beside(kinds["MultiheadAttention"].make(4, 2, causal=causal), attention, lambda m, x: m(x, x, x, attn_mask=mask)[0], X)
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)
    beside(kinds["TransformerEncoderLayer"].make(4, 2, 8, 0.0, causal=causal), layer, lambda m, x: m(x, src_mask=mask), X)
    memory = X[:, :5] * 2
    layer = torch.nn.TransformerDecoderLayer(4, 2, 8, 0.0, batch_first=True)
    beside(kinds["TransformerDecoderLayer"].make(4, 2, 8, 0.0, causal=causal), layer, lambda m, x, k: m(x, k, tgt_mask=mask), X, memory)
    wide = np.concatenate([memory, memory], -1)
    attention = torch.nn.MultiheadAttention(4, 2, batch_first=True, kdim=8, vdim=4)
    beside(kinds["MultiheadAttention"].make(4, 2, kdim=8, vdim=4), attention, lambda m, q, k, v: m(q, k, v)[0], X, wide, memory)


def test_positions() -> None:
    torch = pytest.importorskip("torch")
    time, table = torch.arange(6.0).unsqueeze(1), torch.zeros(6, 4)
    rate = torch.exp(torch.arange(0, 4, 2) * (-np.log(10000.0) / 4))
    table[:, 0::2], table[:, 1::2] = torch.sin(time * rate), torch.cos(time * rate)
    assert np.allclose(nn.PositionalEncoding(4, 9)(engine.tensor(X)).numpy(), X + table.numpy(), atol=1e-6)
    assert nn.PositionalEncoding(5, 9).state_dict() == {}
    learned = nn.PositionalEmbedding(4, 9)
    assert np.allclose(learned(engine.tensor(X)).detach().numpy(), X + learned.weight.detach().numpy()[:6], atol=1e-6)


def test_padding_of_zeros_does_not_count() -> None:
    x = X.copy()
    for row, n in zip(x, LENGTHS, strict=True):
        row[n:] = 0
    x[0, 2] = 0  # within a sequence
    for kind in ("LSTM", "GRU"):
        layer = registry.layers()[kind].make(4, 5, bidirectional=True, zero_padded=True)
        assert layer(engine.tensor(x)).tolist() == layer(engine.tensor(x), engine.tensor(LENGTHS)).tolist()
    for pool in ("last", "mean", "max"):
        found = nn.SequencePool(pool, zero_padded=True)(engine.tensor(x)).numpy()
        wanted = [r[n - 1] if pool == "last" else getattr(r[:n], pool)(0) for r, n in zip(x, LENGTHS, strict=True)]
        assert np.allclose(found, wanted, atol=1e-6)
    tokens = engine.tensor([[3, 0, 2, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])
    assert nn.SequenceLengths()(tokens).tolist() == [3, 5, 0]


def test_nodes_that_take_several() -> None:
    """By default a node's inputs go to its layer as they are, if it takes so many; else they are merged."""
    nodes: list[dict[str, Any]] = [
        {"name": "lengths", "inputs": ["input"], "layer": {"type": "SequenceLengths"}},
        {"name": "vectors", "inputs": ["input"], "layer": {**EMBEDDED, "padding_idx": 0}},
        {"name": "encoded", "inputs": ["vectors", "lengths"], "layer": {"type": "TransformerEncoderLayer", "nhead": 2, "dim_feedforward": 8}},
        {"name": "decoded", "inputs": ["vectors", "encoded", "lengths", "lengths"], "layer": {"type": "TransformerDecoderLayer", "nhead": 2, "dim_feedforward": 8}},
        {"name": "a", "inputs": ["decoded", "lengths"], "layer": {"type": "SequencePool"}},
        {"name": "b", "inputs": ["encoded", "lengths"], "layer": {"type": "LSTM", "hidden_size": 3, "pool": "mean"}},
        {"name": "both", "inputs": ["a", "b"], "layer": {"type": "Bilinear", "out_features": 2}},
        {"name": "wide", "inputs": ["a", "b"], "layer": {"type": "Linear", "out_features": 2}},
        {"name": "end", "inputs": ["both", "wide"], "merge": "add"},
    ]  # fmt: skip
    graph: dict[str, Any] = {"type": "Graph", "nodes": nodes}
    spec = checked(graph)
    assert check(spec) == spec and [n["merge"] for n in spec["model"][0]["nodes"]] == [
        "concat", "concat", None, None, None, None, None, "concat", "add"
    ]  # fmt: skip
    layer = {n["name"]: n["layer"] for n in resolve_layers(spec, Shape((6,), 9))[0]["nodes"]}
    assert (layer["both"]["in1_features"], layer["both"]["in2_features"], layer["wide"]["in_features"]) == (4, 3, 7)
    model = build_model(spec, Shape((6,), 9)).eval().requires_grad_(False)
    tokens = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 1]])
    short = model(engine.tensor(tokens[:1, :3])).numpy()
    assert np.allclose(model(engine.tensor(tokens)).numpy()[:1], short, atol=1e-5)  # padding changes nothing
    nodes[6]["inputs"] = ["a", "b", "a"]
    assert problems(Shape((6,), 9), graph) == {
        "/model/0/nodes/6/layer": "Bilinear takes input1, input2, got 3 inputs: make it a node of a Graph that names its inputs"
    }


# -- training


def tokens(folder: Path) -> Source:
    """Sequences of 3 to 12 tokens, padded with 0, whose class is whether 7 or 8 comes first."""
    rng = np.random.default_rng(0)
    x = np.zeros((160, 12), np.int64)
    for row in x:
        n = rng.integers(3, 13)
        row[:n] = rng.integers(1, 7, n)
        a, b = rng.choice(n, 2, replace=False)
        row[a], row[b] = 7, 8
    first = [int(np.flatnonzero(row == 7)[0] < np.flatnonzero(row == 8)[0]) for row in x]
    return prepared(folder, x, np.array(first))


@pytest.mark.parametrize(
    "layers",
    [
        [{"type": "Embedding", "embedding_dim": 8, "padding_idx": 0}, {"type": "LSTM", "hidden_size": 16, "zero_padded": True}],
        [{"type": "Embedding", "embedding_dim": 8}, {"type": "GRU", "hidden_size": 8, "bidirectional": True, "pool": "max"}],
        [
            {"type": "Embedding", "embedding_dim": 16}, {"type": "PositionalEmbedding"},
            {"type": "TransformerEncoderLayer", "nhead": 4, "dim_feedforward": 32, "dropout": 0.0}, {"type": "SequencePool", "pool": "max"},
        ],
    ],
    ids=["lstm", "gru", "transformer"],
)  # fmt: skip
def test_text_is_learned_and_goes_on_exactly(layers: list[dict[str, Any]], tmp_path: Path) -> None:
    source, model = tokens(tmp_path), [*layers, {"type": "Linear", "out_features": 2}]
    changes: dict[str, Any] = {"model": model, "epochs": 12, "optimizer": {"type": "Adam", "lr": 0.02}, "metrics": ["accuracy"]}
    run = job(source, **changes)
    assert run.shape == (12,) and limit_of(run.shape) == 9
    history = goes_on_exactly(run, epoch=6)
    assert [p for p in history if p.split == "val"][-1].values["accuracy"] > 0.8


def test_bags_of_tokens(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 6, (120, 7))
    x[:60, 3] = 6
    source = prepared(tmp_path, x.astype(np.float32), np.arange(120) // 60)  # whole numbers, as readers keep them
    for mode in ("sum", "mean", "max"):
        bag = {"type": "EmbeddingBag", "embedding_dim": 4, "mode": mode}
        run = job(
            source,
            model=[bag, {"type": "Linear", "out_features": 2}],
            epochs=10,
            optimizer={"type": "Adam", "lr": 0.1},
            metrics=["accuracy"],
        )
        assert points(run, "val")[-1].values["accuracy"] > 0.9, mode


# -- columns of a table


def table(folder: Path) -> Source:
    """Rows with a number, a category that is one-hot, and one of 60 that is kept as its index; the target depends on all of them."""
    rng = np.random.default_rng(2)
    lines = ["size,colour,code,price"]
    for i in range(240):
        size, colour, code = rng.normal(), rng.integers(3), i % 60
        lines.append(f"{size:.3f},{('red', 'green', 'blue')[colour]},c{code:02},{size + colour + (code % 7) * 0.5 + 0.001 * i:.4f}")
    (folder / "t.csv").write_text("\n".join(lines))
    ingest(folder / "t.csv", folder / "table", "csv")
    return open_source(folder / "table")


BRANCHES: list[dict[str, Any]] = [
    {"name": "code", "inputs": ["input"], "layer": {"type": "Columns", "columns": ["code"], "indices": True}},
    {"name": "vector", "layer": {"type": "Embedding", "embedding_dim": 4}}, {"name": "flat", "layer": {"type": "Flatten"}},
    {"name": "rest", "inputs": ["input"], "layer": {"type": "Columns", "columns": ["size", "colour"]}},
    {"name": "all", "inputs": ["flat", "rest"], "layer": {"type": "Linear", "out_features": 1}},
]  # fmt: skip


def test_columns_of_a_table_go_to_different_branches(tmp_path: Path) -> None:
    source = table(tmp_path)
    assert source.report.shape == [5]
    model: list[Any] = [{"type": "Graph", "nodes": BRANCHES}]
    run = job(source, "MSELoss", model, epochs=40, optimizer={"type": "Adam", "lr": 0.05}, metrics=["r2"])
    resolved = {n["name"]: n["layer"] for n in resolve_layers(run.spec, run.shape)[0]["nodes"]}
    assert resolved["code"]["columns"] == [4] and resolved["rest"]["columns"] == [0, 1, 2, 3]
    assert resolved["vector"]["num_embeddings"] == 60 and resolved["all"]["in_features"] == 8
    assert points(run, "val")[-1].values["r2"] > 0.8
    save_file(run.model.state_dict(), tmp_path / "m.safetensors", metadata(run.metadata()))
    found = load_model(tmp_path / "m.safetensors").predict({"size": "1.5", "colour": "blue", "code": "c06"})
    assert 4 < found.numbers[0] < 8  # 1.5 + 2 + 3
    goes_on_exactly(job(source, "MSELoss", model), 2)


def test_columns_that_are_none_are_refused(tmp_path: Path) -> None:
    source = table(tmp_path)

    def found(*columns: Any, indices: bool = False) -> dict[str, str]:
        try:
            job(
                source,
                "MSELoss",
                [{"type": "Columns", "columns": list(columns), "indices": indices}, {"type": "Linear", "out_features": 1}],
            )
        except SpecError as error:
            return {p.pointer: p.detail for p in error.problems}
        return {}

    assert found("size", "colour=red", 4) == {}
    assert "did you mean 'colour'" in found("size", "color")["/model/0/columns/1"]
    assert "none of the columns of the 5" in found(5)["/model/0/columns/0"]
    assert "no indices" in found("size", indices=True)["/model/0/indices"]
    assert "takes numbers, but the layer above yields indices" in found("code", indices=True)["/model/1"]
    below = [
        {"type": "Linear", "out_features": 3},
        {"type": "Columns", "columns": [0], "indices": True},
        {"type": "Linear", "out_features": 1},
    ]
    with pytest.raises(SpecError, match="/model/1/indices"):
        job(source, "MSELoss", below)

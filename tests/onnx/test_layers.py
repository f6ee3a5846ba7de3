"""Every layer of a spec as ONNX, run by onnxruntime: the same outputs to 1e-5, for batches of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from engine import Tensor, nn
from engine.spec import registry
from tests.onnx.samples import ALIKE, INPUTS, RECURRENT, TOKENS

pytest.importorskip("onnx", reason="onnx is not installed; the extra onnx brings it")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; scripts/test --peers brings it")
from engine.onnx import NotExportable, export
from engine.onnx.verify import TOLERANCE, session

MAKERS = {name: kind.make for name, kind in registry.layers().items()}


def check(module: nn.Module, draw: Callable[[int], Any]) -> None:
    """The module with drawn parameters and statistics, and its ONNX form, on batches of several sizes."""
    with engine.no_grad():
        for p in module.parameters():
            nn.init.normal_(p, std=max(4, p.numel() / max(1, len(p))) ** -0.5)  # so that numbers stay of one size
        for _, b in module.named_buffers():
            if b.is_floating_point():
                b.copy_(engine.rand_like(b) + 0.5)
    runner = session(export(module, draw(2)))
    module.eval()
    for n in (1, 5):
        drawn = draw(n)
        several = drawn if isinstance(drawn, tuple) else (drawn,)
        given = {i.name: x.numpy().copy() for i, x in zip(runner.get_inputs(), several, strict=True)}
        with engine.no_grad():
            expected = module(*several).numpy()
        found = runner.run(None, given)[0]
        assert found.shape == expected.shape and found.dtype == expected.dtype
        assert np.abs(found - expected).max() <= TOLERANCE * max(1, np.abs(expected).max())


def _drawn(n: int, shape: tuple[int, ...]) -> Tensor:
    """Sequences end with zero vectors, one earlier than the other: for layers that look for it."""
    x = engine.randn(n, *shape)
    if len(shape) == 2:
        for i in range(n):
            x[i, shape[0] - i % 3 :] = 0
    return x


@pytest.mark.parametrize("text", INPUTS)
def test_a_layer(text: str) -> None:
    check(eval(text, MAKERS), lambda n: tuple(_drawn(n, shape) for shape in INPUTS[text]))


@pytest.mark.parametrize("text", TOKENS)
def test_a_layer_of_tokens(text: str) -> None:
    check(eval(text, MAKERS), lambda n: engine.randint(0, 10, (n, 6)))


def test_every_layer_of_a_spec_has_a_sample() -> None:
    """A new layer exports, or its sample shows with NotExportable what it says."""
    assert not set(registry.layers()) - {text.split("(")[0] for text in (*INPUTS, *TOKENS, *ALIKE)}


class First(nn.Module):
    """The first of a layer's results, or what ``take`` makes of them."""

    def __init__(self, layer: nn.Module, take: Callable[[Any], Tensor] = lambda found: found[0]) -> None:
        super().__init__()
        self.layer, self.take = layer, take

    def forward(self, x: Tensor) -> Tensor:
        return self.take(self.layer(x))


@pytest.mark.parametrize("text", RECURRENT)
def test_a_recurrent_layer(text: str) -> None:
    for take in (lambda found: found[0], lambda found: found[0][:, -1], lambda found: found[0].mean(1)):
        check(First(eval(f"nn.{text}"), take), lambda n: engine.randn(n, 6, 8))


@pytest.mark.parametrize("text", ["RNNCell(8, 5)", "GRUCell(8, 5)"])
def test_a_recurrent_cell(text: str) -> None:
    check(eval(f"nn.{text}"), lambda n: engine.randn(n, 8))


def test_a_recurrent_layer_is_one_node() -> None:
    kinds = [node.op_type for node in export(First(nn.LSTM(8, 5, batch_first=True)), engine.randn(2, 6, 8)).graph.node]
    assert kinds.count("LSTM") == 1 and not {"MatMul", "Gemm"} & set(kinds)


class Attention(nn.Module):
    def __init__(self, causal: bool, **options: Any) -> None:
        super().__init__()
        self.attention, self.causal = nn.MultiheadAttention(8, 2, batch_first=True, **options), causal

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        return self.attention(x, x, x, attn_mask=mask)[0]


class Translator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.transformer(x, x * 2)


class Tokens(nn.Module):
    """A class token before the others, positions, and what a program of PyTorch's does between layers."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.places = nn.Parameter(engine.randn(1, 1, 8)), nn.Parameter(engine.randn(1, 7, 8))

    def forward(self, x: Tensor) -> Tensor:
        y = engine.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        a, b = y.chunk(2, -1)
        return nn.functional.scaled_dot_product_attention(a, b, a, is_causal=True)[:, 0].flatten(1).clamp(-1, 1) ** 2


@pytest.mark.parametrize(
    "make", [lambda: Attention(False), lambda: Attention(True), lambda: Attention(False, add_bias_kv=True), Translator, Tokens]
)
def test_attention(make: Callable[[], nn.Module]) -> None:
    check(make(), lambda n: engine.randn(n, 6, 8))


class LastOfEach(nn.Module):
    """The last element of each sequence that is no zero, found by computed numbers along the batch."""

    def forward(self, x: Tensor) -> Tensor:
        lengths = ((x != 0).any(-1) * engine.arange(1, x.shape[1] + 1)).amax(1)
        at = (lengths.clamp(1, x.shape[1]) - 1) * len(x) + engine.arange(len(x))
        return x.transpose(0, 1).reshape(-1, x.shape[-1])[at]


def test_elements_by_computed_numbers() -> None:
    check(LastOfEach(), lambda n: _drawn(n, (6, 8)))


@pytest.mark.parametrize(
    "text", ["Embedding(10, 4)", "EmbeddingBag(10, 4)", "EmbeddingBag(10, 4, mode='sum')", "EmbeddingBag(10, 4, padding_idx=2)"]
)
def test_a_lookup(text: str) -> None:
    check(eval(f"nn.{text}"), lambda n: engine.randint(0, 10, (n, 3)))


class Odd(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def _assigned(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 0] = x[:, 1]
    return y


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x @ engine.linalg.inv(x.mT @ x), "inv has no form in ONNX"),
        (lambda x: x * float(x.sum()), "it needs"),
        (lambda x: x * Tensor._wrap(x.numpy().sum(keepdims=True)), "it needs|computed beside the engine's ops"),
        (lambda x: x + engine.arange(len(x))[:, None] ** 2, "depends on the batch"),
        (lambda x: x[x > 0], "by a mask"),
        (lambda x: x.sum() if len(x) > 2 else x * 2, "other things for batches of other sizes"),
        (lambda x: engine.zeros(2), "depend on the input"),
        (lambda x: x.sort(1).values, "has no form in ONNX"),
        (lambda x: x.reshape(-1).relu_() + x.reshape(-1), "a view of something that was written over"),
        (_assigned, "it needs an assignment to a part"),
    ],
)
def test_what_cannot_be_exported_says_why(function: Callable[[Tensor], Any], reason: str) -> None:
    with pytest.raises(NotExportable, match=reason):
        export(Odd(function), engine.randn(3, 4))


def test_the_cells_of_an_lstm_are_refused_by_name() -> None:
    with pytest.raises(NotExportable, match="cells of an LSTM"):
        export(First(nn.LSTM(8, 5), lambda found: found[1][1]), engine.randn(2, 6, 8))


def test_the_signature_is_that_of_pytorch(tmp_path: Any) -> None:
    net = nn.Linear(4, 2)
    made = export(net, (engine.randn(3, 4),), tmp_path / "net.onnx", input_names=["x"], output_names=["y"], opset_version=21)
    assert (tmp_path / "net.onnx").read_bytes() == made.SerializeToString() and net.training
    runner = session((tmp_path / "net.onnx").read_bytes())
    assert runner.get_inputs()[0].shape == ["batch", 4] and runner.get_outputs()[0].name == "y"
    with pytest.raises(ValueError, match="opset_version must be 21, got 9"):
        export(net, engine.randn(3, 4), opset_version=9)

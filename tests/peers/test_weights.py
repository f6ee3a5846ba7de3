"""Weights that are computed, inferred or looked up, beside PyTorch."""

import copy
from typing import Any

import numpy as np
import pytest

import engine
from tests.peers.sides import both, values

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here


WEIGHTS: list[tuple[str, str]] = [
    ("weight_norm(nn.Linear(3, 4))", "nn.utils"), ("weight_norm(nn.Conv2d(2, 3, 2), dim=None)", "nn.utils"), ("weight_norm(nn.Conv2d(2, 3, 2), dim=1)", "nn.utils"),
    ("spectral_norm(nn.Linear(3, 4), n_power_iterations=2)", "nn.utils"), ("spectral_norm(nn.Conv2d(2, 3, 2))", "nn.utils"),
    ("spectral_norm(nn.ConvTranspose2d(2, 3, 2))", "nn.utils"), ("weight_norm(nn.Linear(3, 4))", "nn.utils.parametrizations"),
    ("weight_norm(nn.Conv2d(2, 3, 2), dim=1)", "nn.utils.parametrizations"), ("spectral_norm(nn.Linear(3, 4))", "nn.utils.parametrizations"),
    ("spectral_norm(nn.ConvTranspose2d(2, 3, 2), n_power_iterations=3)", "nn.utils.parametrizations"), ("spectral_norm(nn.Linear(3, 4), 'bias')", "nn.utils.parametrizations"),
]  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("text", "home"), WEIGHTS)
def test_computed_weights(text: str, home: str, compiled: bool) -> None:
    """Names, values and trajectories; the start, vectors of power iterations included, is PyTorch's."""
    rng = np.random.default_rng(0)
    layers = {}
    for lib in (torch, engine):
        found: Any = lib
        for part in home.split("."):
            found = getattr(found, part)
        layers[lib] = eval(text, {**vars(found), "nn": lib.nn})
    theirs, ours = layers[torch], layers[engine]
    assert list(ours.state_dict()) == list(theirs.state_dict()) and [n for n, _ in ours.named_parameters()] == [
        n for n, _ in theirs.named_parameters()
    ]
    ours.load_state_dict({k: engine.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x = rng.normal(size=(5, 3) if isinstance(theirs, torch.nn.Linear) else (2, 2, 4, 4)).astype(np.float32)
    losses = []
    for lib, layer in layers.items():
        optimizer = lib.optim.SGD(layer.parameters(), lr=0.1)

        def step(x: Any, layer: Any = layer, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = layer(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = engine.compile(step) if compiled and lib is engine else step
        losses.append([float(run(lib.tensor(x))) for _ in range(5)])
        layer.eval()
        with lib.no_grad():
            losses[-1].append(float(layer(lib.tensor(x)).sum()))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for (k, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-5, err_msg=k)
    copied = copy.deepcopy(ours)
    y = copied(engine.tensor(x)).detach().numpy()
    np.testing.assert_allclose(y, ours(engine.tensor(x)).detach().numpy(), rtol=1e-5)
    name = "bias" if "bias" in text else "weight"
    if home == "nn.utils":
        getattr(engine.nn.utils, "remove_" + text.partition("(")[0])(copied)
    else:
        engine.nn.utils.parametrize.remove_parametrizations(copied, name)
    assert type(copied) is getattr(engine.nn, text.partition("nn.")[2].partition("(")[0]) and set(dict(copied.named_parameters())) == {
        "weight",
        "bias",
    }
    np.testing.assert_allclose(copied(engine.tensor(x)).detach().numpy(), y, rtol=1e-4, atol=1e-5)


def test_parametrizations_of_ones_own() -> None:
    def made(lib: Any) -> Any:
        parametrize = lib.nn.utils.parametrize

        class Symmetric(lib.nn.Module):  # type: ignore[name-defined,misc]  # a class of either library
            def forward(self, x: Any) -> Any:
                return x.triu() + x.triu(1).transpose(-1, -2)

        class Doubled(lib.nn.Module):  # type: ignore[name-defined,misc]  # a class of either library
            def forward(self, x: Any) -> Any:
                return x * 2

            def right_inverse(self, x: Any) -> Any:
                return x / 2

        layer = lib.nn.Linear(3, 3)
        with lib.no_grad():
            layer.weight.copy_(lib.arange(9.0).reshape(3, 3))
            layer.bias.copy_(lib.arange(3.0))
        parametrize.register_parametrization(layer, "weight", Symmetric())
        parametrize.register_parametrization(layer, "bias", Doubled())
        parametrize.register_parametrization(layer, "weight", Doubled())
        found = [
            str(layer),
            list(layer.state_dict()),
            values(layer.weight),
            values(layer.bias),
            values(layer.parametrizations.bias.original),
        ]
        layer.bias = lib.ones(3)
        with parametrize.cached():
            found += [values(layer.bias), layer.weight is layer.weight, parametrize.is_parametrized(layer, "bias")]
        layer(lib.ones(1, 3)).sum().backward()
        found += [values(layer.parametrizations.weight.original.grad), type(layer).__name__]
        with pytest.raises(ValueError, match="shape"):
            parametrize.register_parametrization(lib.nn.Linear(2, 3), "weight", lib.nn.Flatten(0))
        parametrize.remove_parametrizations(layer, "weight")
        parametrize.remove_parametrizations(layer, "bias", leave_parametrized=False)
        return [*found, values(layer.weight), values(layer.bias), type(layer).__name__, parametrize.is_parametrized(layer)]

    both(made)


LAZY: list[tuple[str, tuple[int, ...]]] = [
    ("LazyLinear(4, bias=False)", (2, 3)), ("LazyConv1d(4, 3, padding=1)", (2, 3, 5)), ("LazyConv2d(4, 3, groups=2)", (2, 6, 5, 5)), ("LazyConv3d(2, 2)", (1, 3, 4, 4, 4)),
    ("LazyConvTranspose1d(4, 3)", (2, 3, 5)), ("LazyConvTranspose2d(4, 2, stride=2)", (2, 3, 4, 4)), ("LazyConvTranspose3d(2, 2)", (1, 3, 3, 3, 3)),
    ("LazyBatchNorm1d()", (4, 3)), ("LazyBatchNorm2d(eps=0.1)", (4, 3, 2, 2)), ("LazyBatchNorm3d(affine=False)", (4, 3, 2, 2, 2)),
    ("LazyInstanceNorm1d()", (2, 3, 5)), ("LazyInstanceNorm2d(affine=False)", (2, 3, 4, 4)), ("LazyInstanceNorm3d(affine=True)", (2, 3, 2, 2, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shape"), LAZY)
def test_lazy_layers(text: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ours, theirs, other = (eval(text, vars(lib.nn)) for lib in (engine, torch, engine))
    assert str(ours) == str(theirs)
    held = list(ours.parameters())
    expected = theirs(torch.tensor(x)).detach().numpy()
    ours(engine.tensor(x))
    assert str(ours) == str(theirs) and type(ours).__name__ == type(theirs).__name__
    assert all(p is q for p, q in zip(held, ours.parameters(), strict=True))
    other.load_state_dict({k: engine.tensor(v.detach().numpy()) for k, v in theirs.state_dict().items()})
    assert str(other) == str(theirs)
    np.testing.assert_allclose(other(engine.tensor(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


BAGS: list[tuple[dict[str, Any], bool]] = [
    (dict(mode=mode, padding_idx=pad, **more), flat)
    for mode in ("sum", "mean", "max") for pad in (None, 1, -2) for more in ({}, {"include_last_offset": True}) for flat in (True, False) if flat or not more
]  # fmt: skip


@pytest.mark.parametrize(("options", "flat"), BAGS)
def test_bags_of_embeddings(options: dict[str, Any], flat: bool) -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(6, 3)).astype(np.float32), rng.integers(6, size=(4, 3))
    weighted = rng.normal(size=x.shape).astype(np.float32) if options["mode"] == "sum" else None
    results = []
    for lib in (engine, torch):
        layer = lib.nn.EmbeddingBag(6, 3, **options)
        layer.load_state_dict({"weight": lib.tensor(weight)})
        offsets = [0, 4, 4, 11] + ([12] if options.get("include_last_offset") else [])
        samples = None if weighted is None else lib.tensor(weighted.reshape(-1) if flat else weighted)
        given = (lib.tensor(x.reshape(-1)), lib.tensor(offsets)) if flat else (lib.tensor(x), None)
        y = layer(*given, samples)
        (y * lib.tensor(np.arange(12, dtype=np.float32).reshape(4, 3))).sum().backward()
        results.append([str(layer), y.detach().numpy(), layer.weight.grad.numpy()])
    assert results[0][0] == results[1][0]
    for mine, theirs in zip(results[0][1:], results[1][1:], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)

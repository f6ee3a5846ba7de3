"""Every kernel on random shapes, sizes of 1, odd ones and ones that no vector divides included, against the same step on NumPy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine as torch
from engine import kernels
from engine.capture.formula import CODES
from engine.capture.program import Program
from engine.dispatch import OPS
from engine.kernels.native import address, native
from engine.nn import functional as F
from engine.ops.random import Generator

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
examples = settings(
    max_examples=int(os.environ.get("EXAMPLES", "25")),
    deadline=None,
    derandomize="EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
"""The same examples in every run; ``EXAMPLES=500`` looks at so many others."""
sizes = st.integers(1, 40)
small = st.integers(1, 9)


def agree(
    function: Callable[..., Any], *arrays: np.ndarray[Any, Any], tolerance: float = 2e-5, plan: dict[str, int] | None = None
) -> Program:
    """``function`` of leaves, its result and all gradients: compiled against eager, each to ``tolerance`` of its greatest element."""
    leaves = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    weight: list[Any] = []

    def step() -> Any:
        for leaf in leaves:
            leaf.grad = None
        y = function(*leaves)
        if not weight:
            weight.append(torch.tensor(np.random.default_rng(1).standard_normal(tuple(y.shape)).astype(np.float32)))
        (y * weight[0]).sum().backward()
        return y

    expected = [step().detach().numpy().copy(), *(leaf.grad.numpy().copy() for leaf in leaves if leaf.grad is not None)]
    compiled = torch.compile(step, plan=plan)
    found = [compiled().detach().numpy(), *(leaf.grad.numpy() for leaf in leaves if leaf.grad is not None)]
    (programs,) = compiled.programs.values()
    assert programs
    (program,) = programs
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * max(float(np.abs(a).max(initial=0)), 1e-3))
    return program


def normal(*size: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


@examples
@given(sizes, sizes, st.integers(1, 300))
def test_linear(m: int, n: int, k: int) -> None:
    program = agree(F.linear, normal(m, k), normal(n, k, seed=1), normal(n, seed=2))
    assert program.is_native


@examples
@given(sizes, sizes, st.integers(250, 900), st.booleans())
def test_linear_with_long_sums(m: int, n: int, k: int, relu: bool) -> None:
    agree(lambda x, w, b: F.linear(x, w, b).relu() if relu else F.linear(x, w, b), normal(m, k), normal(n, k, seed=1), normal(n, seed=2))


def test_large_sums_across_rows_are_made_of_parts() -> None:
    """The gradient of a wide weight over many rows, added to another."""
    agree(lambda x, w: F.linear(x, w) + F.linear(x * 2, w), normal(1100, 1024), normal(256, 1024))


@examples
@given(st.integers(32, 60), st.integers(0, 99), st.integers(1, 300))
def test_layers_wider_than_their_batch(m: int, wider: int, k: int) -> None:
    def layers(x: Any, u: Any, b: Any, v: Any, w: Any) -> Any:
        hidden = F.linear(x, u, b).relu()  # a bias and a maximum; in the gradient of the next line a mask
        return torch.cat([hidden @ w, F.linear(x, u) + F.linear(x, v)], 1)  # the second is added to the first

    n = 2 * m + wider
    agree(layers, normal(m, k), normal(n, k, seed=1), normal(n, seed=2), normal(n, k, seed=3), normal(n, k, seed=4))


@examples
@given(small, small, sizes, sizes, sizes, st.booleans(), st.booleans())
def test_matrix_products(a: int, b: int, m: int, n: int, k: int, left: bool, right: bool) -> None:
    def product(x: Any, y: Any) -> Any:
        return (x.transpose(-1, -2) if left else x) @ (y.transpose(-1, -2) if right else y)

    agree(product, normal(a, b, *((k, m) if left else (m, k))), normal(a, b, *((n, k) if right else (k, n)), seed=1))


@examples
@given(st.lists(small, min_size=1, max_size=3), st.integers(0, 2), st.integers(1, 4), st.data())
def test_parts_are_joined_and_taken_apart(shape: list[int], dim: int, count: int, data: st.DataObject) -> None:
    """The gradient of a slice is zeros but for a part; those of several slices of one tensor add up, where they overlap as well."""
    dim %= len(shape)

    def join(*xs: Any) -> Any:
        y = torch.cat([x if i % 2 else x * 2 for i, x in enumerate(xs)], dim)
        return sum((y.narrow(dim, start, shape[dim]).tanh() for start in starts[1:]), y.narrow(dim, starts[0], shape[dim]) * 3)

    starts = data.draw(st.lists(st.integers(0, shape[dim] * (count - 1)), min_size=1, max_size=4))
    program = agree(join, *(normal(*shape, seed=i) for i in range(count)))
    assert program.is_native


@examples
@given(sizes, small, st.lists(small, min_size=1, max_size=2), st.booleans(), st.randoms(use_true_random=False))
def test_rows_are_looked_up_and_their_gradients_added(n: int, width: int, shape: list[int], padded: bool, random: Any) -> None:
    index = torch.tensor(np.array([random.randrange(n) for _ in range(int(np.prod(shape)))]).reshape(shape))
    padding = random.randrange(n) if padded else None
    w = normal(n, 3 * width)
    program = agree(lambda weight: F.embedding(index, weight, padding).tanh(), w)
    assert program.is_native
    leaf = torch.tensor(w, requires_grad=True)
    (F.embedding(index, leaf, padding) * 2).sum().backward()
    expected = np.zeros_like(w)
    np.add.at(expected, index.numpy(), np.float32(2))
    if padding is not None:
        expected[padding] = 0
    assert np.array_equal(leaf.grad.numpy(), expected)


@pytest.mark.parametrize("row", [-1, 5, 7])
def test_a_row_that_is_none_is_named(row: int) -> None:
    weight = torch.tensor(normal(5, 3))
    step = torch.compile(lambda i: F.embedding(i, weight) * 2)
    assert torch.equal(step(torch.tensor([4, 0])), weight[[4, 0]] * 2)
    for function in (step, lambda i: F.embedding(i, weight)):
        with pytest.raises(IndexError, match=f"index out of range in self: {row}"):
            function(torch.tensor([1, row]))


@examples
@given(st.lists(small, min_size=1, max_size=3), st.lists(st.integers(0, 3), min_size=2, max_size=2))
def test_padding(shape: list[int], widths: list[int]) -> None:
    assert agree(lambda x: F.pad(x * 2, widths, value=0.5).tanh(), normal(*shape)).is_native


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.parametrize("inner", [lambda z: z, torch.exp])
def test_a_part_is_not_added_to_what_others_need(shape: tuple[int, int], inner: Any) -> None:
    """``z``'s gradient is, or is made of, a part of ``x``'s: itself or another view of the same memory."""

    def function(x: Any, z: Any) -> Any:
        y = inner(z)
        return torch.cat([x[1:3].flatten() * 2, (x.reshape(*z.shape) + y).tanh().flatten()])

    agree(function, normal(6, 4), normal(*shape, seed=1))


geometry = st.fixed_dictionaries(
    {"kernel": st.tuples(st.integers(1, 5), st.integers(1, 5)), "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
     "padding": st.tuples(st.integers(0, 3), st.integers(0, 3)), "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2))}
)  # fmt: skip


@examples
@given(st.integers(1, 3), st.integers(1, 20), st.integers(1, 40), st.integers(9, 14), st.integers(9, 14), geometry, st.sampled_from([0, 2]))
def test_convolution(n: int, c: int, o: int, h: int, w: int, shape: dict[str, Any], algorithm: int) -> None:
    def plan(kind: str, choice: int) -> tuple[str, int]:
        d, k, s, p = shape["dilation"], shape["kernel"], shape["stride"], shape["padding"]
        out = [(size + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i, size in enumerate((h, w))]
        return " ".join(map(str, [kind, n, h, w, c, *out, o, *k, *s, *p, *d])), choice

    def conv(x: Any, weight: Any, bias: Any) -> Any:
        return F.conv2d(x, weight, bias, shape["stride"], shape["padding"], shape["dilation"])

    agree(conv, normal(n, c, h, w), normal(o, c, *shape["kernel"], seed=1), normal(o, seed=2), plan=dict([plan("data", algorithm)]))


@examples
@given(st.integers(1, 3), st.integers(2, 40), st.integers(9, 14), st.integers(9, 14), geometry, st.booleans())
def test_convolution_of_each_channel_by_itself(n: int, c: int, h: int, w: int, shape: dict[str, Any], biased: bool) -> None:
    def conv(x: Any, weight: Any, bias: Any) -> Any:
        y = F.conv2d(x, weight, bias if biased else None, shape["stride"], shape["padding"], shape["dilation"], groups=c)
        return y if biased else y + bias.sum()

    assert agree(conv, normal(n, c, h, w), normal(c, 1, *shape["kernel"], seed=1), normal(c, seed=2)).is_native


@examples
@given(st.integers(1, 3), sizes, st.integers(5, 12), st.integers(5, 12), geometry)
def test_pooling(n: int, c: int, h: int, w: int, shape: dict[str, Any]) -> None:
    kernel, stride = shape["kernel"], shape["stride"]
    padding = tuple(min(p, k // 2) for p, k in zip(shape["padding"], kernel, strict=True))
    x = np.random.default_rng(0).permutation(n * c * h * w).reshape(n, c, h, w).astype(np.float32)
    agree(lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=h % 2 == 0), x)
    agree(lambda x: F.avg_pool2d(x, kernel, stride, padding, count_include_pad=w % 2 == 0), x)


@examples
@given(st.integers(4, 9), sizes, st.integers(2, 9), small)  # of a few numbers a channel, little but rounding is left of the gradient
def test_batch_normalization(n: int, c: int, h: int, w: int) -> None:
    x = normal(n, c, h, w) * 3 + 2
    agree(lambda x, w, b: F.relu(F.batch_norm(x, None, None, w, b, True)), x, normal(c, seed=1), normal(c, seed=2), tolerance=2e-4)


@examples
@given(sizes, st.integers(2, 80))
def test_rows(m: int, n: int) -> None:
    x = normal(m, n) * 3
    agree(lambda x, w, b: F.layer_norm(x, (n,), w, b), x, normal(n, seed=1), normal(n, seed=2), tolerance=1e-4)
    agree(lambda x: F.softmax(x, -1), x)
    agree(lambda x: F.log_softmax(x, -1), x)
    target = torch.tensor(np.random.default_rng(0).integers(0, n, m))
    agree(lambda x: F.cross_entropy(x, target), x)


@examples
@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.data())
def test_sums(shape: list[int], data: st.DataObject) -> None:
    dims = tuple(d for d in range(len(shape)) if data.draw(st.booleans()))
    agree(lambda x: (x * x).sum(dims) if dims else (x * x).sum(), normal(*shape))
    agree(lambda x: x.exp().mean(dims, keepdim=True) if dims else x.exp().mean(), normal(*shape))


FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda x, y: (x + y) * (x - y) / (y * y + 1),
    "exponentials": lambda x, y: x.exp() + (y.abs() + 0.1).log() + torch.sigmoid(x) + F.softplus(y),
    "tanh": lambda x, y: x.tanh() * y,
    "gelu": lambda x, y: F.gelu(x) + F.gelu(y, approximate="tanh"),
    "selection": lambda x, y: torch.where(x > y, x, 2 * y).clamp(-1.5, 2.0) + torch.maximum(x, y) + F.leaky_relu(x),
    "roots": lambda x, y: (x.abs() + 1).sqrt() + (y.abs() + 1).rsqrt() + (x.abs() + 0.5).reciprocal(),
    "units": lambda x, y: F.elu(x) + F.silu(y) + F.hardswish(x) + F.mish(y) + F.selu(x),
}


@pytest.mark.parametrize("formula", FORMULAS)
@examples
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.data())
def test_formulas_on_broadcast_operands(formula: str, shape: list[int], data: st.DataObject) -> None:
    other = [n if data.draw(st.booleans()) else 1 for n in shape]
    agree(FORMULAS[formula], normal(*shape) * 2, normal(*other, seed=1), tolerance=1e-5)


def test_large_formulas_are_cut_into_tasks() -> None:
    agree(lambda x, y: (x * y + x).tanh(), normal(700, 301), normal(301, seed=1))
    agree(lambda x, y: ((x - y) ** 2).mean(), normal(300, 500), normal(300, 1, seed=1))


@pytest.mark.parametrize("function", [np.exp, np.log, np.tanh, np.expm1, np.log1p])
def test_functions_at_their_edges(function: Any) -> None:
    x = np.array(
        [0.0, -0.0, 1e-30, 1e-6, 0.3, 1.0, 5.0, 50.0, 88.0, 90.0, 1e30, np.inf, -1e-6, -0.3, -5.0, -80.0, -90.0, -110.0, -np.inf, np.nan],
        np.float32,
    )
    with np.errstate(all="ignore"):
        wanted = function(x.astype(np.float64)).astype(np.float32)
    step = torch.compile(lambda x: getattr(torch, function.__name__)(x) * 1)
    with torch.no_grad():
        found = step(torch.tensor(x)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=3e-7, atol=1e-38, equal_nan=True)


@pytest.mark.parametrize(
    "function",
    [lambda x: x * 2 + 1, lambda x: torch.softmax(x, 1), lambda x: x.sum(1), lambda x: x @ torch.ones(x.shape[1], 3), lambda x: F.dropout(x, 0.5), torch.relu],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(0, 5), (0, 1), (3, 0)])
def test_tensors_without_elements_need_no_kernel(function: Callable[..., Any], shape: tuple[int, ...]) -> None:
    x = torch.zeros(*shape)
    compiled = torch.compile(lambda x: function(x))
    assert compiled(x).shape == compiled(x).shape == function(x).shape
    np.testing.assert_array_equal(compiled(x).numpy(), function(x).numpy())
    assert all(held is None for held in compiled.programs.values())


@pytest.mark.parametrize("shape", [(64, 784, 100), (3, 70, 1300), (2, 1, 3)])
def test_eager_launches_agree_with_numpy(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear, cross-entropy and Adam with their compiled kernels for single launches, and with NumPy's."""
    m, k, n = shape

    def trained() -> tuple[list[float], Any]:
        torch.manual_seed(0)
        net, target = torch.nn.Linear(k, n), torch.randint(n, (m,))
        x, optimizer = (
            torch.randn(m, k),
            torch.optim.Adam(net.parameters(), eps=1e-2),
        )  # else rounding decides the step of the smallest gradients
        losses = []
        for lr, decay in ((1e-3, 0), (1e-3, 0.5), (1e-2, 0.5)):
            optimizer.param_groups[0].update(lr=lr, weight_decay=decay)
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses, net.weight.detach().numpy()

    losses, weight = trained()
    for name in ("linear", "linear_weight", "cross_entropy", "cross_entropy_data", "adam"):
        assert "numpy" in OPS[name].overrides
        monkeypatch.delitem(OPS[name].overrides, "numpy")
    monkeypatch.setattr(OPS["adam"], "together", None)
    expected, right = trained()
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(weight, right, atol=2e-5 * float(abs(right).max()))


def test_a_class_that_is_none_is_named_by_a_single_launch() -> None:
    with pytest.raises(IndexError, match="Target 7 is out of bounds"):
        F.cross_entropy(torch.zeros(2, 3), torch.tensor([1, 7]))


@pytest.mark.parametrize("n", [1, 3, 64, 1000, 20_001])
def test_uniform_numbers_have_the_bits_of_numpy(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = torch.rand(n, generator=Generator(seed=2**64 - 3, stream=5 << 60)).numpy()
    monkeypatch.delitem(OPS["uniform"].overrides, "numpy")
    np.testing.assert_array_equal(found, torch.rand(n, generator=Generator(seed=2**64 - 3, stream=5 << 60)).numpy())


def known_formulas() -> list[tuple[int, ...]]:
    """Inputs, outputs, constants, places and steps of the formulas that the kernels have compiled."""
    names = {name.upper(): str(code) for name, code in CODES.items()}
    found = []
    for line in (Path(kernels.__file__).parent / "cpu" / "formulas.inc").read_text().splitlines():
        text = re.sub(r"of\(([\d, ]+)\)", lambda m: str(sum(int(n) << 16 * i for i, n in enumerate(m[1].split(",")))), line)
        text = re.sub("[A-Z][A-Z0-9]+", lambda m: names[m[0]], text)
        found.append(tuple(map(int, text.removeprefix("Compiled<").replace(">::update(),", "").removesuffix(">::known(),").split(","))))
    return found


@pytest.mark.parametrize("formula", known_formulas())
@pytest.mark.parametrize(
    ("rows", "width", "summed"), [(1, 1, False), (1, 1000, False), (700, 3, False), (45, 48, True), (300, 16, True), (5, 700, True)]
)
def test_compiled_formulas_are_the_interpreted_ones(formula: tuple[int, ...], rows: int, width: int, summed: bool) -> None:
    kernel = native()
    assert kernel is not None
    inputs, outputs, constants, places, *steps = formula
    random = np.random.default_rng(0)
    given = [random.uniform(0.1, 1, (rows, width)).astype(np.float32) for _ in range(inputs)]
    numbers = random.uniform(0.1, 1, constants).astype(np.float32)

    def run(steps: list[int]) -> list[np.ndarray[Any, Any]]:
        made = [np.zeros((1 if summed else rows, width), np.float32) for _ in range(outputs)]
        partial = np.zeros((rows + width) * outputs * width)
        lie = [n for a in given for n in (address(a), 0, width)] + [n for a in made for n in (address(a), int(summed), width)]
        kernel.call(
            "map", inputs, outputs, constants, address(numbers), places, len(steps) // 3, *steps, rows, width, 64, address(partial), *lie
        )
        return made

    for a, b in zip(run(steps), run([*steps, CODES["copy"], inputs, inputs]), strict=True):  # one step more, and it is not known
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4 if summed else 1e-6)


def test_the_formulas_of_the_benchmarks_are_compiled() -> None:
    subprocess.run([sys.executable, "scripts/formulas.py", "--check"], check=True, env={**os.environ, "PYTHONPATH": "."})

"""Faults put in by hand: each must make its conformance case fail, or the comparison is worth nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")

from engine.dispatch import OPS
from engine.ops import reduce
from engine.ops.conv import conv_weight
from engine.optim import SGD, Adam
from tests.conformance import modules, ops, optimizers

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here


def vjp(op: str, name: str, wrong: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """A wrong derivative in the place of the right one; its parameters say what it is given."""

    def inject(patch: pytest.MonkeyPatch) -> None:
        found = OPS[op]
        patch.setitem(found.vjps, name, wrong)
        patch.setitem(found.plans, name, found._plan(wrong))
        patch.setitem(found.needs, name, found._needs(found.plans[name]))

    return inject


def kernel(op: str, change: Callable[[Any], None]) -> Callable[[pytest.MonkeyPatch], None]:
    """What ``change`` does to the result after the right kernel."""

    def inject(patch: pytest.MonkeyPatch) -> None:
        right = OPS[op].kernel
        assert right is not None

        def wrong(out: Any, *ins: Any, **attrs: Any) -> None:
            right(out, *ins, **attrs)
            change(out)

        patch.setattr(OPS[op], "kernel", wrong)

    return inject


def biased_variance(patch: pytest.MonkeyPatch) -> None:
    right = reduce._correction
    patch.setattr(reduce, "_correction", lambda dim, correction, unbiased: (right(dim, correction, unbiased)[0], 0))


def forgotten_decay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SGD.update, "kernel", _without(SGD.update.kernel, "weight_decay"))


def forgotten_correction(patch: pytest.MonkeyPatch) -> None:
    right = Adam.hyperparameters
    patch.setattr(Adam, "hyperparameters", lambda self, group, state: {**right(self, group, state), "correction": 1.0})


def _without(right: Any, name: str) -> Any:
    return lambda outs, *ins, **hyper: right(outs, *ins, **{**hyper, name: 0})


def flipped(g: Any, x: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    return conv_weight(x, g, stride, padding, dilation, groups, w_shape[2:]).flip(-1)


FAULTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Any, str]] = {
    "a wrong sign in one vjp": (vjp("cos", "x", lambda g, x: g * x.sin()), ops, "cos"),
    "a factor in one vjp": (vjp("tanh", "x", lambda g, y: g * (1 - y * y) * 1.001), ops, "tanh"),
    "the operand taken for the other": (vjp("div", "b", lambda g, a, b: -g * b / (a * a)), ops, "div.no_rounding_mode"),
    "a gradient that is not transposed back": (vjp("permute", "x", lambda g, dims: g.permute(dims)), ops, "permute"),
    "a softmax without its sum": (vjp("softmax", "x", lambda g, y: y * g), ops, "softmax"),
    "a biased variance": (biased_variance, ops, "var"),
    "a result rounded to float32": (kernel("exp", lambda out: out.__setitem__(..., out.astype("float32"))), ops, "exp"),
    "a convolution's weight gradient flipped": (vjp("conv", "w", flipped), modules, "Conv2d"),
    "weight decay forgotten": (forgotten_decay, optimizers, "SGD"),
    "no bias correction": (forgotten_correction, optimizers, "Adam"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inject, group, name = FAULTS[fault]
    info = group.database()[name]
    group.check_samples(info)
    inject(monkeypatch)
    with pytest.raises(AssertionError):
        group.check_samples(info)


def test_every_unsupported_case_is_listed() -> None:
    """docs/differences.md names just the cases that are not compared."""
    text = (Path(__file__).parents[2] / "docs" / "differences.md").read_text()
    listed = set(text.split("<!-- unsupported -->")[1].replace("`", "").replace(",", " ").split())
    missing = {name for group in (ops, modules, optimizers) for name, info in group.database().items() if group.resolve(info) is None}
    assert listed == missing, f"not listed: {sorted(missing - listed)}; listed but supported: {sorted(listed - missing)}"

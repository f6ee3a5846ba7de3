"""Connectionist temporal classification beside PyTorch's: losses and gradients through a softmax."""

from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
SCORES = np.random.default_rng(0).normal(size=(9, 4, 6))
CASES: dict[str, dict[str, Any]] = {
    "padded": {"targets": [[1, 2, 3], [4, 4, 0], [5, 1, 1], [2, 0, 0]], "steps": [9, 7, 9, 5], "lengths": [3, 2, 3, 1]},
    "repeated labels": {"targets": [[1, 1, 1], [4, 4, 4], [5, 5, 1], [2, 3, 3]], "steps": [9, 8, 9, 7], "lengths": [3, 3, 3, 3]},
    "one behind the other": {"targets": [1, 2, 3, 4, 4, 5, 2], "steps": [9, 7, 9, 5], "lengths": [3, 2, 1, 1]},
    "without labels": {"targets": [[1, 2], [4, 4], [5, 1], [2, 3]], "steps": [9, 7, 9, 5], "lengths": [0, 2, 0, 1]},
    "another blank": {"targets": [[1, 2, 3], [4, 4, 0], [0, 1, 1], [2, 0, 0]], "steps": [9, 7, 9, 5], "lengths": [3, 3, 3, 1], "blank": 5},
    "too short": {
        "targets": [[1, 2, 3], [4, 4, 5], [5, 1, 1], [2, 1, 1]],
        "steps": [9, 3, 3, 0],
        "lengths": [3, 3, 3, 1],
        "zero_infinity": True,
    },
    "one label a step": {"targets": [[1, 2, 3], [4, 5, 4], [5, 1, 2], [2, 1, 3]], "steps": [3, 3, 9, 9], "lengths": [3, 3, 3, 3]},
}


def outcome(lib: Any, case: dict[str, Any], reduction: str, single: bool) -> tuple[Any, Any]:
    x = lib.tensor(SCORES[:, 0] if single else SCORES, requires_grad=True)
    given = [case["targets"], case["steps"], case["lengths"]]
    if single:
        given = [given[0][0], given[1][:1], given[2][:1]]
    options = {k: v for k, v in case.items() if k in ("blank", "zero_infinity")}
    loss = lib.nn.CTCLoss(reduction=reduction, **options)(lib.nn.functional.log_softmax(x, -1), *map(lib.tensor, given))
    (loss * lib.tensor([1.0, 2.0, 3.0, 4.0]) if loss.ndim == 1 else loss).sum().backward()
    return loss.detach().numpy(), x.grad.numpy()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients(name: str, reduction: str) -> None:
    ours, theirs = (outcome(lib, CASES[name], reduction, False) for lib in (engine, torch))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_a_sequence_by_itself() -> None:
    for a, b in zip(*(outcome(lib, CASES["padded"], "none", True) for lib in (engine, torch)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("steps", "lengths", "blank"),
    [([10, 9, 9, 9], [3, 3, 3, 3], 0), ([9], [3, 3, 3, 3], 0), ([9, 9, 9, 9], [4, 3, 3, 3], 0), ([9.0, 9, 9, 9], [3, 3, 3, 3], 0), ([9, -1, 9, 9], [3, 3, 3, 3], 0), ([9, 9, 9, 9], [3, 3, 3, 3], 6)],
)  # fmt: skip
def test_errors_are_pytorchs(steps: list[float], lengths: list[int], blank: int) -> None:
    for lib in (engine, torch):
        with pytest.raises(RuntimeError):
            lib.nn.functional.ctc_loss(
                lib.tensor(SCORES), lib.tensor(CASES["padded"]["targets"]), lib.tensor(steps), lib.tensor(lengths), blank
            )

"""Captured steps: the same numbers as eager ones, state left as a step leaves it, and a reason where a step cannot be captured."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from engine.dispatch import idle, observing
from engine.kernels.native import _threads, native
from tests.capture.networks import NETWORKS, Training

needs_kernels = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")


def run(name: str, steps: int, **how: Any) -> tuple[list[float], Training]:
    """The losses of some steps: eager, or compiled with the options given."""
    training = Training(name)
    step = torch.compile(training.step, **how) if how else training.step
    losses = [step(*training.batch(i)).item() for i in range(steps)]
    if how:
        assert all(step.programs.values()), "it was not captured"
    return losses, training


@pytest.mark.parametrize("name", NETWORKS)
def test_replay_has_the_bits_of_eager_steps(name: str) -> None:
    eager, a = run(name, 4)
    replayed, b = run(name, 4, fuse=False)
    assert eager == replayed
    for key, value in a.state().items():
        assert np.array_equal(value, b.state()[key]), key


@needs_kernels
@pytest.mark.parametrize("name", NETWORKS)
def test_fused_steps_agree_with_eager_ones(name: str) -> None:
    eager, a = run(name, 6)
    fused, b = run(name, 6, fuse=True)
    np.testing.assert_allclose(fused, eager, rtol=2e-4)
    for key, value in a.state().items():
        other = b.state()[key]
        assert np.linalg.norm(value - other) <= 2e-3 * np.linalg.norm(value) + 1e-6, key


@needs_kernels
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradients_of_a_fused_step(name: str) -> None:
    """Of one step from the same start, to single precision; a gradient that is 0 up to rounding is held to the scale of the others."""
    _, a = run(name, 1)
    _, b = run(name, 1, fuse=True)
    scale = max(float(p.grad.abs().max()) for p in a.model.parameters())
    for (key, p), q in zip(a.model.named_parameters(), b.model.parameters(), strict=True):
        np.testing.assert_allclose(
            q.grad.numpy(), p.grad.numpy(), rtol=0, atol=2e-5 * max(float(p.grad.abs().max()), 0.01 * scale), err_msg=key
        )


@needs_kernels
@pytest.mark.parametrize("name", ["convolutions", "winograd", "residual", "attention", "perceptron"])
def test_bits_do_not_depend_on_threads(name: str) -> None:
    found, plan, before = [], {}, torch.get_num_threads()
    try:
        for n in (1, 2, 4, 1):
            torch.set_num_threads(n)
            losses, training = run(name, 3, fuse=True, plan=plan)
            found.append((losses, training.state()))
    finally:
        torch.set_num_threads(before)
    for losses, state in found[1:]:
        assert losses == found[0][0]
        assert all(np.array_equal(v, found[0][1][k]) for k, v in state.items())


def test_recording_takes_no_step() -> None:
    """The first call of a compiled step is one step: parameters, statistics, random numbers and counts are where one step puts them."""
    for name in ("residual", "dropout", "attention"):
        a = Training(name)
        x, y = a.batch(0)
        a.step(x, y)
        b = Training(name)
        torch.compile(b.step, fuse=False)(x, y)
        for key, value in a.state().items():
            assert np.array_equal(value, b.state()[key]), (name, key)
        assert [s.get("step") for s in a.optimizer.state.values()] == [s.get("step") for s in b.optimizer.state.values()]


def test_random_numbers_go_on_where_eager_ones_would() -> None:
    a = Training("dropout")
    x, y = a.batch(0)
    for _ in range(3):
        a.step(x, y)
    state = torch.get_rng_state()
    b = Training("dropout")
    compiled = torch.compile(b.step)
    for _ in range(3):
        compiled(x, y)
    assert torch.get_rng_state() == state


def test_learning_rates_are_looked_up_at_each_step() -> None:
    results = []
    for compiled in (False, True):
        t = Training("perceptron")
        scheduler = torch.optim.lr_scheduler.StepLR(t.optimizer, 1, 0.5)
        step = torch.compile(t.step, fuse=False) if compiled else t.step
        for i in range(4):
            step(*t.batch(i))
            scheduler.step()
        results.append(t.state())
    assert all(np.array_equal(v, results[1][k]) for k, v in results[0].items())


def test_each_shape_has_its_program() -> None:
    t, u = Training("residual"), Training("residual")
    step = torch.compile(t.step, fuse=False)
    for i, size in enumerate((4, 2, 4, 3, 2)):
        assert step(*t.batch(i, size)).item() == u.step(*u.batch(i, size)).item()
    assert len(step.programs) == 3


def test_replay_refuses_other_shapes_and_shows_both() -> None:
    t = Training("perceptron")
    step = torch.compile(t.step)
    step(*t.batch(0))
    ((program,),) = step.programs.values()
    with pytest.raises(ValueError, match=r"\[13, 30\].*\[5, 30\]"):
        program.run(t.batch(0, 5))


def test_a_loaded_optimizer_state_is_used() -> None:
    a, b = Training("perceptron"), Training("perceptron")
    step = torch.compile(b.step, fuse=False)
    for i in range(3):
        a.step(*a.batch(i))
        step(*b.batch(i))
    saved = b.optimizer.state_dict()
    before = {k: v.clone() for k, v in b.model.state_dict().items()}
    step(*b.batch(3))
    b.model.load_state_dict(before)
    b.optimizer.load_state_dict(
        {
            **saved,
            "state": {
                n: {k: v.clone() if hasattr(v, "clone") else v for k, v in s.items()} for n, s in a.optimizer.state_dict()["state"].items()
            },
        }
    )
    a.step(*a.batch(3))
    step(*b.batch(3))
    for key, value in a.state().items():
        assert np.array_equal(value, b.state()[key]), key


def test_evaluation_is_captured_too() -> None:
    t = Training("residual")
    t.step(*t.batch(0))
    t.model.eval()
    with torch.no_grad():
        predict = torch.compile(lambda x: t.model(x))
        for i in range(3):
            x, _ = t.batch(i)
            np.testing.assert_allclose(predict(x).numpy(), t.model(x).numpy(), rtol=1e-4, atol=1e-5)
        x[0] = 0
        np.testing.assert_allclose(predict(x).numpy(), t.model(x).numpy(), rtol=1e-4, atol=1e-5)
    assert all(predict.programs.values())


def test_a_mode_that_changed_is_noticed() -> None:
    t = Training("dropout")
    step = torch.compile(lambda x: t.model(x))
    x, _ = t.batch(0)
    assert (step(x) != step(x)).any()
    t.model.eval()
    np.testing.assert_allclose(step(x).detach().numpy(), t.model(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    t.model.train()
    assert (step(x) != step(x)).any() and len(step.programs) == 1


def test_results_are_the_callers() -> None:
    double = torch.compile(lambda x: x * 2)
    a = double(torch.ones(3))
    b = double(torch.zeros(3))
    assert a.tolist() == [2, 2, 2] and b.tolist() == [0, 0, 0]


def branches(x: Any) -> Any:
    return x * 2 if x.sum() > 0 else x


def looks(x: Any) -> Any:
    return x * x.mean().item()


def accumulates(x: Any) -> Any:
    loss = (WEIGHT * x).sum()
    loss.backward()
    return loss


def slices(x: Any) -> Any:
    y = x * 2
    y[0] = 1
    return y


WEIGHT = torch.ones(3, requires_grad=True)


@pytest.mark.parametrize(
    ("step", "reason"), [(branches, "element from Python"), (looks, "element from Python"), (slices, "a part of a tensor")]
)
def test_what_cannot_be_captured_runs_as_it_is_and_says_why(step: Any, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    compiled = torch.compile(step)
    x = torch.tensor([1.0, 2.0, 4.0])
    with caplog.at_level(logging.WARNING, "engine.capture"):
        assert torch.equal(compiled(x), step(x)) and torch.equal(compiled(-x), step(-x))
    assert len(caplog.records) == 1 and step.__name__ in caplog.text and reason in caplog.text


def test_indices_that_are_arguments_are_looked_up_each_time() -> None:
    compiled = torch.compile(lambda x, index: x.index_select(0, index))
    for index in ([2, 0], [1, 1]):
        assert compiled(torch.tensor([1.0, 2.0, 4.0]), torch.tensor(index)).tolist() == [[1.0, 2.0, 4.0][i] for i in index]


def test_an_index_that_is_a_number_in_a_tensor_is_looked_up_each_time() -> None:
    x, n = torch.tensor([1.0, 2.0, 4.0]), torch.tensor(0)
    compiled = torch.compile(lambda x: x[n] * 2)
    for expected in (2, 4, 8):
        assert compiled(x).item() == expected
        n += 1


def test_gradients_that_add_up_are_not_captured(caplog: pytest.LogCaptureFixture) -> None:
    WEIGHT.grad = None
    compiled = torch.compile(accumulates)
    with caplog.at_level(logging.WARNING, "engine.capture"):
        for _ in range(3):
            compiled(torch.ones(3))
    assert WEIGHT.grad.tolist() == [3, 3, 3]


def test_python_that_changes_from_call_to_call_is_not_captured(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def step(x: Any) -> Any:
        calls.append(0)
        return x + len(calls)

    with caplog.at_level(logging.WARNING, "engine.capture"):
        compiled = torch.compile(step)
        assert [compiled(torch.zeros(1)).item() for _ in range(3)] == [1, 2, 3]
    assert "it changes calls" in caplog.text


@needs_kernels
def test_a_target_that_is_no_class_changes_nothing() -> None:
    t = Training("perceptron")
    step = torch.compile(t.step)
    x, y = t.batch(0)
    step(x, y)
    before = t.state()
    y[3] = 7
    with pytest.raises(IndexError, match="Target 7 is out of bounds"):
        step(x, y)
    assert all(np.array_equal(v, t.state()[k]) for k, v in before.items())


def test_a_network_is_one_native_call() -> None:
    if native() is None:
        pytest.skip("no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
    for name in ("regression", "convolutions", "residual", "winograd", "bottleneck"):
        t = Training(name)
        step = torch.compile(t.step)
        step(*t.batch(0))
        ((program,),) = step.programs.values()
        assert len(program.segments) == 1, (name, program.launched)


def test_nothing_is_computed_that_nobody_needs() -> None:
    layer = nn.Linear(3, 3)
    step = torch.compile(lambda x: (layer(x).exp(), x.sum())[1])
    with torch.no_grad():
        assert step(torch.ones(2, 3)).item() == 6
    ((program,),) = step.programs.values()
    assert len(program.builder.instructions) == 1 or native() is None


@pytest.mark.parametrize("name", ["regression", "dropout", "residual"])
def test_many_steps_in_one_call(name: str) -> None:
    """The bits of as many calls, the learning rate's changes and the random numbers included."""
    a, plan = Training(name), dict[str, int]()
    batches = [a.batch(i) for i in range(5)]
    one = torch.compile(a.step, plan=plan)
    expected = [one(x, y).item() for x, y in batches]
    b = Training(name)
    many = torch.compile(b.step, plan=plan)
    found = many.many(torch.stack([x for x, _ in batches[:3]]), torch.stack([y for _, y in batches[:3]])).tolist()
    found += many.many(torch.stack([x for x, _ in batches[3:]]), torch.stack([y for _, y in batches[3:]])).tolist()
    assert found == expected
    assert all(np.array_equal(v, b.state()[k]) for k, v in a.state().items())


def test_comparisons_that_are_wanted_as_booleans() -> None:
    step = torch.compile(lambda x: ((x > 0), (x > 0).long().sum(), torch.where(x > 1, x, 0)))
    x = torch.tensor([-1.0, 0.5, 2.0])
    positive, count, kept = step(x)
    assert positive.tolist() == [False, True, True] and count.item() == 2 and kept.tolist() == [0, 0, 2]
    assert all(step.programs.values())


def test_a_replaced_tensor_is_noticed() -> None:
    a, b = Training("perceptron"), Training("perceptron")
    step = torch.compile(b.step, fuse=False)
    for t, f in ((a, a.step), (b, step)):
        f(*t.batch(0))
        t.model[0].weight.data = t.model[0].weight.data * 0.5
        f(*t.batch(1))
    assert all(np.array_equal(v, b.state()[k]) for k, v in a.state().items())


def test_a_frozen_layer_stays_as_it_is() -> None:
    t = Training("perceptron")
    step = torch.compile(t.step)
    step(*t.batch(0))
    t.model[0].requires_grad_(False)
    before = t.state()
    step(*t.batch(1))
    after = t.state()
    assert np.array_equal(before["0.weight"], after["0.weight"]) and not np.array_equal(before["2.weight"], after["2.weight"])


def test_a_parameter_group_that_is_added_is_updated() -> None:
    t = Training("perceptron")
    t.optimizer = torch.optim.SGD(t.model[0].parameters(), lr=0.1)
    step = torch.compile(t.step)
    before = t.state()
    step(*t.batch(0))
    assert np.array_equal(before["2.weight"], t.state()["2.weight"])
    t.optimizer.add_param_group({"params": list(t.model[2].parameters())})
    step(*t.batch(0))
    assert not np.array_equal(before["2.weight"], t.state()["2.weight"])


def test_gradients_can_be_clipped_and_added_up_in_a_step() -> None:
    def train(t: Training, x: Any, y: Any) -> Any:
        t.optimizer.zero_grad()
        for half in (slice(0, 6), slice(6, 13)):
            loss = t.loss(t.model(x[half]), y[half])
            loss.backward()
        nn.utils.clip_grad_norm_(t.model.parameters(), 0.1)
        t.optimizer.step()
        return loss

    a, b = Training("perceptron"), Training("perceptron")
    step = torch.compile(lambda x, y: train(b, x, y), fuse=False)
    for i in range(3):
        assert train(a, *a.batch(i)).item() == step(*b.batch(i)).item()
    assert all(step.programs.values())
    assert all(np.array_equal(v, b.state()[k]) for k, v in a.state().items())


def test_what_other_threads_compute_is_no_part_of_a_record() -> None:
    seen: list[str] = []
    x = torch.ones(3)
    with observing(lambda op, *_: seen.append(op.name)), idle(0), ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(lambda: torch.ones(3) * 2).result()
        assert x.neg().shape == (3,)
    assert theirs.tolist() == [2, 2, 2] and seen == ["neg"]


@needs_kernels
def test_a_constant_made_of_a_result_is_not_taken_for_one() -> None:
    step = torch.compile(lambda x: x * torch.tensor(np.array((x + 1)._data)))
    for start in (1.0, 5.0):
        assert step(torch.tensor([start, 2.0])).tolist() == [start * (start + 1), 6]
    assert list(step.programs.values()) == [None]


@pytest.mark.parametrize("text", ["0", "-1", "two", ""])
def test_a_number_of_threads_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="EPOCHLINE_THREADS: expected a positive integer"):
        _threads(text)

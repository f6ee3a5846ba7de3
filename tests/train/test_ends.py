"""Which epoch is the best, when training stops, and how it ends when numbers are no numbers any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.source import Source
from engine.spec import SpecError, check
from engine.train import Best, Diverged, EpochEnd, Metrics, Run, VariantEnd
from engine.train.monitor import Monitor
from engine.train.records import Progress
from tests.data.prepared import prepared
from tests.train.jobs import job, points

NET: list[dict[str, Any]] = [{"type": "Linear", "out_features": 16}, {"type": "ReLU"}, {"type": "Linear", "out_features": 2}]


def judged(values: list[float | None], monitor: str = "val_loss", **stopping: Any) -> tuple[list[bool], int]:
    """Which epochs of a sequence are the best so far, and how many there are until training stops."""
    p, found = Progress(), []
    m = Monitor({"early_stopping": {"monitor": monitor, "patience": 2, "min_delta": 0.0, "mode": None, **stopping}}, True)
    for value in values:
        found.append(m.judge({} if value is None else {monitor: value}, p))
        if p.stopped:
            break
    return found, len(found)


YES, NO = True, False


@pytest.mark.parametrize(
    ("values", "how", "best", "epochs"),
    [
        ([3, 2, 1, 2, 2], {}, [YES, YES, YES, NO, NO], 5),
        ([3, 2, 2, 2], {}, [YES, YES, NO, NO], 4),  # equal is not better
        ([3, 2.9, 2.85, 1], {"min_delta": 0.5}, [YES, YES, YES], 3),  # best moves, patience runs out
        ([3, 2.8, 2.6, 2.4, 2.3], {"min_delta": 0.5}, [YES, YES, YES], 3),
        ([3, 2.8, 2.4, 2.3, 1.8], {"min_delta": 0.5}, [YES] * 5, 5),  # 2.4 beats 3 by more, and so does 1.8 beat 2.4
        ([1, 2, 3, 2.5], {"mode": "max"}, [YES, YES, YES, NO], 4),
        ([0.5, 0.6, 0.6, 0.4], {"monitor": "val_f1"}, [YES, YES, NO, NO], 4),
        ([5, 4, 6, 6], {"monitor": "val_mae"}, [YES, YES, NO, NO], 4),
        ([None, 2, None, 1, None, None], {}, [NO, YES, NO, YES, NO, NO], 6),  # an epoch without the value is no better
        ([2, 1, 2], {"patience": 1}, [YES, YES, NO], 3),
    ],
)
def test_best_and_patience(values: list[float | None], how: dict[str, Any], best: list[bool], epochs: int) -> None:
    assert judged(values, **how) == (best, epochs)


def test_the_leader_of_variants() -> None:
    bests = [Best(str(i), i, value, i, i, i) for i, value in enumerate([0.5, 0.2, 0.9, 0.2])]
    loss = Monitor({"early_stopping": None}, True)
    assert loss.leader(bests) is bests[1] and loss.leader([]) is None and loss.name == "val_loss"
    assert Monitor({"early_stopping": None}, False).name == "train_loss"
    accuracy = Monitor({"early_stopping": {"monitor": "val_accuracy", "mode": None}}, True)
    assert accuracy.mode == "max" and accuracy.leader(bests) is bests[2]


def noise(folder: Path, **more: Any) -> Source:
    """Classes that cannot be learnt, so that a network overfits."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 30)).astype(np.float32)
    return prepared(folder, x, (x[:, 0] + 2 * rng.normal(size=60) > 0).astype(np.int64), **more)


def test_a_plateau_looks_at_what_is_monitored(tmp_path: Path) -> None:
    source = noise(tmp_path)
    for monitor, metrics in (("val_accuracy", ["accuracy"]), ("val_loss", []), ("train_loss", [])):
        run = job(
            source, model=NET, epochs=12, metrics=metrics, optimizer={"type": "Adam", "lr": 0.02}, data={"validation": 0.4},
            scheduler={"type": "ReduceLROnPlateau", "patience": 0, "threshold": 0.0, "factor": 0.5},
            early_stopping={"monitor": monitor, "patience": 50},
        )  # fmt: skip
        history = points(run)
        split, name = monitor.split("_")
        values = [p.values[name] for p in history if p.split == split] if split == "val" else None
        rates = [next(p.values["lr"] for p in history if p.epoch == e) for e in range(1, 13)]
        if values is None:
            assert rates[-1] == 0.02  # the training loss falls all the time
            continue
        sign, wanted, best = (-1 if name == "loss" else 1), [0.02], -np.inf
        for v in values[:-1]:
            wanted.append(wanted[-1] * (1 if sign * v > best else 0.5))
            best = max(best, sign * v)
        assert rates == pytest.approx(wanted) and rates[-1] < 0.02


def test_what_cannot_be_monitored_is_refused(tmp_path: Path) -> None:
    source = noise(tmp_path)
    for stopping, more, word in (
        ({"monitor": "val_f1"}, {}, r'"metrics": \["f1"\]'),
        ({"monitor": "val_nothing"}, {}, "one of"),
        ({"monitor": "val_confusion_matrix"}, {"metrics": ["confusion_matrix"]}, "one of"),
        ({"monitor": "val_loss"}, {"data": {"validation": 0.0}}, "held-out"),
    ):
        with pytest.raises(SpecError, match=word) as error:
            job(source, early_stopping=stopping, **more)
        assert [p.pointer for p in error.value.problems] == ["/early_stopping/monitor"]
    with pytest.raises(SpecError, match="numbers as outputs"):
        job(source, metrics=["accuracy", "mae"])


def test_the_end_of_every_variant_and_the_best_of_all(tmp_path: Path) -> None:
    variants = [{"name": "overfits", "optimizer": {"type": "Adam", "lr": 0.01}}, {"name": "poor", "optimizer": {"type": "SGD", "lr": 1e-5}}]
    run = job(noise(tmp_path), model=NET, epochs=10, data={"validation": 0.4}, compare=variants)
    records = list(run)
    ends = [r for r in records if isinstance(r, EpochEnd)]
    assert [(e.variant, e.epoch) for e in ends if e.last] == [("overfits", 10), ("poor", 10)]
    for name, best in zip(("overfits", "poor"), run.bests, strict=True):
        losses = {r.epoch: r.values["loss"] for r in records if isinstance(r, Metrics) and r.variant == name and r.split == "val"}
        assert best.epoch == min(losses, key=lambda e: losses[e]) == [e for e in ends if e.variant == name and e.best][-1].epoch
    leader = min(run.bests, key=lambda b: b.value)
    assert run.best == leader and [e for e in ends if e.leads][-1].epoch == leader.epoch
    assert run.results()["best_step"] == leader.step and run.bests[0].epoch < 10


def test_a_test_split_is_evaluated_once_with_the_best_model(tmp_path: Path) -> None:
    splits = ["test" if i % 3 == 0 else "val" if i % 3 == 1 else "train" for i in range(60)]
    run = job(noise(tmp_path, splits=splits), model=NET, epochs=12, optimizer={"type": "Adam", "lr": 0.02}, metrics=["accuracy"])
    kept, states, found = {}, [], []
    for r in run:
        if isinstance(r, EpochEnd):
            kept[r.epoch] = {k: x.clone() for k, x in run.model.state_dict().items()}
            states.append(run.state())
        elif isinstance(r, Metrics) and r.split == "test":
            found.append(r)
    [point] = found
    best = run.best
    assert best is not None and best.epoch < 12 and isinstance(point, Metrics)
    assert (point.epoch, point.step) == (best.epoch, best.own_step)
    assert run._job is not None
    run._job.model.load_state_dict(kept[best.epoch])
    wanted = run._job.evaluation(run._test_indices)
    assert point.values == wanted and run.finals[0]["test_accuracy"] == wanted["accuracy"]
    again = Run(run.spec, run.source)  # went away after the last epoch
    last = states[-1]
    last.best = kept[best.epoch]
    again.restore(last)
    assert [r.values for r in again if isinstance(r, Metrics)] == [wanted]


# -- divergence


def layers(loss: float) -> dict[str, Any]:
    return {"model": NET, "optimizer": {"type": "SGD", "lr": loss}, "epochs": 4, "data": {"validation": 0.25, "batch_size": 8}}


def diverged(run: Run) -> Diverged:
    with pytest.raises(Diverged) as error:
        list(run)
    return error.value


def test_the_layer_whose_output_overflows_is_named(tmp_path: Path) -> None:
    error = diverged(job(noise(tmp_path), **layers(1e30)))
    assert error.cause is not None and error.cause.what == "the output" and "Linear" in error.cause.layer
    assert error.cause.step == error.step and "learning rate" in str(error)
    assert error.as_dict()["pointer"] == "/optimizer" and error.as_dict()["layer"] == error.cause.layer


def test_probabilities_that_are_no_numbers_are_divergence(tmp_path: Path) -> None:
    """BCELoss refuses them where it is not captured, as when the steps are made again."""
    x = np.ones((40, 3), np.float32)
    x[30] = np.nan
    source = prepared(tmp_path, x, (np.arange(40) % 2).astype(np.float32)[:, None])
    model = [{"type": "Linear", "out_features": 1}, {"type": "Sigmoid"}]
    error = diverged(job(source, "BCELoss", model, data={"batch_size": 8, "validation": 0.0, "shuffle": False}))
    assert error.step == 4 and error.cause is not None and error.cause.what == "the input"


def test_an_update_that_overflows_is_named(tmp_path: Path) -> None:
    x = np.full((40, 3), 1e4, np.float32)
    error = diverged(job(prepared(tmp_path, x, np.arange(40) % 2), **layers(3e38)))
    assert error.cause is not None and error.cause.what == "the update" and "parameter" in error.cause.layer
    assert error.cause.step == error.step - 1 == 1


def test_a_gradient_that_is_no_number_is_named(tmp_path: Path) -> None:
    x = np.ones((40, 3), np.float32)
    x[::7] = 0  # where a square root has no derivative
    source = prepared(tmp_path, x, np.zeros((40, 1), np.float32))
    model = [
        {"type": "Linear", "out_features": 4, "bias": False}, {"type": "LPPool1d", "norm_type": 2.0, "kernel_size": 2},
        {"type": "Linear", "out_features": 1},
    ]  # fmt: skip
    try:
        run = job(source, "MSELoss", model, data={"batch_size": 40, "validation": 0.0, "shuffle": False})
    except SpecError:
        pytest.skip("no such pooling in specs")
    error = diverged(run)
    assert error.cause is not None and error.cause.what == "the gradient" and error.cause.step == error.step - 1


def test_an_input_that_is_no_number_is_named(tmp_path: Path) -> None:
    x = np.ones((40, 3), np.float32)
    x[30] = np.nan
    run = job(prepared(tmp_path, x, np.arange(40) % 2), data={"batch_size": 8, "validation": 0.0, "shuffle": False})
    error = diverged(run)
    assert error.step == 4 and error.cause is not None and error.cause.what == "the input"


def test_divergence_is_found_far_from_the_beginning(tmp_path: Path) -> None:
    """The steps made again begin at a copy of the state, many epochs on, and end in a validation."""
    x = np.ones((20, 3), np.float32)
    x[::2] = -1
    y = (x[:, :1] + 1) * 3 + np.arange(20, dtype=np.float32)[:, None] % 5
    run = job(
        prepared(tmp_path, x, y), "MSELoss", [{"type": "Linear", "out_features": 1}], epochs=1000,
        optimizer={"type": "SGD", "lr": 1e-3}, data={"batch_size": 4, "validation": 0.25},
        scheduler={"type": "ExponentialLR", "gamma": 1.1},
    )  # fmt: skip
    error = diverged(run)
    assert error.step > 200 and error.cause is not None and abs(error.cause.step - error.step) <= 1, str(error)


def test_a_variant_that_diverges_ends_alone(tmp_path: Path) -> None:
    variants = [
        {"name": "a", "optimizer": {"type": "SGD", "lr": 0.01}},
        {"name": "b", "optimizer": {"type": "SGD", "lr": 1e30}},
        {"name": "c", "optimizer": {"type": "Adam"}},
    ]
    run = job(noise(tmp_path), model=NET, compare=variants)
    planned = run.total_steps
    records = list(run)
    [end] = [r for r in records if isinstance(r, VariantEnd)]
    assert end.variant == "b" and end.error.pointer == "/compare/1/optimizer"
    assert [f["variant"] for f in run.finals] == ["a", "b", "c"] and [f.get("epochs") for f in run.finals] == [3, 0, 3]
    assert run.finals[1]["error"]["pointer"] == "/compare/1/optimizer" and "error" not in run.finals[0]
    assert run.total_steps == run.done_steps < planned
    error = diverged(job(noise(tmp_path), model=NET, compare=[variants[1], {**variants[1], "name": "d"}]))
    assert error.pointer == "/compare/1/optimizer"


# -- going on


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"sampler": "balanced", "batch_size": 4}, "gradient_accumulation": 2, "gradient_clip": {"norm": 0.5}},
        {"early_stopping": {"monitor": "val_accuracy", "patience": 2}, "metrics": ["accuracy"], "epochs": 9},
        {"compare": [{"name": "a", "seed": 1}, {"name": "b", "optimizer": {"type": "SGD", "lr": 1e30}}, {"name": "c", "seed": 2}]},
    ],
)
def test_a_run_that_goes_on_has_the_numbers_of_one_that_never_stopped(tmp_path: Path, changes: dict[str, Any]) -> None:
    source, plan = noise(tmp_path), dict[str, int]()
    more = {"model": NET, "optimizer": {"type": "Adam", "lr": 0.01}, **changes}
    spec = job(source, **more).spec
    straight = Run(spec, source, plan=plan)
    whole = points(straight)
    for stop in range(2, len(whole) - 1, 5):
        first, seen = Run(spec, source, plan=plan), list[Metrics]()
        for r in first:
            if isinstance(r, Metrics):
                seen.append(r)
            if (
                len(seen) >= stop
                and not first.epoch_is_over
                and (isinstance(r, EpochEnd) or (isinstance(r, Metrics) and r.split == "train"))
            ):
                break
        again = Run(check(spec), source, plan=plan)
        again.restore(first.state())
        rest = points(again)
        assert [p.as_dict() for p in seen + rest] == [p.as_dict() for p in whole], stop
        assert again.results() == straight.results() and again.total_steps == straight.total_steps

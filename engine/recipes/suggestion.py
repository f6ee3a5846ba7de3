"""A spec for a dataset: sizes, epochs and batches by how much there is to learn from, and what its kind of sample is usually learned with."""

from __future__ import annotations

import math
from typing import Any

from engine.check import outputs_wanted, sample_shape, targets_for
from engine.data.balance import unweightable
from engine.data.selftarget import with_own_targets
from engine.data.source import Source
from engine.data.split import partition, test_indices
from engine.data.views import as_read
from engine.metrics import unfit
from engine.recipes.networks import Need, network
from engine.recipes.tasks import Task, possible_tasks, predicts_itself
from engine.recipes.transforms import augmentation
from engine.spec import check

_SEED = 1
_LOSSES: dict[str, str] = {"labels": "BCEWithLogitsLoss", "regression": "MSELoss"}
_METRICS: dict[str, tuple[str, ...]] = {"labels": ("accuracy", "f1"), "regression": ("mae", "r2"), "segmentation": ("accuracy", "iou")}
_IMBALANCED = 3.0
BARE: dict[str, Any] = {"model": [{"type": "Identity"}], "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD"}, "data": {}}
"""A spec that says nothing of how a dataset is read."""
_STEPS = 3000
"""How many steps training is to take at most, where that is five epochs or more."""


def suggest(source: Source, task: Task | None = None) -> dict[str, Any]:
    """A spec, as JSON, that trains on a dataset and passes the check; ``data.dataset`` is left to be named.

    ``task``: what is to be learned, by default the likeliest. Raises ValueError for a task that the dataset does not allow.
    """
    source = as_read(source, check(BARE))
    allowed = possible_tasks(source)
    if task is None and allowed:
        task = allowed[0]
    if task is None or task not in allowed:
        raise ValueError(f"expected a task that the dataset's targets allow ({', '.join(allowed) or 'there is none'}), got {task!r}")
    data: dict[str, Any] = {"validation": _validation(source), "transform": augmentation(source, task)}
    loss: dict[str, Any] = {"type": _LOSSES.get(task, "CrossEntropyLoss")}
    if task == "language_model":
        loss["class_dim"] = -1
        if predicts_itself(source):
            data["target"] = "next"
    spec: dict[str, Any] = {
        "name": f"suggested-{task}",
        "seed": _SEED,
        "loss": loss,
        "optimizer": {"type": "AdamW", "lr": 0.002, "weight_decay": 0.01},
        "model": [{"type": "SequenceLengths" if task == "language_model" else "Identity"}],
        "data": data,
    }
    checked = check(spec)
    shape = sample_shape(source, checked)
    source = with_own_targets(as_read(source, checked), checked, shape)
    targets = targets_for(checked, source)
    train = partition(source, checked)[0]
    need = Need(task, tuple(shape), tuple(targets.shape[1:]), outputs_wanted(checked, source), len(train), source.index_limit)
    data.update(_batches(len(train), shape))
    if task == "regression":
        _fit_scale(spec, need, targets[train])
    else:
        spec["model"] = network(need)
    classes = source.report.counts if task == "classification" else {}
    if classes and max(classes.values()) > _IMBALANCED * max(1, min(classes.values())) and not unweightable(checked["loss"], targets):
        data["class_weights"] = "balanced"
        metrics: tuple[str, ...] = ("balanced_accuracy", "f1", "confusion_matrix")
    else:
        metrics = _METRICS.get(task, ("accuracy", "f1", "confusion_matrix"))
    spec["metrics"] = [m for m in metrics if unfit(m, checked["loss"], tuple(targets.shape[1:]), need.outputs) is None]
    return {**spec, **_schedule(len(train), data, task)}


def _validation(source: Source) -> float:
    """The share to hold out, of which one sample is left at least."""
    n = len(source) - len(test_indices(source))
    return 0.5 if n < 4 else 0.2 if n < 5000 else 0.1


def _batches(n: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """About twenty batches an epoch, of 8 to 128 samples, fewer where samples are large; none of them of a single sample, which has no spread to normalize by."""
    most = min(128, max(8, (1 << 21) // max(1, math.prod(shape))))
    size = min(1 << max(3, round(math.log2(max(1, n / 20)))), 1 << int(math.log2(most)))
    return {"batch_size": size, "drop_last": n > size and n % size == 1}


def _schedule(n: int, data: dict[str, Any], task: Task) -> dict[str, Any]:
    steps = max(1, n // data["batch_size"])
    epochs = min(60, max(5, _STEPS // steps))
    found: dict[str, Any] = {
        "epochs": epochs,
        "scheduler": {"type": "CosineAnnealingLR", "T_max": epochs},
        "early_stopping": {"monitor": "val_loss", "patience": max(3, epochs // 5)},
    }
    return {**found, "gradient_clip": {"norm": 1.0}} if task in ("language_model", "text_classification") else found


def _fit_scale(spec: dict[str, Any], need: Need, numbers: Any) -> None:
    """A model of numbers that begins at their mean, and whose last layer learns as fast as they are large."""
    spec["model"] = network(need)
    if need.target != (1,) or spec["model"][-1]["type"] != "Linear" or not len(numbers):
        return
    mean, spread = float(numbers.mean(dtype="float64")), float(numbers.std(dtype="float64"))
    if not math.isfinite(spread) or not (abs(mean) > 3 * spread or spread > 10):
        return
    last = len(spec["model"]) - 1
    spec["init"] = [{"match": f"{last}.bias", "type": "constant_", "val": mean}]
    if spread > 1:
        spec["param_groups"] = [{"match": f"{last}.*", "lr": spec["optimizer"]["lr"] * spread, "weight_decay": 0.0}]

"""What can be learned from a dataset, by what its samples and targets are."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from engine.data.source import Source

Task = Literal["classification", "labels", "segmentation", "regression", "text_classification", "language_model"]
"""``labels``: several that may apply at once. ``segmentation``: a class for each place. ``regression``: numbers, one or many."""
TASKS: tuple[Task, ...] = get_args(Task)
IGNORED = -100
"""The target that CrossEntropyLoss leaves out."""
Array = np.ndarray[Any, Any]


def possible_tasks(source: Source) -> list[Task]:
    """The tasks that a dataset's targets and samples allow, the likeliest first; none where nothing can be learned from it."""
    found: list[Task] = []
    tokens = are_tokens(source)
    classes, numbers = source.targets_as("classes"), source.targets_as("numbers")
    if classes is not None and classes.ndim == 1 and classes.min(initial=0) >= 0:
        kinds: list[Task] = ["classification", *(["text_classification"] if tokens else [])]  # type: ignore[list-item]  # one of Task
        found += kinds[::-1] if source.is_text else kinds
    elif classes is not None and classes.ndim > 1 and (classes != IGNORED).any() and classes[classes != IGNORED].min() >= 0:
        found += _of_places(source, classes)
    if numbers is not None and numbers.ndim == 2 and numbers.shape[1] > 1 and bool(np.isin(numbers, (0, 1)).all()):
        found.append("labels")
    if numbers is not None:
        found.append("regression")
    if are_tokens(source) and "language_model" not in found:
        found.append("language_model")
    return found


def predicts_itself(source: Source) -> bool:
    """Whether a language model has to make its targets of the tokens themselves: the dataset has others, or none."""
    classes = source.targets_as("classes")
    return classes is None or classes.shape[1:] != tuple(source.report.shape or ())


def _of_places(source: Source, classes: Array) -> list[Task]:
    """Tasks of a class for each pixel, or for each token of a text."""
    shape = tuple(source.report.shape or ())
    if len(shape) == 1 and classes.shape[1:] == shape and are_tokens(source):
        return ["language_model"]
    return ["segmentation"] if len(shape) > 1 and classes.shape[1:] == shape[1:] else []


def are_tokens(source: Source) -> bool:
    """Whether samples may be token numbers ``(L,)``: whole ones from 0 on."""
    shape = source.report.shape or ()
    return len(shape) == 1 and shape[0] > 2 and source.index_limit is not None

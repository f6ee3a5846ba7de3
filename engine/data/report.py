"""What an upload turned out to be: the report that its owner reads, and the error of one that cannot be trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_LISTED = 1000


@dataclass
class Report:
    """What was found in an upload, and what was done with it.

    Sizes: ``shape`` is one sample's, None where images differ in size; then ``sizes`` has the smallest and largest ``[height, width]`` there
    are, ``{"min": [8, 8], "max": [32, 40]}`` (each axis by itself). ``channels`` are those of images. ``mean`` and ``std``
    are for each channel or column, of the numbers that training sees (of images that are not resized; of the training split where there is one).
    ``scale``: what stored samples are divided by when they are read, 255 for pixels. ``ranges``: the values that became 0 and 255, of images of more
    than 8 bits (``{"integers": [0, 65535]}``).

    Recognised: ``layout`` names how the upload was read. ``splits`` counts the samples of each split where the upload has its own
    (``train``, ``val``, ``test``). ``target`` says what is predicted: ``{"name", "chosen", "kinds"}``, where ``kinds`` are the readings that a
    loss may choose from (``classes``, ``numbers``). ``columns`` lists a table's columns: ``{"name", "type", "role", "missing", ..}``.

    ``text`` is there where samples are texts: how many ``documents``, how long they are in ``characters`` and ``words``, how many words and characters are different, the
    most ``frequent`` words and the first ``samples``; of a table also the ``column``.

    ``masks`` is there where images have masks: which ``shares`` of the pixels the classes have (``counts`` are then the images in which they occur), and the share of ``void`` ones.

    ``lengths``: how many steps the shortest, the middle, the one of 20 and the longest sequence have, where arrays say it.

    ``audio`` is there where samples are recordings: their ``sample_rate``, and how many ``seconds`` they have.

    Told: ``converted`` says in sentences what was changed on the way in, ``warnings`` what its owner should look at, ``duplicates`` which samples
    stand there twice, ``refused`` what was left out and why (the first 1000; ``refused_count`` counts all).
    """

    format: str
    samples: int = 0
    shape: list[int] | None = None
    classes: list[str] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    refused: list[dict[str, str]] = field(default_factory=list)
    refused_count: int = 0
    reason: str | None = None
    layout: str | None = None
    splits: dict[str, int] | None = None
    target: dict[str, Any] | None = None
    columns: list[dict[str, Any]] = field(default_factory=list)
    channels: int | None = None
    sizes: dict[str, list[int]] | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    scale: float | None = None
    ranges: dict[str, list[float]] | None = None
    duplicates: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    masks: dict[str, Any] | None = None
    lengths: dict[str, int] | None = None
    audio: dict[str, Any] | None = None
    converted: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def refuse(self, name: str, reason: str) -> None:
        self.refused_count += 1
        if len(self.refused) < MAX_LISTED:
            self.refused.append({"file": name, "reason": reason})


class Rejected(ValueError):
    """An upload that cannot be trained on; ``report`` says why, file by file."""

    def __init__(self, report: Report, reason: str) -> None:
        super().__init__(reason)
        report.reason = reason
        self.report = report


@dataclass(frozen=True)
class Options:
    """What the owner of an upload says about it; None leaves it to the reader to recognise.

    ``layout``: how an archive is laid out; of a table "text" or "table", whether it is learned from a column of texts or from numbers and categories.
    ``target``: the name of the column to predict. ``text``: that of the column with the texts.
    """

    layout: str | None = None
    target: str | None = None
    text: str | None = None


def listed(names: list[str]) -> str:
    """The first ten of some names, for a sentence."""
    return ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


Progress = Callable[[int, int], None]

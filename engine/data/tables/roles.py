"""What the columns of a table are for: which one is predicted, which count or name the rows, which says the split, which are features."""

from __future__ import annotations

from collections import Counter

import numpy as np

from engine.data.report import listed
from engine.data.tables.columns import Column, Floats

TARGET_NAMES = ("target", "label", "class", "y")
_INDEX_NAMES = ("", "#", "id", "idx", "index", "row", "row_id", "rowid", "rownames", "no", "nr", "unnamed: 0")
_SPLIT_NAMES = ("split", "subset", "partition")
SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test", "testing": "test",
}  # fmt: skip


class NoTarget(ValueError):
    """A table in which no column can be predicted, or the named one is not there."""


def unique_names(given: list[str]) -> tuple[list[str], list[str]]:
    """Names of columns, each only once: nameless ones get ``column_1``, repeated ones their place. With what there is to say of it."""
    seen = Counter(name for name in given if name)
    names = [name if seen[name] == 1 else f"{name} (column {i})" if name else f"column_{i}" for i, name in enumerate(given, 1)]
    said = [f"{n} columns are named {name!r}: they are told apart as {name!r} (column ..)" for name, n in seen.items() if n > 1]
    return names, said


def mark_rows(columns: list[Column], given: list[str], header: bool, raw: Floats, gaps: int) -> list[str]:
    """Gives columns that count or name the rows, say the split, or have nothing in them their roles; ``gaps`` rows were refused. Returns warnings."""
    warnings = []
    for i, column in enumerate(columns):
        name = given[i].lower()
        indexes = header and (name in _INDEX_NAMES or name.endswith(("_id", " id")) or given[i].endswith(("Id", "ID")))
        if column.type == "empty":
            column.role = "left out"
            column.done.append("left out: it has no values")
        elif column.role == "text":
            continue
        elif column.type == "text":
            column.role = "left out"
            column.done.append("left out: it has too many different texts to be categories")
        elif column.type == "number" and counts_rows(raw[:, i], gaps):
            if indexes:
                column.role = "index"
                column.done.append("left out: an index that counts the rows")
            else:
                warnings.append(f"column {column.name!r} counts the rows: if it is an index, leave it out or name it id")
        elif indexes and column.type == "number" and len(np.unique(raw[:, i])) == len(raw):
            warnings.append(f"column {column.name!r} is another number in each row: if it only names the rows, leave it out")
        elif indexes and column.type == "category" and column.distinct == len(raw) and name in ("", "rownames", "unnamed: 0"):
            column.role = "index"
            column.done.append("left out: an index that names the rows")
        elif name in _SPLIT_NAMES and column.categories and not column.missing and _are_splits(column.categories):
            column.role = "split"
            column.done.append("says the split of each row")
    return warnings


def _are_splits(categories: list[str]) -> bool:
    found = {SPLITS.get(c.lower()) for c in categories}
    return None not in found and "train" in found and len(found) > 1


def counts_rows(values: Floats, gaps: int) -> bool:
    """Whether numbers are 0, 1, 2 .. or 1, 2, 3 .., of which ``gaps`` may be left out."""
    first = values[:3]
    if len(values) < 3 or first[0] > 1 + gaps or first[0] < 0 or not (np.diff(first) >= 1).all():
        return False
    return bool((values == np.floor(values)).all() and (np.diff(values) >= 1).all() and values[-1] <= len(values) + gaps)


def named_targets(columns: list[Column], wanted: str | None) -> list[int] | None:
    """The places of several columns that a target names, separated by commas; None for one column. Raises NoTarget for names that are not there."""
    names = [c.name for c in columns]
    if wanted is None or wanted in names or "," not in wanted:
        return None
    parts = [part.strip() for part in wanted.split(",")]
    missing = [part for part in parts if part not in names]
    if missing:
        raise NoTarget(f"no column named {missing[0]!r}, one of the targets that were asked for; the columns are {listed(names)}")
    if len(set(parts)) < len(parts):
        raise NoTarget(f"a target is named twice: {wanted!r}")
    return [names.index(part) for part in parts]


def choose_target(columns: list[Column], given: list[str], wanted: str | None) -> tuple[int, str, list[str]]:
    """The place of the column to predict, how it was chosen (as ``wanted``; the one that is called so; the last with values), and warnings. Raises NoTarget."""
    if wanted is not None:
        found = [i for i, column in enumerate(columns) if wanted in (column.name, given[i])]
        if len(found) != 1:
            there = ", ".join(repr(c.name) for c in columns[:50])
            problem = "no column" if not found else f"{len(found)} columns"
            raise NoTarget(f"{problem} named {wanted!r}, the target that was asked for; the columns are {there}")
        if columns[found[0]].type == "empty":
            raise NoTarget(f"the target {wanted!r} has no values")
        return found[0], "as asked for", []
    able = [i for i, c in enumerate(columns) if c.role == "feature" or (c.role == "left out" and c.type == "text")]
    if not able:
        raise NoTarget("no column to predict: all are empty or count the rows")
    names = [given[i].lower() for i in able]
    called = [i for i, name in zip(able, names) if name in TARGET_NAMES]
    if "x" in names:
        called = [i for i in called if given[i].lower() != "y"]  # y beside x is a coordinate
    if len(called) == 1:
        return called[0], f"the column called {given[called[0]]}", []
    if len(called) > 1 and len({given[i] for i in called}) == 1:
        raise NoTarget(f"{len(called)} columns are named {given[called[0]]!r}: rename one, or choose the target with ?target=NAME")
    if not called:
        return able[-1], "the last column with values (none is called target, label or class)", []
    several = f"several columns could be the target ({listed([given[i] for i in called])}): the last one with values was taken; choose it with ?target=NAME"
    return able[-1], "the last column with values (several could be the target by their names)", [several]

"""The columns of samples that are rows: by the names that their table gives them, and as indices."""

from __future__ import annotations

import json

import numpy as np

from engine.data.source import Source
from engine.spec.inputs import Features

_COLUMNS = "columns.json"


def features(source: Source) -> Features | None:
    """What is known of a dataset's columns; None where samples are no rows ``(C,)``. A column that became several has the names of these too."""
    x = source.arrays
    if x is None or x.ndim != 2:
        return None
    names: dict[str, list[int]] = {}
    path, at = source.folder / _COLUMNS, 0
    for column in json.loads(path.read_text()) if path.exists() else ():
        if column.get("role") != "feature":
            continue
        own = list(range(at, at + len(column["outputs"])))
        names |= {name: [i] for name, i in zip(column["outputs"], own, strict=True)}
        names[column["name"]] = own
        at += len(own)
    whole = ((x >= 0) & (x == np.floor(x))).all(0)
    limits = [int(top) + 1 if ok else None for ok, top in zip(whole, x.max(0, initial=0), strict=True)]
    return Features(names, limits)

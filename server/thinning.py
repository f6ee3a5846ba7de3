"""Fewer points of a curve, without losing what stands out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def thinned(rows: Sequence[Row], most: int) -> list[Row]:
    """At most ``most`` points of each curve (variant and split), in the order of the log: the last, the lowest and the highest of each value in every bucket,
    and others evenly between."""
    curves: dict[tuple[Any, Any], list[Row]] = {}
    for row in rows:
        curves.setdefault((row.get("variant"), row["split"]), []).append(row)
    kept = [curve[i] for curve in curves.values() for i in _kept(curve, most)]
    return sorted(kept, key=lambda r: int(r["seq"]))


def _kept(curve: list[Row], most: int) -> list[int]:
    n = len(curve)
    if n <= most:
        return list(range(n))
    found = list(dict.fromkeys([n - 1, *_extremes(curve, most)]))[:most]
    rest = sorted(set(range(n)) - set(found))
    missing = most - len(found)
    return found + [rest[round(i * (len(rest) - 1) / max(1, missing - 1))] for i in range(missing)]


def _extremes(curve: list[Row], most: int) -> list[int]:
    """The points with an extreme value: of the whole curve first, the loss before others, then of each bucket."""
    names = sorted({n for row in curve for n, v in row["values"].items() if isinstance(v, int | float)}, key=lambda n: (n != "loss", n))
    varying = [n for n in names if len({row["values"].get(n) for row in curve} - {None}) > 1]
    size = -(-len(curve) // max(1, (most - 1) // max(1, 2 * len(varying))))
    starts = [0, *range(0, len(curve), size)]
    stops = [len(curve), *(at + size for at in starts[1:])]
    return [i for at, stop in zip(starts, stops, strict=True) for n in varying for i in _ends(curve, n, at, stop)]


def _ends(curve: list[Row], name: str, at: int, stop: int) -> list[int]:
    """Where a value is highest and where it is lowest from ``at`` to ``stop``, each where it is first."""
    there = [i for i in range(at, min(stop, len(curve))) if name in curve[i]["values"]]
    values = [curve[i]["values"][name] for i in there]
    return [there[values.index(max(values))], there[values.index(min(values))]] if there else []

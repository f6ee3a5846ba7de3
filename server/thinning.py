"""Fewer points of a curve, without losing what stands out."""

from __future__ import annotations

from collections.abc import Sequence

from worker.records import MetricsEvent


def thinned(rows: Sequence[MetricsEvent], most: int) -> list[MetricsEvent]:
    """At most ``most`` points of each curve (variant and split), in the order of the log: the last, the lowest and the highest of each value in every bucket,
    and others evenly between."""
    curves: dict[tuple[str | None, str], list[MetricsEvent]] = {}
    for row in rows:
        curves.setdefault((row.variant, row.split), []).append(row)
    kept = [curve[i] for curve in curves.values() for i in _kept(curve, most)]
    return sorted(kept, key=lambda r: r.seq)


def _kept(curve: list[MetricsEvent], most: int) -> list[int]:
    n = len(curve)
    if n <= most:
        return list(range(n))
    found = list(dict.fromkeys([n - 1, *_extremes(curve, most)]))[:most]
    rest = sorted(set(range(n)) - set(found))
    missing = most - len(found)
    return found + [rest[round(i * (len(rest) - 1) / max(1, missing - 1))] for i in range(missing)]


def _extremes(curve: list[MetricsEvent], most: int) -> list[int]:
    """The points with an extreme value: of the whole curve first, the loss before others, then of each bucket."""
    names = sorted({n for row in curve for n, v in row.values.items() if isinstance(v, int | float)}, key=lambda n: (n != "loss", n))
    varying = [n for n in names if len({row.values.get(n) for row in curve} - {None}) > 1]
    size = -(-len(curve) // max(1, (most - 1) // max(1, 2 * len(varying))))
    starts = [0, *range(0, len(curve), size)]
    stops = [len(curve), *(at + size for at in starts[1:])]
    return [i for at, stop in zip(starts, stops, strict=True) for n in varying for i in _ends(curve, n, at, stop)]


def _ends(curve: list[MetricsEvent], name: str, at: int, stop: int) -> list[int]:
    """Where a value is highest and where it is lowest from ``at`` to ``stop``, each where it is first."""
    values = {i: v for i in range(at, min(stop, len(curve))) if isinstance(v := curve[i].values.get(name), int | float)}
    return [max(values, key=values.__getitem__), min(values, key=values.__getitem__)] if values else []

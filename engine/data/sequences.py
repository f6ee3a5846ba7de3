"""Sequences of several lengths in arrays: padded, or one after the other, with ``lengths`` beside them, or ended by NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.report import Rejected, Report

Array = np.ndarray[Any, Any]


def lengths_of(x: Array, given: Array | None, suffix: str, report: Report) -> Array | None:
    """How long the sequences of ``x`` are: as given, or up to the NaN at their ends; None where nothing says it. Raises Rejected."""
    if given is None:
        return _before_nan(x) if x.dtype.kind == "f" and x.ndim == 3 else None
    if given.ndim != 1 or given.dtype.kind not in "iu" or not len(given) or given.min() < 1:
        raise Rejected(report, f"lengths{suffix} must be whole numbers from 1 on, one for each sequence, got {given.dtype} {given.shape}")
    if x.ndim >= 2 and len(given) == len(x) and given.max() <= x.shape[1]:
        return given.astype(np.int64)
    if given.sum() == len(x):
        return given.astype(np.int64)
    longest = f", the longest {x.shape[1]}" if x.ndim > 1 else ""
    raise Rejected(
        report,
        f"lengths{suffix} do not fit x{suffix} of shape {x.shape}: expected {len(x)} of them{longest}, or lengths whose sum is {len(x)}; "
        f"got {len(given)}, the longest {given.max()}, with the sum {given.sum()}",
    )


def _before_nan(x: Array) -> Array | None:
    """The lengths of sequences ``(N, L, C)`` that end in rows of NaN; None where NaN are elsewhere, or nowhere."""
    there = ~np.isnan(x).all(2)
    lengths: Array = there.sum(1)
    ended = (np.arange(x.shape[1]) < lengths[:, None]) == there
    return lengths if ended.all() and lengths.size and lengths.min() > 0 and lengths.min() < x.shape[1] else None


def padded(x: Array, lengths: Array, longest: int) -> Array:
    """The sequences ``(N, longest, ..)``, with zeros behind their ends; ``x`` has them padded, or one after the other."""
    if len(x) == len(lengths) and x.ndim >= 2 and lengths.max() <= x.shape[1] and not (lengths.sum() == len(x) and x.ndim < 3):
        flat = x[np.arange(x.shape[1]) < lengths[:, None]]
    else:
        flat = x
    out = np.zeros((len(lengths), longest, *flat.shape[1:]), x.dtype)
    out[np.arange(longest) < lengths[:, None]] = flat
    return out


def describe_lengths(lengths: Array, said: str, report: Report) -> None:
    """What the report says of them."""
    found = np.sort(lengths)
    at = {"min": 0, "median": (len(found) - 1) // 2, "p95": int(0.95 * (len(found) - 1)), "max": len(found) - 1}
    report.lengths = {name: int(found[i]) for name, i in at.items()}
    report.converted.append(f"x are sequences of {report.lengths['min']} to {report.lengths['max']} steps{said}: zeros follow their ends")

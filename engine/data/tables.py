"""Tables: a header line, then numbers, in a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.report import Options, Progress, Rejected, Report
from engine.data.samples import save_arrays


def read_table(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """A header line, then numbers; the last column, or the one named target, label, class or y, is the target.

    Raises Rejected.
    """
    try:
        with upload.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, None)
            if not header or len(header) < 2:
                raise Rejected(report, "expected a header line with at least two columns")
            at = next((i for i, n in enumerate(header) if n.strip().lower() in ("target", "label", "class", "y")), len(header) - 1)
            features, targets = [], []
            for row in rows:
                if not row:
                    continue
                problem = _csv_fault(row, header, at)
                if problem:
                    report.refuse(f"line {rows.line_num}", problem)
                    continue
                targets.append(row[at].strip())
                features.append([float(v) for i, v in enumerate(row) if i != at])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Rejected(report, f"not a CSV file in UTF-8: {error}") from None
    if report.refused_count:
        raise Rejected(report, f"{report.refused_count} line(s) could not be read")
    numbers = [_number(t) for t in targets]
    if any(n is None for n in numbers):
        report.classes = sorted(set(targets))
        labels = {name: i for i, name in enumerate(report.classes)}
        y: np.ndarray[Any, Any] = np.array([labels[t] for t in targets], np.int64)
    else:
        y = np.array(numbers, np.float64)
        y = y.astype(np.int64) if all(t.lstrip("+-").isdigit() for t in targets) else y[:, None]
    save_arrays(work, report, np.array(features, np.float32).reshape(len(features), len(header) - 1), y)


def _csv_fault(row: list[str], header: list[str], at: int) -> str | None:
    if len(row) != len(header):
        return f"{len(row)} columns, expected {len(header)}"
    for i, value in enumerate(row):
        if i != at and _number(value) is None:
            return f"column {header[i]!r}: expected a number, got {value!r:.60}"
    return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

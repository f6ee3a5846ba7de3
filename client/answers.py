"""Predictions and reports as lines and tables of the terminal."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from PIL import Image
from rich.cells import cell_len, set_cell_size

from client.terminal import Column, Terminal, printable
from server.models import Prediction, ReportEvent

_BAR = 30
_SHOWN = 10
"""How many classes, and how many of the worst samples, there is room for."""
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SHADES = " ░▒▓█"
_PIECES = 96
"""Characters of a value in a table."""


def predictions(terminal: Terminal, found: Sequence[Prediction]) -> None:
    """One answer in full, several as a table."""
    if len(found) == 1:
        _one(terminal, found[0])
        return
    columns = (Column("sample", least=12), Column("answer", least=10), Column("probability", right=True), Column("next", least=10))
    rows = [[p.name or str(i), *_cells(p)] for i, p in enumerate(found)]
    used = [i for i in range(len(columns)) if i < 2 or any(row[i] for row in rows)]
    terminal.table([columns[i] for i in used], [[row[i] for i in used] for row in rows])


def _one(terminal: Terminal, p: Prediction) -> None:
    label, probability, *_ = _cells(p)
    terminal.say(*([p.name] if p.name else []), f"{label}  {probability}".rstrip())
    shares = [*(p.probabilities or {}).items()]
    rows = [[name, bar(share), f"{share:.1%}"] for name, share in shares[:_SHOWN]]
    if rows:
        terminal.table((Column("class"), Column("", fixed=True), Column("probability", right=True)), rows)
    if len(shares) > _SHOWN:
        terminal.say(f"and {len(shares) - _SHOWN} classes more")
    if p.saliency_png is not None:
        terminal.say("where the model looked", *_heat(p.saliency_png, terminal.width - 2))


def _heat(png: str, width: int) -> list[str]:
    """A heat map as shades, two characters a pixel, at most 24 pixels wide."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        image.thumbnail((min(24, width // 2), 24))
        pixels = np.asarray(image.convert("L")).astype(int)
    return ["".join(_SHADES[v * len(_SHADES) // 256] * 2 for v in row) for row in pixels.tolist()]


def bar(share: float) -> str:
    """A share, from 0 to 1, as a bar."""
    eighths = round(max(0.0, min(1.0, share)) * _BAR * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip().ljust(_BAR)


def _cells(p: Prediction) -> list[str]:
    """The answer, its probability, and what comes next."""
    if p.error is not None:
        return [f"error: {p.error}", "", ""]
    if p.label is not None:
        others = [(n, q) for n, q in (p.probabilities or {}).items() if n != p.label][:1]
        return [p.label, _percent(p.probability), "  ".join(f"{n} {q:.1%}" for n, q in others)]
    if p.labels is not None:
        return [", ".join(p.labels) or "none of the labels", "", ""]
    if p.mask_png is not None:
        return ["a mask: --out saves it", "", ""]
    return [_value(p.numbers), "", ""]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _value(value: Any) -> str:
    """A value of a report or an answer, cut where it is long."""
    text = f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    if isinstance(value, list):
        text = ", ".join(_value(v) for v in value[:_SHOWN]) + (", .." if len(value) > _SHOWN else "")
    return text if len(text) <= _PIECES else f"{text[: _PIECES - 2]}.."


# -- reports


def report(terminal: Terminal, event: ReportEvent) -> None:
    """A report: which class is taken for which, each class, how far it is off, the worst samples."""
    found, variant = cast(dict[str, Any], event.report), f" of {event.variant}" if event.variant else ""
    terminal.say(f"{event.split}{variant}, epoch {event.epoch}, step {event.step}: {found.get('samples', 0):,} samples")
    lines = [f"{k} {_value(found[k])}" for k in ("tokens", "loss", "perplexity", "accuracy") if k in found]
    if isinstance(found.get("calibration"), dict):
        lines.append(f"expected calibration error {found['calibration'].get('ece', 0.0):.4f}")
    terminal.say(*lines)
    if found.get("confusion_matrix"):
        _matrix(terminal, found["confusion_matrix"], [str(c) for c in found.get("classes", [])])
    outputs = [{"output": i, **_spread(o)} for i, o in enumerate(found.get("outputs", []))]
    for title, rows in (
        ("classes that are confused most", found.get("confused")), ("each class", found.get("per_class")),
        ("residuals, predicted minus true", outputs), ("most wrong", found.get("worst")),
    ):  # fmt: skip
        if rows:
            terminal.say("", title)
            _table(terminal, rows[:_SHOWN] if title == "most wrong" else rows)
    if len(found.get("worst") or ()) > _SHOWN:
        terminal.say(f"and {len(found['worst']) - _SHOWN} more (--json has them all)")


def _spread(output: Mapping[str, Any]) -> dict[str, Any]:
    quantiles = {f"q{k}": v for k, v in output.get("quantiles", {}).items() if k in ("0.05", "0.5", "0.95")}
    return {**{k: output[k] for k in ("mean", "mae", "rmse") if k in output}, **quantiles}


def _table(terminal: Terminal, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [*rows[0]]
    columns = [Column(n, right=isinstance(rows[0][n], int | float), fixed=n == "id") for n in names]
    terminal.table(columns, [[str(row[n]) if n == "id" else _value(row.get(n, "")) for n in names] for row in rows])


def _matrix(terminal: Terminal, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """A row for each true class: counts where they fit, else shades of the row's shares."""
    longest = max([4, *(cell_len(printable(n)) for n in names)])
    label = min(20, longest)
    narrow = max([3, *(len(f"{n:,}") + 1 for row in matrix for n in row)])
    room = (terminal.width - label - 1) // max(1, len(matrix))
    cell = max(narrow, min(longest + 1, 12, room))
    terminal.say("", "a row for each true class, a column for each predicted one")
    if label + 1 + cell * len(matrix) <= terminal.width:
        terminal.say(" " * label + " " + "".join(_right(n, cell) for n in names))
        for name, row in zip(names, matrix, strict=False):
            terminal.say(_cut(name, label) + " " + "".join((f"{n:,}" if n else "·").rjust(cell) for n in row))
        return
    for name, row in zip(names, matrix, strict=False):
        whole = sum(row) or 1
        shades = "".join(_SHADES[-(-n * (len(_SHADES) - 1) // whole)] for n in row)
        terminal.say(f"{_cut(name, label)} {shades[: max(0, terminal.width - label - 1)]}")


def _right(text: str, width: int) -> str:
    short = _cut(text, width - 1).rstrip()
    return " " * (width - cell_len(short)) + short


def _cut(text: str, width: int) -> str:
    """A name in a field of so many columns."""
    return set_cell_size(printable(text), width)


__all__ = ["bar", "predictions", "report"]

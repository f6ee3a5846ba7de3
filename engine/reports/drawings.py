"""Drawings of a report as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_BLUE, _RED, _GREY = "#2b6cb0", "#c53030", "#a0aec0"


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: Any, anchor: str = "middle", size: int = 11, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" {more}>{escape(str(text))}</text>'


def _shortened(name: str, most: int = 14) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def heat_map(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """A confusion matrix: a row for each true class, shaded by its share of the row."""
    n = len(matrix)
    cell = max(10.0, min(36.0, 640 / n))
    left, top = 110.0, 110.0
    parts = []
    for i, row in enumerate(matrix):
        whole = sum(row) or 1
        y = top + i * cell
        parts.append(_text(left - 6, y + cell / 2 + 4, _shortened(names[i]), "end"))
        turned = f'transform="rotate(-60 {left + i * cell + cell / 2:g} {top - 6:g})"'
        parts.append(_text(left + i * cell + cell / 2, top - 6, _shortened(names[i]), "start", more=turned))
        for j, count in enumerate(row):
            colour, share = (_BLUE if i == j else _RED), count / whole
            title = f"<title>{escape(names[i])} taken for {escape(names[j])}: {count}</title>"
            place = f'x="{left + j * cell:g}" y="{y:g}" width="{cell - 1:g}" height="{cell - 1:g}"'
            parts.append(f'<rect {place} fill="{colour}" fill-opacity="{max(share, 0.04 if count else 0.015):.3f}">{title}</rect>')
            if count and cell >= 20:
                shade = 'fill="#fff"' if share > 0.55 else 'fill="#1a202c"'
                parts.append(_text(left + j * cell + cell / 2, y + cell / 2 + 4, count, size=10, more=f'{shade} pointer-events="none"'))
    return _svg(left + n * cell + 60, top + n * cell + 8, parts)


def reliability(bins: Sequence[dict[str, Any]]) -> str:
    """How often predictions of some confidence are right; on the line they can be taken at their word."""
    side, left, top = 260.0, 44.0, 10.0
    parts = [f'<rect x="{left:g}" y="{top:g}" width="{side:g}" height="{side:g}" fill="none" stroke="{_GREY}"/>']
    most = max((b["count"] for b in bins), default=1)
    for b in bins:
        x, width = left + b["from"] * side, (b["to"] - b["from"]) * side
        height = b["accuracy"] * side
        title = f"<title>{b['count']} predictions of confidence {b['confidence']:.3f}: {b['accuracy']:.3f} are right</title>"
        opacity = 0.25 + 0.75 * b["count"] / most
        place = f'x="{x:g}" y="{top + side - height:g}" width="{width - 1:g}" height="{height:g}"'
        parts.append(f'<rect {place} fill="{_BLUE}" fill-opacity="{opacity:.2f}">{title}</rect>')
    parts.append(f'<line x1="{left:g}" y1="{top + side:g}" x2="{left + side:g}" y2="{top:g}" stroke="{_RED}" stroke-dasharray="4 3"/>')
    for share in (0.0, 0.5, 1.0):
        parts += [
            _text(left + share * side, top + side + 14, f"{share:g}"),
            _text(left - 6, top + side - share * side + 4, f"{share:g}", "end"),
        ]
    parts.append(_text(left + side / 2, top + side + 30, "confidence; height: the share that is right"))
    return _svg(left + side + 12, top + side + 38, parts)


def bars(counts: Sequence[int], edges: Sequence[float]) -> str:
    """A histogram."""
    width, height, left, top = 420.0, 150.0, 10.0, 10.0
    most, step = max([*counts, 1]), width / max(1, len(counts))
    parts = []
    for i, count in enumerate(counts):
        tall = count / most * height
        title = f"<title>{edges[i]:.4g} to {edges[i + 1]:.4g}: {count}</title>"
        place = f'x="{left + i * step:g}" y="{top + height - tall:g}" width="{step - 1:g}" height="{tall:g}"'
        parts.append(f'<rect {place} fill="{_BLUE}">{title}</rect>')
    for at, edge in ((0.0, edges[0]), (0.5, (edges[0] + edges[-1]) / 2), (1.0, edges[-1])):
        parts.append(_text(left + at * width, top + height + 14, f"{edge:.4g}", ("start", "middle", "end")[int(at * 2)]))
    return _svg(width + 20, top + height + 22, parts)

"""The loss curves of a job, kept while it runs, and drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from server.models import MetricPoint, MetricsEvent

_MOST = 400
"""A curve keeps fewer points than this; the stretches that a point stands for double when it has more."""

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 260, 56, 28, 10
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
"""Okabe and Ito's, which colour-blind readers tell apart."""

Name = tuple[str | None, str]
_At = Callable[[float, float], str]


class Curve:
    """Losses by step, each point the mean over a stretch of ``stride`` of them."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.losses: list[float] = []
        self._stride = 1
        self._pending: list[tuple[int, float]] = []

    def add(self, step: int, loss: float) -> None:
        self._pending.append((step, loss))
        if len(self._pending) < self._stride:
            return
        self.steps.append(sum(s for s, _ in self._pending) / self._stride)
        self.losses.append(sum(v for _, v in self._pending) / self._stride)
        self._pending.clear()
        if len(self.steps) >= _MOST:
            self.steps, self.losses = _halved(self.steps), _halved(self.losses)
            self._stride *= 2


def _halved(values: Sequence[float]) -> list[float]:
    return [(a + b) / 2 for a, b in zip(values[::2], values[1::2])]


class Curves:
    """The losses of a job, a curve for each split of each variant."""

    def __init__(self) -> None:
        self.curves: dict[Name, Curve] = {}

    def add(self, point: MetricPoint | MetricsEvent) -> None:
        """Takes a point of the history; one without a loss is left out."""
        loss = point.values.get("loss")
        if isinstance(loss, int | float) and math.isfinite(loss):
            self.curves.setdefault((point.variant, point.split), Curve()).add(point.step, loss)


def svg(curves: Mapping[Name, Curve]) -> str:
    """The curves as an SVG element, in colours that fit light and dark pages; empty without points."""
    drawn = {name: c for name, c in curves.items() if c.steps}
    if not drawn:
        return ""
    losses = [v for c in drawn.values() for v in c.losses]
    low, high, last = min(losses), max(losses), max(max(c.steps) for c in drawn.values())
    span = (high - low) or 1.0

    def at(step: float, loss: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 10) * step / max(last, 1)
        return f"{x:.1f},{_TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - loss) / span:.1f}"

    lines = [_line(c, at, _COLOURS[i % len(_COLOURS)]) for i, c in enumerate(drawn.values())]
    legend = [_entry(i, _label(name), _COLOURS[i % len(_COLOURS)]) for i, name in enumerate(drawn)]
    axes = [
        _text(_LEFT - 6, _TOP + 8, f"{high:.4g}", "end"), _text(_LEFT - 6, _HEIGHT - _BOTTOM, f"{low:.4g}", "end"),
        _text(_LEFT, _HEIGHT - 10, "0", "start"), _text(_WIDTH - 10, _HEIGHT - 10, f"step {last:.0f}", "end"),
        f'<path d="M{_LEFT},{_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - 10}" fill="none" stroke="currentColor" stroke-opacity=".4"/>',
    ]  # fmt: skip
    body = "".join([*axes, *lines, *legend])
    style = f"max-width:{_WIDTH}px;font:12px sans-serif"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" style="{style}" role="img">{body}</svg>'


def _line(curve: Curve, at: _At, colour: str) -> str:
    points = " ".join(at(s, v) for s, v in zip(curve.steps, curve.losses))
    if len(curve.steps) == 1:
        x, y = points.split(",")
        return f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>'
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _entry(i: int, label: str, colour: str) -> str:
    y = _TOP + 12 + 16 * i
    return f'<rect x="{_WIDTH - 24}" y="{y - 8}" width="10" height="8" fill="{colour}"/>' + _text(_WIDTH - 30, y, label, "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def _label(name: Name) -> str:
    variant, split = name
    return split if variant is None else f"{variant[:40]} {split}"


__all__ = ["Curve", "Curves", "svg"]

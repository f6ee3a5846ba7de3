"""Loss curves, as text and as a picture."""

from __future__ import annotations

from pathlib import Path

import plotext

from client.terminal import printable
from server.models import MetricsEvent

_COLOURS = ("cyan", "orange", "green", "magenta", "blue", "red", "yellow", "white")
_SMOOTHING = 0.9
Key = tuple[str | None, str]
"""A variant and a split."""


class History:
    """Points of one job, by variant and split."""

    def __init__(self) -> None:
        self.curves: dict[Key, tuple[list[int], list[float]]] = {}
        self.values: dict[Key, dict[str, float]] = {}

    def add(self, point: MetricsEvent) -> None:
        """Takes one more point."""
        key = (point.variant, point.split)
        self.values[key] = {n: v for n, v in point.values.items() if isinstance(v, int | float)}
        loss = self.values[key].get("loss")
        if loss is not None:
            steps, losses = self.curves.setdefault(key, ([], []))
            steps.append(point.step)
            losses.append(loss)

    def label(self, key: Key) -> str:
        """What a curve is called."""
        variant, split = key
        name = None if variant is None else printable(variant)
        return split if name is None else name if split == "train" else f"{name} {split}"


def smoothed(values: list[float], weight: float = _SMOOTHING) -> list[float]:
    """An exponential moving average, corrected for its start."""
    total, norm, out = 0.0, 0.0, []
    for v in values:
        total, norm = weight * total + (1 - weight) * v, weight * norm + (1 - weight)
        out.append(total / norm)
    return out


def chart(history: History, title: str, width: int, height: int) -> str:
    """The curves as text, one colour each."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(width, height)
    plotext.title(printable(title))
    for i, (key, (steps, losses)) in enumerate(history.curves.items()):
        shown = smoothed(losses) if key[1] == "train" else losses
        plotext.plot(steps, shown, label=history.label(key), color=_COLOURS[i % len(_COLOURS)], marker="braille")
    plotext.xlabel("step")
    return str(plotext.build())


def line(history: History, state: str) -> str:
    """The newest values in one line."""
    parts = [f"{history.label(k)} {n} {v:.4g}" for k, values in list(history.values.items())[-3:] for n, v in values.items()]
    return f"{state}  " + "  ".join(parts)


def picture(history: History, title: str, path: Path) -> None:
    """The curves as a PNG: the training loss smoothed over its points, the held-out loss as it is."""
    import matplotlib  # 0.4 s: only for a picture

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"text.parse_math": False}):  # a name may have dollars in it
        figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
        for i, (key, (steps, losses)) in enumerate(history.curves.items()):
            colour = f"C{i}"
            if key[1] == "train":
                axes.plot(steps, losses, color=colour, alpha=0.2, linewidth=0.8)
                axes.plot(steps, smoothed(losses), color=colour, label=history.label(key), linewidth=1.6)
            else:
                axes.plot(steps, losses, color=colour, label=history.label(key), linewidth=1.6, marker="o", markersize=3)
        positive = all(v > 0 for _, curve in history.curves.values() for v in curve)
        axes.set(title=printable(title), xlabel="step", ylabel="loss", yscale="log" if positive else "linear")
        axes.grid(alpha=0.25)
        axes.legend()
        figure.savefig(path, dpi=130)
        pyplot.close(figure)

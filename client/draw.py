"""Loss curves: live in the terminal, and as a picture."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import plotext
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from client.terminal import printable

_COLOURS = ("cyan", "orange", "green", "magenta", "blue", "red", "yellow", "white")
_SMOOTHING = 0.9


class History:
    """Points of one job, by variant and split."""

    def __init__(self) -> None:
        self.curves: dict[tuple[str | None, str], tuple[list[int], list[float]]] = {}
        self.values: dict[tuple[str | None, str], dict[str, float]] = {}

    def add(self, point: dict[str, Any]) -> None:
        key = (point.get("variant"), point["split"])
        self.values[key] = {n: v for n, v in point["values"].items() if isinstance(v, int | float)}
        if "loss" in point["values"]:
            steps, losses = self.curves.setdefault(key, ([], []))
            steps.append(point["step"])
            losses.append(point["values"]["loss"])

    def label(self, key: tuple[str | None, str]) -> str:
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
    plotext.title(title)
    for i, (key, (steps, losses)) in enumerate(history.curves.items()):
        plotext.plot(
            steps,
            smoothed(losses) if key[1] == "train" else losses,
            label=history.label(key),
            color=_COLOURS[i % len(_COLOURS)],
            marker="braille",
        )
    plotext.xlabel("step")
    return str(plotext.build())


def line(history: History, state: str) -> str:
    """The newest values in one line."""
    parts = [f"{history.label(k)} {n} {v:.4g}" for k, values in list(history.values.items())[-3:] for n, v in values.items()]
    return f"{state}  " + "  ".join(parts)


class Screen:
    """Draws a history while it grows: a live chart on a terminal, a line an epoch elsewhere."""

    def __init__(self, title: str) -> None:
        self.title, self.history, self.state = printable(title), History(), "queued"
        self.console = Console(highlight=False)
        self.live: Live | None = None

    def _picture(self) -> Group:
        size = shutil.get_terminal_size()
        text = chart(self.history, self.title, min(size.columns, 110), min(size.lines - 4, 24)) if self.history.curves else ""
        return Group(Text.from_ansi(text), Text(line(self.history, self.state)))

    def point(self, point: dict[str, Any]) -> None:
        """Takes one metric point."""
        self.history.add(point)
        if self.live is None and point["split"] != "train":
            self._print_epoch(point)

    def _print_epoch(self, point: dict[str, Any]) -> None:
        values = "  ".join(f"{n} {v:.4f}" for n, v in point["values"].items() if isinstance(v, float))
        train = self.history.curves.get((point.get("variant"), "train"))
        loss = f"train loss {smoothed(train[1])[-1]:.4f}  " if train else ""
        name = f"{printable(point['variant'])}  " if point.get("variant") else ""
        print(f"{name}epoch {point['epoch']:>3}  step {point['step']:>6}  {loss}{point['split']} {values}", flush=True)

    def say(self, text: str) -> None:
        text = printable(text)
        self.console.print(text, markup=False) if self.live is not None else print(text, flush=True)


@contextmanager
def screen(title: str) -> Iterator[Screen]:
    """A screen for the time of a job; at the end the whole chart is left on it."""
    s = Screen(title)
    if not sys.stdout.isatty():
        yield s
        if s.history.curves:
            print(plotext.uncolorize(chart(s.history, s.title, 100, 22)))
        return
    with Live(get_renderable=s._picture, console=s.console, refresh_per_second=8, transient=False) as live:
        s.live = live
        yield s


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
        axes.set(
            title=printable(title),
            xlabel="step",
            ylabel="loss",
            yscale="log" if all(v > 0 for _, c in history.curves.values() for v in c) else "linear",
        )
        axes.grid(alpha=0.25)
        axes.legend()
        figure.savefig(path, dpi=130)
        pyplot.close(figure)

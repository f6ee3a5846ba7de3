"""A job on the terminal while it runs: a live chart where somebody looks, a line an epoch elsewhere, events as JSON lines for programs."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import plotext
from rich.console import Group
from rich.live import Live
from rich.text import Text

from client.draw import History, chart, line, smoothed
from client.terminal import Terminal, duration, printable
from server.models import Event, LogEvent, MetricsEvent, StateEvent

_WINDOW = 300
"""How many points the speed is measured over."""


class Screen:
    """Takes a job's events, and shows how far it is. ``total_steps`` and ``epochs`` are told from outside, once they are known."""

    def __init__(self, terminal: Terminal, title: str) -> None:
        self.terminal, self.title, self.history = terminal, printable(title), History()
        self.state, self.waiting = "queued", ""
        self.epoch = self.epochs = self.steps = self.total_steps = 0
        self.live: Live | None = None
        self._times: deque[float] = deque(maxlen=_WINDOW)

    # -- how far it is

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at the speed of late; None while that is unknown."""
        if len(self._times) < 2 or not self.total_steps:
            return None
        speed = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        return max(0, self.total_steps - self.steps) * speed

    def progress(self) -> list[str]:
        """Epoch, percentage and time to go, as far as they are known."""
        parts = [f"epoch {self.epoch:>3}" + (f"/{self.epochs}" if self.epochs else "")] if self.epoch else []
        if self.total_steps:
            parts.append(f"{min(100, 100 * self.steps // self.total_steps):>3}%")
            if self.eta_s is not None:
                parts.append(f"ETA {duration(self.eta_s)}")
        return parts

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask how many steps there are, at the first point and now and then while nobody knows."""
        return not self.total_steps and self.steps % 100 == 0

    # -- what happens

    def take(self, event: Event) -> None:
        """Shows an event."""
        self.terminal.emit(event)
        if isinstance(event, MetricsEvent):
            self._point(event)
        elif isinstance(event, StateEvent):
            self.state = event.state
            if event.state in ("queued", "starting"):
                self._times.clear()  # the time in between is not the run's
            self.say(event.state + (f": {event.reason}" if event.reason else ""))
        elif isinstance(event, LogEvent) and event.level not in ("debug", "info"):
            self.say(f"{event.level}: {event.message.splitlines()[0] if event.message else ''}")

    def _point(self, point: MetricsEvent) -> None:
        self.history.add(point)
        if point.split == "train":
            self.steps += 1
            self.epoch = point.epoch
            self._times.append(point.time)
        elif self.live is None:
            self._print_epoch(point)

    def _print_epoch(self, point: MetricsEvent) -> None:
        """One line, of which a narrow output has the beginning."""
        train = self.history.curves.get((point.variant, "train"))
        values = [f"{n} {v:.4f}" for n, v in point.values.items() if isinstance(v, float)]
        far, left = self.progress()[:2], self.progress()[2:]
        parts = [*([printable(point.variant)] if point.variant else []), *far, f"{point.split} {'  '.join(values[:1])}", *values[1:]]
        if train:
            parts.append(f"train loss {smoothed(train[1])[-1]:.4f}")
        text = ""
        for part in [*parts, *left, f"step {point.step}"]:
            if text and self.terminal.bounded and len(text) + 2 + len(part) > self.terminal.width:
                break
            text = f"{text}  {part}" if text else part
        self.say(text)

    def say(self, *lines: str) -> None:
        """Lines above the chart."""
        self.terminal.say(*lines)

    def wait_for(self, what: str) -> None:
        """Says, once, what a job that does not go on is waiting for."""
        if what and what != self.waiting and self.live is None:
            self.terminal.note(what)
        self.waiting = what

    # -- the picture

    def picture(self) -> Group:
        """The chart, how far it is, and the newest values."""
        size = shutil.get_terminal_size()
        text = chart(self.history, self.title, min(size.columns, 110), max(8, min(size.lines - 5, 24))) if self.history.curves else ""
        newest = Text(line(self.history, self.state), no_wrap=True, overflow="ellipsis")
        rows = [Text.from_ansi(text), Text("  ".join(self.progress())), newest]
        return Group(*rows, *([Text(printable(self.waiting), style="yellow")] if self.waiting else []))


@contextmanager
def screen(terminal: Terminal, title: str) -> Iterator[Screen]:
    """A screen for the time of a job; at the end the whole chart is left on it."""
    s = Screen(terminal, title)
    if terminal.interactive:
        with Live(get_renderable=s.picture, console=terminal.out, refresh_per_second=8, transient=False) as live:
            s.live = live
            yield s
        return
    yield s
    if s.history.curves and not terminal.json:
        width = min(terminal.width, 100) if terminal.bounded else 100
        terminal.show(Text.from_ansi(plotext.uncolorize(chart(s.history, s.title, width, 22))))

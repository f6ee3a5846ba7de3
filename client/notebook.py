"""A job in a notebook: its state and its curves, updated in place while it runs."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any, Protocol

from client.curves import Curves, svg
from server.models import ENDED, JobDetail

_INTERVAL_S = 0.5


class Shown(Protocol):
    """An output cell that can be changed (IPython's ``DisplayHandle``)."""

    def update(self, obj: Any) -> Any: ...


class Picture:
    """A job at a moment, as HTML."""

    def __init__(self, info: JobDetail, curves: Curves) -> None:
        self._html = html(info, curves)

    def _repr_html_(self) -> str:
        return self._html


def html(info: JobDetail, curves: Curves) -> str:
    """A job as HTML. What users named things stands in it as text."""
    words = [f"<b>{escape(info.name or info.id)}</b>", escape(info.id) if info.name else "", f"<b>{info.state}</b>"]
    if info.progress is not None:
        p = info.progress
        words.append(f"epoch {p.epoch} of {p.epochs}, {p.fraction:.0%}")
    if info.eta_s is not None and info.state not in ENDED:
        words.append(f"about {info.eta_s:.0f} s left")
    reason = info.error.message if info.error else info.reason
    if reason:
        words.append(escape(reason))
    return f"<div><p>{' &middot; '.join(w for w in words if w)}</p>{svg(curves.curves)}</div>"


class Cell:
    """The output cell of a job, if the program runs in a notebook and the job has been shown."""

    def __init__(self) -> None:
        self._shown: Shown | None = None
        self._updated = 0.0

    def show(self, info: JobDetail, curves: Curves) -> bool:
        """Shows the job in a new output, which :meth:`update` changes from now on; False outside of notebooks."""
        display = _display()
        if display is None:
            return False
        self._shown = display(Picture(info, curves), display_id=True)
        return True

    def is_due(self, now: bool = False) -> bool:
        """Whether the output is to be updated: it is there, and the last time was half a second ago; or ``now``."""
        return self._shown is not None and (now or time.monotonic() - self._updated > _INTERVAL_S)

    def update(self, info: JobDetail, curves: Curves) -> None:
        """Draws the job again in the same output."""
        if self._shown is not None:
            self._shown.update(Picture(info, curves))
            self._updated = time.monotonic()


def _display() -> Any:
    """IPython's ``display`` in a notebook, else None. IPython is not imported for it: in a notebook, it has been."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return sys.modules["IPython.display"].display if shell is not None and hasattr(shell, "kernel") else None


__all__ = ["Cell", "Picture", "html"]

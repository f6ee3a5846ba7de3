"""Watching which of Python's values a step reads: the frames that run are observed, and what their code names is looked up in
what they have: arguments, variables of their module and of enclosing functions, and whatever is reached from there by these names.
"""

from __future__ import annotations

import _io
import contextlib
import datetime
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import BuiltinFunctionType, CodeType, FrameType
from typing import Any

from engine.capture.explore import Explorer
from engine.capture.names import KNOWN, Names, names_of
from engine.capture.places import ATOMS, MISSING, Attribute, Item, Place
from engine.nn.module import Module
from engine.tensor import Tensor

_CLOCKS = (time.time, time.time_ns, time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns, time.process_time)
_OUTSIDE = {
    f: f"{f.__name__}()"
    for f in (*_CLOCKS, os.urandom, datetime.datetime.now, datetime.datetime.utcnow, datetime.date.today, input, print, open)
}
"""Calls whose results nobody can foresee, or that do something that is to happen at each step."""
_MEMBER = Module.__getattr__.__code__


class Reads:
    """What two runs of a step read. Only what both found is the program's business: other objects were made by the step."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self.found = Explorer()
        self._ran: set[int] = set()  # code
        self._looked: set[int] = set()  # code whose module's variables were looked at
        self.found.explore(step)

    @property
    def refused(self) -> str | None:
        """Why the step cannot be guarded."""
        return self.found.refused

    @property
    def places(self) -> dict[tuple[Any, ...], Place]:
        return self.found.places

    @contextlib.contextmanager
    def observing(self) -> Iterator[None]:
        """Inside, what this thread's Python reads is noted."""
        before = sys.getprofile()
        if before is not None and not callable(before):
            self.found.refused = "it runs under a profiler, which hides what it reads"
            yield
            return
        collects = gc.isenabled()
        gc.disable()  # what others have told it to call is no part of the step
        sys.setprofile(self._told)
        try:
            yield
        finally:
            sys.setprofile(before)
            if collects:
                gc.enable()

    def _told(self, frame: FrameType, event: str, about: Any) -> None:
        code = frame.f_code
        found = KNOWN.get(id(code))
        names = names_of(code, frame.f_globals.get("__name__", "")) if found is None else found[1]
        if names is None or event == "c_return" or self.found.refused is not None:
            return
        try:
            self._follow(frame, event, about, names)
        except Exception as error:  # a fault of ours, or an object that nobody can look at
            self.found.refused = f"what it reads cannot be told ({type(error).__name__}: {error})"

    def _follow(self, frame: FrameType, event: str, about: Any, names: Names) -> None:
        code = frame.f_code
        if event == "c_call":
            self._called(about)
        elif event == "call":
            if code is _MEMBER:
                self.found.member(frame.f_locals["self"], frame.f_locals["name"])
            else:
                self._entered(frame, code, names)
        elif event == "return":
            caller = frame.f_back
            of_caller = names_of(caller.f_code) if caller is not None else None
            if of_caller is not None and type(about) not in ATOMS and not isinstance(about, Tensor):
                self.found.explore(about, of_caller, f"what {code.co_name}() returned")
            if code is not _MEMBER:
                self._look(frame, code, names)

    def _entered(self, frame: FrameType, code: CodeType, names: Names) -> None:
        first = id(code) not in self._ran
        self._look(frame, code, names)
        if first:
            self._ran.add(id(code))
            self.found.stored |= names.stored

    def _look(self, frame: FrameType, code: CodeType, names: Names) -> None:
        """What the variables of a frame lead to."""
        found = self.found
        for name, value in frame.f_locals.items():
            if type(value) not in ATOMS:
                found.add(value, names, type(value).__name__ if name == "self" else name, name, names.everything)
        if id(code) not in self._looked:
            self._looked.add(id(code))
            self._look_around(frame, names)
        found.run()

    def _look_around(self, frame: FrameType, names: Names) -> None:
        """The variables of a frame's module."""
        home = frame.f_globals
        module = sys.modules.get(home.get("__name__", ""))
        for name in names.variables:
            value = home.get(name, MISSING)
            if value is MISSING and name in frame.f_builtins:
                continue
            if not (names.library and callable(value)):
                is_module = module is not None and vars(module) is home
                self.found.place(Attribute if is_module else Item, module if is_module else home, name, name)
            self.found.add(value, names, name, name, names.everything)

    def _called(self, function: Any) -> None:
        owner = getattr(function, "__self__", None)
        if isinstance(owner, _io._IOBase | ContextVar):
            self.found.refused = f"it uses a {type(owner).__name__}"
        elif isinstance(function, BuiltinFunctionType):
            with contextlib.suppress(TypeError):  # of an object that has no hash
                what = _OUTSIDE.get(function)
                self.found.refused = what and f"it calls {what}"

    def tensor(self, t: Tensor) -> None:
        """One that the step differentiates or updates."""
        self.found.tensor(t)

    def ran(self, place: Place) -> bool:
        """Whether the code that a place belongs to ran."""
        return place.owner is None or id(place.owner) in self._ran


__all__ = ["Reads"]

"""Watching which of Python's values a step reads: the frames that run are observed, and what their code names is looked up in
what they have: arguments, variables of their module and of enclosing functions, and whatever is reached from there by these names.
"""

from __future__ import annotations

import _io
import contextlib
import datetime
import gc
import os
import pickle
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from importlib.util import resolve_name
from types import BuiltinFunctionType, CodeType, FrameType
from typing import Any

from engine.capture.explore import Explorer
from engine.capture.names import KNOWN, NOTHING, Names, is_library, is_observed, names_of
from engine.capture.places import ATOMS, MISSING, Attribute, Item, Place
from engine.nn.module import Module
from engine.tensor import Tensor


class NotCaptured(Exception):
    """Why a step cannot become a program."""


_CLOCKS = (time.time, time.time_ns, time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns, time.process_time)
_OUTSIDE = {
    f: f"{f.__name__}()"
    for f in (*_CLOCKS, os.urandom, datetime.datetime.now, datetime.datetime.utcnow, datetime.date.today, input, print, open, pickle.dumps)
}
"""Calls whose results nobody can foresee, or that do something that is to happen at each step."""
_WHOLE = ("__reduce_ex__", "__reduce__", "__getstate__")
"""Methods that read all of an object: for a copy of it."""
_MEMBER = Module.__getattr__.__code__
_SETS = Module.__setattr__.__code__  # which looks at all attributes; what is set, the code that sets it names


def _is_of_engine(frame: FrameType) -> bool:
    """Whether a frame of the standard library works for a part of the engine that is not observed, which makes an op, say."""
    caller: FrameType | None = frame
    while caller is not None and is_library(caller.f_code.co_filename):
        caller = caller.f_back
    return caller is not None and caller is not frame and not is_observed(caller.f_code.co_filename)


class Reads:
    """What two runs of a step read. Only what both found is the program's business: other objects were made by the step."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self.found = Explorer()
        self._ran: dict[int, CodeType] = {}
        self._looked: set[int] = set()  # code whose module's variables were looked at
        self.found.explore(step)

    @property
    def refused(self) -> str | None:
        """Why the step cannot be guarded."""
        if self.found.refused is None:
            inside = {id(c) for code in self._ran.values() for c in code.co_consts if isinstance(c, CodeType)}
            for code in self._ran.values():
                if set(code.co_freevars) - {"__class__"} and id(code) not in self.found.functions | inside:
                    return f"nobody knows where {code.co_name}() has {', '.join(code.co_freevars)} from"
        return self.found.refused

    @property
    def places(self) -> dict[tuple[Any, ...], Place]:
        return self.found.places

    def __enter__(self) -> None:
        """From here on, what this thread's Python reads is noted."""
        self._profiler, self._collects = sys.getprofile(), gc.isenabled()
        if self._profiler is not None and not callable(self._profiler):
            raise NotCaptured("it runs under a profiler, which hides what it reads")
        gc.collect(0)  # the youngest objects are those of the recording
        gc.disable()  # what others have told it to call is no part of the step
        sys.setprofile(self._told)

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(self._profiler)
        if self._collects:
            gc.enable()

    def _told(self, frame: FrameType, event: str, about: Any) -> None:
        code = frame.f_code
        found = KNOWN.get(id(code))
        names = names_of(code, frame.f_globals.get("__name__", "")) if found is None else found[1]
        if names is None or event == "c_return" or code is _SETS or self.found.refused is not None or _is_of_engine(frame):
            return
        try:
            self._follow(frame, event, about, names)
        except Exception as error:  # a fault of ours, or an object that nobody can look at
            self.found.refused = f"what it reads cannot be told ({type(error).__name__}: {error})"
        if self.found.refused is not None:  # before it calls, or reads, what it should not
            raise NotCaptured(self.found.refused)

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
            self._ran[id(code)] = code
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
        """The variables of a frame's module, and modules that it imports."""
        home = frame.f_globals
        for up, name in names.imports:
            whole = resolve_name("." * up + name, home.get("__package__")) if up else name
            for end in (len(whole), whole.find(".")):
                self.found.add(sys.modules.get(whole[:end] if end > 0 else whole, MISSING), names, whole, "", names.everything)
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
            if function.__name__ in _WHOLE:
                self.found.add(owner, NOTHING, type(owner).__name__, "", True)
                self.found.run()
            with contextlib.suppress(TypeError):  # of an object that has no hash
                what = _OUTSIDE.get(function)
                self.found.refused = what and f"it calls {what}"

    def tensor(self, t: Tensor) -> None:
        """One that the step differentiates or updates."""
        self.found.tensor(t)

    def ran(self, place: Place) -> bool:
        """Whether the code that a place belongs to ran."""
        return place.owner is None or id(place.owner) in self._ran


__all__ = ["NotCaptured", "Reads"]

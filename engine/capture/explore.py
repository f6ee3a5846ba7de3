"""What code could read of Python's objects: attributes, items and variables by the names in it, from the objects that it has."""

from __future__ import annotations

import functools
import gc
import operator
import random
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType, CodeType, FunctionType, GenericAlias, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

import engine.dtypes
from engine.backend.device import defaults
from engine.capture.names import ENGINE, NOTHING, Names, is_observed, is_users, names_of
from engine.capture.places import (
    ATOMS,
    MISSING,
    Attribute,
    Contents,
    Draws,
    Hooked,
    Item,
    Kind,
    Members,
    Opaque,
    Place,
    Remembered,
    Settings,
    Size,
    Variable,
)  # fmt: skip
from engine.modes import state
from engine.nn.module import Module
from engine.optim.optimizer import Optimizer
from engine.tensor import Tensor

_LARGE = 1 << 20  # bytes of memory that is compared at each step
_MOST = 100_000  # places
_HEAP = 1 << 9  # the flag of classes that Python made
_WRAPPERS = (classmethod, staticmethod, functools.cached_property, functools.partialmethod)
_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)
_LOOKUPS = (operator.attrgetter, operator.itemgetter, operator.methodcaller)
_PLAIN = (np.generic, np.dtype, GenericAlias)
_MEMBERS = frozenset(("_parameters", "_buffers", "_modules"))
_HOOKS = frozenset((*Hooked.kinds, "_with_kwargs", "_always"))


class Explorer:
    """The places that were found. ``stored`` are attributes that code which ran sets: what was in them at first may be its own."""

    def __init__(self) -> None:
        self.places: dict[tuple[Any, ...], Place] = {}
        self.refused: str | None = None
        self.stored: set[str] = set()
        self.functions: set[int] = set()  # the code of those whose variables are guarded
        self._seen: set[tuple[Any, ...]] = set()
        self._added: list[tuple[Any, Names, str, str, bool]] = []  # which keeps them, so that no other object takes their address
        self._work: list[tuple[Any, Names, str, bool]] = []
        self.place(Settings, state, None, "a mode of the engine (autocast, grad mode, detect_anomaly)")
        self.place(Attribute, engine.dtypes, "_default", "the default dtype")
        self.place(Contents, defaults(), None, "the default device")
        self.place(Draws, random.seed.__self__, None, "Python's random numbers")  # type: ignore[attr-defined]  # a method
        self.place(Draws, np.random.mtrand._rand, None, "NumPy's random numbers")

    def explore(self, value: Any, names: Names = NOTHING, path: str = "") -> None:
        """Notes what code with these names could read of ``value``."""
        self.add(value, names, path, "", False)
        self.run()

    def add(self, value: Any, names: Names, path: str, name: str, whole: bool = False) -> None:
        if type(value) in ATOMS or value is MISSING:
            return
        at = id(value), id(names), names.keys.get(name) and name
        if at in self._seen:
            return
        self._seen.add(at)
        self._added.append((value, names, path, name, whole))
        keys = names.keys.get(name)
        if keys and type(value) is dict:
            for key in keys:
                self.place(Item, value, key, f"{path}[{key!r}]")
                self.add(dict.get(value, key, MISSING), names, f"{path}[{key!r}]", "")
        else:
            self._work.append((value, names, path, whole))

    def again(self) -> None:
        """Looks at everything once more: the step made objects that are there to stay."""
        added, self._added = self._added, []
        self._seen.clear()
        for each in added:
            self.add(*each)
        self.run()

    def run(self) -> None:
        while self._work and self.refused is None:
            self._visit(*self._work.pop())
            if len(self.places) > _MOST:
                self.refused = f"it can reach more than {_MOST:,} of Python's values"

    def place(self, kind: type[Place], holder: Any, key: Any, path: str, owner: CodeType | None = None, **how: Any) -> None:
        at = kind, id(holder), key
        if at not in self.places:
            trusted = not (kind in (Attribute, Item) and key in self.stored)
            self.places[at] = kind(holder, key, path, owner, trusted, **how)

    def _visit(self, value: Any, names: Names, path: str, whole: bool) -> None:
        kind = type(value)
        if isinstance(value, Tensor):
            self.tensor(value, path, names)
        elif kind in _VISITS:
            _VISITS[kind](self, value, names, path)
        elif issubclass(kind, type):
            self._class(value, names, path, whole)
        elif issubclass(kind, ModuleType):
            self._module(value, names, path, whole)
        elif issubclass(kind, tuple | frozenset | list | deque | dict | set | bytearray | np.ndarray):
            self._contents(value, names, path)
        elif issubclass(kind, _WRAPPERS):
            self.add(getattr(value, "func", None) or value.__func__, names, path, "")
        elif issubclass(kind, _GENERATORS):
            self.place(Draws, value, None, path)
        elif hasattr(kind, "__next__"):
            self.place(Opaque, value, "reads on in", path)
            if gc.is_tracked(value) and not any(o is value for o in gc.get_objects(0)):  # older than the recording
                self.refused = f"it reads on in {path}"
        elif kind is MappingProxyType:
            self.add(gc.get_referents(value)[0], names, path, "")
        elif kind is weakref.ref:
            self.add(value(), names, path, "")
        elif kind in _LOOKUPS or _is_closed(kind):
            self.place(Opaque, value, f"reads a {kind.__name__}, which cannot be looked into:", path)
        elif kind.__name__ == "Compiled" and _is_engines(kind):
            self.add(value.step, names, path, "")
        elif not _looks_itself_up(kind):
            self._object(value, names, path, whole)

    def tensor(self, t: Tensor, path: str = "a tensor", names: Names = NOTHING) -> None:
        """A tensor's memory is read by the program; that it is this memory, is guarded."""
        for key in ("_data", "_requires_grad", "_hooks", "_after") if t._requires_grad else ("_data", "_requires_grad"):
            self.place(Attribute, t, key, path)
        for name in names.attributes & vars(t).keys():
            self.place(Item, vars(t), name, f"{path}.{name}")
            self.add(vars(t)[name], names, f"{path}.{name}", name)
        for hooks in (t._hooks, t._after):
            if isinstance(hooks, dict):
                self._contents(hooks, NOTHING, f"the hooks of {path}")

    def _function(self, f: FunctionType, names: Names, path: str) -> None:
        """What belongs to a function is read when its code runs."""
        code = f.__code__
        if not is_observed(code.co_filename):
            return
        self.functions.add(id(code))
        for name in names.attributes & vars(f).keys():
            self.place(Item, vars(f), name, f"{path}.{name}")
            self.add(vars(f)[name], names, f"{path}.{name}", name)
        if not (names_of(code, f.__module__ or "") or NOTHING).library:
            self.place(Attribute, f, "__code__", path, code)
            self.place(Attribute, f, "__defaults__", f"a default of {path}()", code)
            self.place(Attribute, f, "__kwdefaults__", f"a default of {path}()", code)
            if f.__kwdefaults__:
                self._contents(f.__kwdefaults__, NOTHING, f"a default of {path}()")
        for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=True):
            self.place(Variable, cell, None, name, code)

    def _method(self, m: MethodType, names: Names, path: str) -> None:
        self.add(m.__self__, names, path, "")
        self.add(m.__func__, names, path, "")

    def _builtin(self, f: BuiltinFunctionType, names: Names, path: str) -> None:
        if not isinstance(f.__self__, ModuleType | None):
            self.add(f.__self__, names, path, "")

    def _partial(self, p: functools.partial[Any], names: Names, path: str) -> None:
        for part in (p.func, p.args, p.keywords):
            self.add(part, names, path, "")

    def _wrapper(self, f: Any, names: Names, path: str) -> None:
        self.place(Remembered, f, None, f"the cache of {path}")
        self.add(f.__wrapped__, names, path, "")

    def _property(self, p: property, names: Names, path: str) -> None:
        self.add(p.fget, names, path, "")

    def _module(self, m: ModuleType, names: Names, path: str, whole: bool) -> None:
        own = vars(m)
        mine = whole and is_users(own.get("__file__") or "")
        for name in own.keys() | names.attributes if mine else names.attributes & own.keys():
            if not (names.library and callable(own.get(name))):
                self.place(Attribute, m, name, f"{path}.{name}")
            self.add(own.get(name, MISSING), names, f"{path}.{name}", name)

    def _class(self, c: type, names: Names, path: str, whole: bool) -> None:
        if _looks_itself_up(c) or not c.__flags__ & _HEAP:
            return
        self._functions_of(c)
        self._functions_of(type(c))
        for name in names.attributes | _all(c) if whole else names.attributes:
            raw = _of_class(c, name)
            if raw is MISSING and type(c) is not type:
                raw = _of_class(type(c), name)
                if hasattr(type(raw), "__get__"):
                    continue
            if raw is not MISSING or names.everything:
                self.place(Attribute, c, name, f"{path}.{name}")
                self.add(raw, names, f"{path}.{name}", name)

    def _functions_of(self, c: type) -> None:
        """Those of a class, which may run without being named: operators, ``__call__``, properties."""
        if id(c) in self.functions:
            return
        self.functions.add(id(c))
        for base in c.__mro__:
            for raw in vars(base).values() if base.__flags__ & _HEAP and not _is_engines(base) else ():
                for f in (raw.fget, raw.fset) if isinstance(raw, property) else (getattr(raw, "__func__", raw),):
                    if isinstance(f, FunctionType):
                        self._function(f, NOTHING, f"{c.__name__}.{f.__name__}")

    def _contents(self, value: Any, names: Names, path: str) -> None:
        kind = type(value)
        if isinstance(value, np.ndarray):
            if value.nbytes > _LARGE:
                self.place(Opaque, value, f"reads an array of {value.nbytes >> 20} MB, too large to be compared at each step:", path)
            else:
                self.place(Contents, value, None, f"the array {path}")
            items: Any = value.ravel() if value.dtype.kind == "O" else ()
        else:
            if not issubclass(kind, tuple | frozenset):
                self.place(Contents, value, None, path)
            items = () if kind is bytearray else dict.values(value) if issubclass(kind, dict) else value
        for i, item in enumerate(items) if not set(map(type, items)) <= ATOMS else ():
            if not (names.engines and isinstance(item, Module)):  # whose own code says what it reads
                self.add(item, names, f"{path}[{i}]", "")
        if kind.__flags__ & _HEAP and not issubclass(kind, tuple | frozenset) and kind.__module__ != "collections":
            self._object(value, names, path, False)

    def _object(self, value: Any, names: Names, path: str, whole: bool) -> None:
        """An instance: its own attributes, and those of its class."""
        kind, own = type(value), _own(value)
        if kind.__flags__ & _HEAP:
            self._functions_of(kind)
            self.place(Kind, value, None, f"the class of {path}")
        wanted = names.attributes | own.keys() if whole and own is not None else names.attributes
        if isinstance(value, Module) and own is not None:
            self._hooks_and_members(own, wanted, names, path)
            wanted = wanted - _MEMBERS - _HOOKS
        if isinstance(value, Optimizer):
            for when in ("before", "after"):
                self.add(value._hooks[when], names, f"the hooks of {path}", "")
        plain = _of_class(kind, "__getattribute__") is MISSING and not hasattr(kind, "__getattr__")
        looked_up = False
        for name in wanted:
            raw = _of_class(kind, name)
            if own is None or name not in own or hasattr(type(raw), "__set__"):
                looked_up = True
                self._inherited(value, name, raw, names, f"{path}.{name}")
            elif not _is_derived(own, name):
                self.place(Attribute if plain else Item, value if plain else own, name, f"{path}.{name}")
                self.add(own[name], names, f"{path}.{name}", name)
        if looked_up and own is not None:
            self.place(Size, own, None, path)

    def _inherited(self, value: Any, name: str, raw: Any, names: Names, path: str) -> None:
        """An attribute that an object has from its class; but not the methods of the engine's own, save ``forward``, which others replace."""
        if raw is MISSING and names.everything:
            self.place(Attribute, type(value), name, path)
        if raw is MISSING or (name != "forward" and isinstance(raw, FunctionType) and raw.__code__.co_filename.startswith(ENGINE)):
            return
        kind = type(value)
        if isinstance(raw, MemberDescriptorType):
            self.place(Attribute, value, name, path)
            self.add(Attribute(value, name, path).now(), names, path, name)
        elif hasattr(type(raw), "__get__"):
            if not (_is_engines(kind) and name != "forward"):
                self.place(Attribute, kind, name, path)
            self.add(raw, names, path, name)
        else:
            self.place(Attribute, value, name, path, own=_own(value))
            self.add(raw, names, path, name)

    def _hooks_and_members(self, own: dict[str, Any], wanted: frozenset[str], names: Names, path: str) -> None:
        """Of a module."""
        self.place(Hooked, own, None, f"the hooks of {path}")
        for kind in Hooked.kinds:
            for hook in own[kind].values():
                self.add(hook, names, f"a hook of {path}", "")
        for home in _MEMBERS & wanted:
            self.place(Item, own, home, path)
            self.place(Contents if home == "_modules" else Members, own[home], None, path)
            for name, member in own[home].items():
                if not (names.engines and isinstance(member, Module)):  # whose own code says what it reads
                    self.add(member, names, f"{path}.{name}", name)

    def member(self, module: Module, name: str) -> None:
        """A parameter, a buffer or a layer that is asked for as an attribute."""
        own, path = vars(module), f"{type(module).__name__}.{name}"
        for home in _MEMBERS:
            if name in own.get(home, ()):
                self.place(Item, own, home, path)
                self.place(Item, own[home], name, path)
                if isinstance(own[home][name], Tensor):
                    self.tensor(own[home][name], path)


@functools.lru_cache
def _cached() -> None:
    """Here for its type."""


_VISITS: dict[type, Callable[[Explorer, Any, Names, str], None]] = {
    FunctionType: Explorer._function, MethodType: Explorer._method, BuiltinFunctionType: Explorer._builtin,
    functools.partial: Explorer._partial, property: Explorer._property, type(_cached): Explorer._wrapper,
}  # fmt: skip


def _own(value: Any) -> dict[str, Any] | None:
    try:
        found = value.__dict__ if isinstance(value, threading.local) else object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if isinstance(found, dict) else None


def _of_class(kind: type, name: str) -> Any:
    for c in kind.__mro__:
        if name in c.__dict__:
            return c.__dict__[name] if c is not object else MISSING
    return MISSING


def _all(c: type) -> set[str]:
    """The names of a class's attributes, those that Python gives every class apart."""
    return {name for b in c.__mro__ if b is not object for name in b.__dict__ if not name.startswith("__")}


def _is_closed(kind: type) -> bool:
    """Whether objects of a class hold others where Python cannot look: one that was made in C."""
    if not (hasattr(kind, "__getitem__") or hasattr(kind, "__iter__")) or issubclass(kind, _PLAIN):
        return False
    return not any("__dict__" in vars(c) or "__slots__" in vars(c) for c in kind.__mro__)


def _is_engines(kind: type) -> bool:
    return kind.__module__.startswith("engine.")


def _is_derived(own: dict[str, Any], name: str) -> bool:
    """Whether a hook of the engine's, of ``weight_norm`` say, computes an attribute of a module from others before each forward."""
    return any(getattr(hook, "name", None) == name and _is_engines(type(hook)) for hook in own.get(Hooked.kinds[0], {}).values())


def _looks_itself_up(kind: type) -> bool:
    """Whether a class is the engine's, and of the parts that programs ask for their state at each step."""
    if not _is_engines(kind) or issubclass(kind, Optimizer):
        return False
    return not is_observed(getattr(sys.modules.get(kind.__module__), "__file__", None) or "")


__all__ = ["Explorer"]

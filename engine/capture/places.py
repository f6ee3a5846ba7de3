"""Places where a step can read a Python value: an attribute, an item, a variable, an object's class, what a container holds.

A place is looked at in two ways: by ``now``, and by a condition, an expression that is compiled with those of all others (guards.py).
"""

from __future__ import annotations

import operator
import pickle
import random
from collections import deque
from collections.abc import Iterable
from types import CellType, CodeType, MethodType, ModuleType
from typing import Any

import numpy as np

from engine.backend import device

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()
ATOMS = frozenset((int, float, complex, str, bytes, bool, type(None), type(...), range, slice, device))
"""Types whose values are compared as values; everything else is itself or another one."""
_INLINE = 8  # elements that are compared one by one where they stand


def same(a: Any, b: Any) -> bool:
    """Whether a step that reads ``a`` does what it does with ``b``: the same object, or an equal value of the same type."""
    kind = type(a)
    if a is b or kind is not type(b):
        return a is b
    if kind is float or kind is complex:
        return repr(a) == repr(b)
    if kind in ATOMS or isinstance(a, np.dtype):
        return bool(a == b)
    if kind is tuple:
        return len(a) == len(b) and (all(map(operator.is_, a, b)) or all(map(same, a, b)))
    if kind is frozenset:
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    if isinstance(a, np.generic):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return kind is MethodType and a.__self__ is b.__self__ and a.__func__ is b.__func__


class Bound:
    """The names by which an expression finds objects."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {"same": same}
        self.cells: dict[str, CellType] = {}
        self._names: dict[int, str] = {}

    def __call__(self, value: Any) -> str:
        """The name of an object; a number or a text that is short is itself."""
        if value is None or value is True or value is False:
            return repr(value)
        name = self._names.setdefault(id(value), f"o{len(self._names)}")
        self.objects[name] = value
        return name

    def cell(self, cell: CellType) -> str:
        name = self._names.setdefault(id(cell), f"c{len(self._names)}")
        self.cells[name] = cell
        return name


class Place:
    """Where a step read a value: ``key`` of ``holder``, which people know as ``path``.

    ``owner`` is the code that has to run for it to be read. ``first`` is what was there when the step first came there; it is
    ``trusted`` where the step could not have put it there itself.
    """

    __slots__ = ("first", "holder", "key", "owner", "path", "trusted")
    verb = "changes"

    def __init__(self, holder: Any, key: Any, path: str, owner: CodeType | None = None, trusted: bool = True) -> None:
        self.holder, self.key, self.path, self.owner, self.trusted = holder, key, path, owner, trusted
        self.first = self.now()

    def now(self) -> Any:
        raise NotImplementedError

    def holds(self, value: Any) -> bool:
        return same(self.now(), value)

    def put(self, value: Any) -> None:
        """Makes ``value`` what is there."""

    def condition(self, bound: Bound, value: Any) -> str | None:
        """An expression that is true while ``value`` is there; None for what replays need not look at."""
        found = self.expression(bound)
        if found is None or value is MISSING:
            return f"same({bound(self.now)}(), {bound(value)})"
        if type(value) is bool or value is None or not (type(value) in ATOMS or isinstance(value, _VALUES)):
            return f"{found} is {bound(value)}"
        return f"((x := {found}) is {bound(value)} or same(x, {bound(value)}))"

    def expression(self, bound: Bound) -> str | None:
        return None


_VALUES = (tuple, frozenset, np.generic, np.dtype, MethodType)


class Attribute(Place):
    """Of an object, a class or a module, where looking at it runs no code of anybody's."""

    __slots__ = ("own",)

    def __init__(self, holder: Any, key: str, path: str, owner: CodeType | None = None, trusted: bool = True, own: Any = None) -> None:
        self.own = own  # the object's dict, where the attribute is the class's until it is set
        super().__init__(holder, key, path, owner, trusted)

    def now(self) -> Any:
        try:
            if isinstance(self.holder, type):
                return getattr(self.holder, self.key)
            return object.__getattribute__(self.holder, self.key)
        except AttributeError:
            return MISSING

    def put(self, value: Any) -> None:
        assign = setattr if isinstance(self.holder, type | ModuleType) else object.__setattr__
        if value is MISSING:
            delattr(self.holder, self.key)
        elif self.own is not None:
            self.own.pop(self.key, None)
        else:
            assign(self.holder, self.key, value)

    def expression(self, bound: Bound) -> str | None:
        return f"{bound(self.holder)}.{self.key}" if self.key.isidentifier() else None


class Item(Place):
    """Of a dict."""

    __slots__ = ()

    def now(self) -> Any:
        return dict.get(self.holder, self.key, MISSING)

    def put(self, value: Any) -> None:
        if value is MISSING:
            dict.pop(self.holder, self.key)
        else:
            dict.__setitem__(self.holder, self.key, value)

    def expression(self, bound: Bound) -> str:
        return f"{bound(self.holder)}[{self.key!r}]" if type(self.key) in (str, int) else f"{bound(self.holder)}[{bound(self.key)}]"


class Variable(Place):
    """Of an enclosing function."""

    __slots__ = ()

    def now(self) -> Any:
        try:
            return self.holder.cell_contents
        except ValueError:
            return MISSING

    def put(self, value: Any) -> None:
        if value is MISSING:
            del self.holder.cell_contents
        else:
            self.holder.cell_contents = value

    def expression(self, bound: Bound) -> str:
        return bound.cell(self.holder)


class Kind(Place):
    """An object's class."""

    __slots__ = ()

    def now(self) -> Any:
        return type(self.holder)

    def put(self, value: Any) -> None:
        self.holder.__class__ = value

    def expression(self, bound: Bound) -> str:
        return f"type({bound(self.holder)})"


class Size(Place):
    """How many attributes an object has: a method may be hidden by one that was not there."""

    __slots__ = ()
    verb = "adds attributes to"

    def now(self) -> Any:
        return len(self.holder)

    def condition(self, bound: Bound, value: Any) -> str:
        return f"len({bound(self.holder)}) == {value}"


class Contents(Place):
    """Of a list, a deque, a dict, a set, or memory."""

    __slots__ = ()

    def now(self) -> Any:
        held = self.holder
        if isinstance(held, dict):
            return tuple(dict.keys(held)), tuple(dict.values(held))
        if isinstance(held, np.ndarray):
            return held.shape, held.tobytes() if held.dtype.kind != "O" else tuple(held.ravel())
        return tuple(held) if isinstance(held, list | deque) else frozenset(held) if isinstance(held, set) else bytes(held)

    def put(self, value: Any) -> None:
        held = self.holder
        if isinstance(held, list | bytearray):
            held[:] = value
        elif isinstance(held, np.ndarray):
            flat = np.frombuffer(value[1], held.dtype) if held.dtype.kind != "O" else np.fromiter(value[1], object)
            held[...] = flat.reshape(held.shape)
        else:
            held.clear()
            held.update(zip(*value, strict=True)) if isinstance(held, dict) else held.extend(value) if isinstance(
                held, deque
            ) else held.update(value)

    def condition(self, bound: Bound, value: Any) -> str:
        held, name = self.holder, bound(self.holder)
        if not isinstance(held, np.ndarray) and not len(held):
            return f"not {name}"
        each: Iterable[tuple[Any, Any]] = ()
        if type(held) is list:
            each = enumerate(value)
        elif isinstance(held, dict) and all(type(k) is str for k in value[0]):
            each = zip(*value, strict=True)
        if not each or len(held) > _INLINE:
            return f"same({bound(self.now)}(), {bound(value)})"
        whole = f"len({name}) == {len(held)}" if type(held) is list else f"[*{name}] == {bound(list(value[0]))}"
        return " and ".join([whole, *(str(Item.condition(_Element(held, k, ""), bound, v)) for k, v in each)])


class Members(Contents):
    """Parameters or buffers of a module, which are asked for by name: their order does not matter."""

    __slots__ = ()

    def condition(self, bound: Bound, value: Any) -> str:
        name = bound(self.holder)
        each = [str(Item.condition(_Element(self.holder, k, ""), bound, v)) for k, v in zip(*value, strict=True)]
        return " and ".join([f"len({name}) == {len(each)}" if each else f"not {name}", *each])


class Hooked(Place):
    """The hooks of a module; ``holder`` is its dict."""

    __slots__ = ()
    kinds = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")

    def now(self) -> Any:
        found = tuple(tuple(self.holder[kind].items()) for kind in self.kinds)
        return (*found, frozenset(self.holder["_with_kwargs"]), frozenset(self.holder["_always"])) if any(found) else ()

    def put(self, value: Any) -> None:
        for kind, hooks in zip(self.kinds, value or ((),) * 4, strict=False):
            self.holder[kind].clear()
            self.holder[kind].update(hooks)

    def condition(self, bound: Bound, value: Any) -> str:
        if value:
            return super().condition(bound, value) or ""
        name = bound(self.holder)
        return "not (" + " or ".join(f"{name}[{kind!r}]" for kind in self.kinds) + ")"


class _Element(Item):
    __slots__ = ()

    def now(self) -> Any:
        return self.holder[self.key]


class Settings(Place):
    """Attributes of an object of the engine's, each of which is compared by what it is equal to."""

    __slots__ = ()

    def now(self) -> Any:
        return dict(vars(self.holder))

    def holds(self, value: Any) -> bool:
        return bool(self.now() == value)

    def condition(self, bound: Bound, value: Any) -> str:
        return f"{bound(self.holder)}.__dict__ == {bound(value)}"


class Remembered(Place):
    """How many results a function with a cache has computed: none after ``cache_clear``."""

    __slots__ = ()

    def now(self) -> Any:
        return self.holder.cache_info().misses

    def expression(self, bound: Bound) -> str:
        return f"{bound(self.holder)}.cache_info().misses"


class Draws(Place):
    """The state of a random generator of Python's or NumPy's."""

    __slots__ = ()
    verb = "draws from"

    def now(self) -> Any:
        held = self.holder
        if isinstance(held, np.random.Generator):
            return pickle.dumps(held.bit_generator.state)
        return pickle.dumps(held.getstate() if isinstance(held, random.Random) else held.get_state())

    def put(self, value: Any) -> None:
        held, saved = self.holder, pickle.loads(value)
        if isinstance(held, np.random.Generator):
            held.bit_generator.state = saved
        else:
            held.setstate(saved) if isinstance(held, random.Random) else held.set_state(saved)

    def condition(self, bound: Bound, value: Any) -> None:
        return None


class Opaque(Place):
    """What cannot be compared: never what it was."""

    __slots__ = ()

    @property
    def verb(self) -> str:  # type: ignore[override]  # each has its own
        return str(self.key)

    def now(self) -> Any:
        return object()


__all__ = [
    "ATOMS",
    "MISSING",
    "Attribute",
    "Bound",
    "Contents",
    "Draws",
    "Hooked",
    "Item",
    "Kind",
    "Members",
    "Opaque",
    "Place",
    "Remembered",
    "Settings",
    "Size",
    "Variable",
    "same",
]

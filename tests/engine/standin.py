"""A stand-in for CuPy on machines without a GPU: arrays that refuse to meet NumPy's, and to be looked at by accident.

It computes with NumPy behind a wall. As with CuPy, operands of both kinds do not mix, a reduction gives an array of no dimensions, and
only ``get``, ``item`` and ``asnumpy`` bring elements to the host. Stricter than CuPy, it refuses ``bool(x)``, ``int(x)`` and their like,
which wait for the device unasked. Ufuncs have the methods that CuPy 14 gives them.
"""

from __future__ import annotations

import operator
import types
from typing import Any

import numpy as np

_AT = {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}
_ACCUMULATE = {"add", "multiply"}


def _inside(value: Any) -> Any:
    """An argument behind the wall. Raises TypeError for a NumPy array, as CuPy does."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)(map(_inside, value))
    if isinstance(value, dict):
        return {k: _inside(v) for k, v in value.items()}
    return value


def _outside(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ndarray(value)
    if isinstance(value, np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, tuple | list):
        parts = [_outside(v) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _forbidden(what: str) -> Any:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"implicit synchronization: {what} of a device array; use .item() or .get()")

    return refuse


class ndarray:  # noqa: N801 - CuPy's name
    """An array on the device that is not there."""

    __slots__ = ("_host",)
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]  # as arrays are

    def __init__(self, host: np.ndarray[Any, Any]) -> None:
        self._host = host

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.")

    __bool__ = _forbidden("bool()")
    __int__ = _forbidden("int()")
    __float__ = _forbidden("float()")
    __index__ = _forbidden("an index made")
    __iter__ = _forbidden("iteration")
    __contains__ = _forbidden("'in'")

    def __len__(self) -> int:
        return len(self._host)

    def get(self) -> np.ndarray[Any, Any]:
        return self._host.copy()

    def item(self) -> Any:
        return self._host.item()

    def tolist(self) -> Any:
        return self._host.tolist()

    @property
    def device(self) -> Any:
        return types.SimpleNamespace(id=0)

    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=self._host.ctypes.data)

    @property
    def base(self) -> Any:
        return self._host.base

    def __getitem__(self, index: Any) -> Any:
        return _outside(self._host[_inside(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[_inside(index)] = _inside(value)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._host, name)
        if callable(found):
            return lambda *args, **kwargs: _outside(found(*_inside(args), **_inside(kwargs)))
        return _outside(found)


def _operator(name: str) -> Any:
    function = getattr(operator, name)

    def forward(self: ndarray, other: Any) -> Any:
        return _outside(function(self._host, _inside(other)))

    def backward(self: ndarray, other: Any) -> Any:
        return _outside(function(_inside(other), self._host))

    return forward, backward


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift"):
    _forward, _backward = _operator(_name)
    setattr(ndarray, f"__{_name.rstrip('_')}__", _forward)
    setattr(ndarray, f"__r{_name.rstrip('_')}__", _backward)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ndarray, f"__{_name}__", _operator(_name)[0])
for _name in ("neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", lambda self, function=getattr(operator, _name): _outside(function(self._host)))
for _name in ("iadd", "isub", "imul", "itruediv"):

    def _in_place(self: ndarray, other: Any, function: Any = getattr(operator, _name)) -> ndarray:
        self._host = function(self._host, _inside(other))
        return self

    setattr(ndarray, f"__{_name}__", _in_place)


class _Ufunc:
    def __init__(self, function: Any) -> None:
        self._function, self.__name__ = function, function.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _outside(self._function(*_inside(args), **_inside(kwargs)))

    def at(self, x: ndarray, index: Any, value: Any) -> None:
        if self.__name__ not in _AT:
            raise NotImplementedError(f"CuPy has no {self.__name__}.at")
        self._function.at(x._host, _inside(index), _inside(value))

    def accumulate(self, x: ndarray, axis: int = 0) -> Any:
        if self.__name__ not in _ACCUMULATE:
            raise NotImplementedError(f"CuPy has no {self.__name__}.accumulate")
        return _outside(self._function.accumulate(x._host, axis))


class _Namespace(types.ModuleType):
    """NumPy's functions behind the wall."""

    def __init__(self, name: str, host: Any) -> None:
        super().__init__(name)
        self._host = host

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._host, name)
        if isinstance(found, types.ModuleType):
            return _Namespace(f"{self.__name__}.{name}", found)
        if isinstance(found, np.ufunc):
            return _Ufunc(found)
        if callable(found) and not isinstance(found, type):
            return lambda *args, **kwargs: _outside(found(*_inside(args), **_inside(kwargs)))
        return found


class _Device:
    def __init__(self, index: int | None = None) -> None:
        self.id = index or 0

    def __enter__(self) -> _Device:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def cupy() -> types.ModuleType:
    """The module: NumPy's functions, and the few of CuPy's own."""
    module: Any = _Namespace("cupy", np)
    module.ndarray = ndarray
    module.asnumpy = lambda x: x.get()
    module.asarray = module.array = lambda x, dtype=None: ndarray(np.array(x._host if isinstance(x, ndarray) else x, dtype))
    module.cuda = types.SimpleNamespace(
        Device=_Device,
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 1, deviceSynchronize=lambda: None),
        alloc_pinned_memory=bytearray,
    )
    return module


def special() -> types.ModuleType:
    """``cupyx.scipy.special``."""
    from engine.backend.special import on_cpu

    return _Namespace("cupyx.scipy.special", on_cpu())

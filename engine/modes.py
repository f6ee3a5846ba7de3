"""Whether what runs is recorded: ``no_grad``, ``enable_grad`` and their like; and the class of the tensors that ops return."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from engine.tensor import Tensor

_F = TypeVar("_F", bound=Callable[..., Any])


class State(threading.local):
    """Whether ops are recorded, and what products compute in by the kind of device, in each thread for itself; ``tensor`` is the class of
    results, set by ``engine.tensor``."""

    enabled = True
    autocast: dict[str, Any] | None = None
    looks_for_nan = False
    tensor: type[Tensor]


state = State()


def results_are(tensor: type[Tensor]) -> None:
    """Tells what class the results of ops are of; called once, by the module that defines it."""
    State.tensor = tensor


def tensor_class() -> type[Tensor]:
    """``Tensor``, for modules below the one that defines it."""
    return state.tensor


def lowered(*tensors: Any) -> Any:
    """The operands of a product: inside ``autocast`` in its dtype, those in double precision as they are."""
    cast = state.autocast
    to = None if cast is None else cast.get(tensors[0].device.type)
    if to is None:
        return tensors
    return tuple(t.to(to) if t is not None and t.is_floating_point() and t.dtype.itemsize < 8 else t for t in tensors)


def raised(x: Any) -> Any:
    """What inside ``autocast`` is to be computed in single precision, if it is half."""
    half = isinstance(x, state.tensor) and x.is_floating_point() and x.dtype.itemsize == 2
    return x.float() if half and x.device.type in (state.autocast or ()) else x


def full_precision(function: _F) -> _F:
    """For a function that inside ``autocast`` computes in single precision what is half."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if state.autocast is None:
            return function(*args, **kwargs)
        return function(*map(raised, args), **{k: raised(v) for k, v in kwargs.items()})

    return wrapped  # type: ignore[return-value]  # wraps keeps the signature, which mypy cannot see


class set_grad_enabled(AbstractContextManager[None]):  # noqa: N801 - PyTorch's name
    """Switches recording on or off: as a context manager, or for good when merely called."""

    def __init__(self, mode: bool) -> None:
        self._before, self._wanted = state.enabled, mode
        state.enabled = mode

    def __enter__(self) -> None:
        state.enabled = self._wanted

    def __exit__(self, *exc: object) -> None:
        state.enabled = self._before


class _GradMode(AbstractContextManager[None]):
    """A context manager and decorator that sets the mode while inside."""

    wanted: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(state.enabled)
        state.enabled = self.wanted

    def __exit__(self, *exc: object) -> None:
        state.enabled = self._before.pop()

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]  # wraps keeps the signature, which mypy cannot see


class no_grad(_GradMode):  # noqa: N801 - PyTorch's name
    """Inside, or in the decorated function, nothing is recorded."""

    wanted = False


class inference_mode(no_grad):  # noqa: N801 - PyTorch's name
    """``no_grad`` under the name that programs use for evaluation; ``inference_mode(False)`` changes nothing."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.wanted = False if mode else state.enabled


class enable_grad(_GradMode):  # noqa: N801 - PyTorch's name
    """Inside ``no_grad``, switches recording on again."""

    wanted = True


class set_detect_anomaly(AbstractContextManager[None]):  # noqa: N801 - PyTorch's name
    """Makes ``backward`` raise RuntimeError, naming the node, where a gradient becomes NaN: in a block, or for good when merely called."""

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self._before, state.looks_for_nan = state.looks_for_nan, mode and check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        state.looks_for_nan = self._before


def detect_anomaly(check_nan: bool = True) -> set_detect_anomaly:
    return set_detect_anomaly(True, check_nan)


def is_grad_enabled() -> bool:
    return state.enabled

"""Whether what runs is recorded: ``no_grad``, ``enable_grad`` and their like; and the class of the tensors that ops return."""

from __future__ import annotations

import functools
import inspect
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

    tensor: type[Tensor]

    def __init__(self) -> None:
        self.enabled = True
        self.autocast: dict[str, Any] | None = None
        self.looks_for_nan = False


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


def _between_yields(function: Callable[..., Any], inside: Callable[[], AbstractContextManager[Any]]) -> Callable[..., Any]:
    """A generator function whose body runs ``inside``, and whose caller runs outside while it waits."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        running = function(*args, **kwargs)
        resume = functools.partial(next, running)
        while True:
            try:
                with inside():
                    value = resume()
            except StopIteration as end:
                return end.value
            try:
                sent = yield value
            except GeneratorExit:
                with inside():
                    running.close()
                raise
            except BaseException as error:
                resume = functools.partial(running.throw, error)
            else:
                resume = functools.partial(running.send, sent)

    return wrapped


class _Decorator(AbstractContextManager[None]):
    """A context manager that decorates functions too; generator functions are inside while they run."""

    def _another(self) -> AbstractContextManager[Any]:
        return type(self)()

    def __call__(self, function: _F) -> _F:
        if inspect.isgeneratorfunction(function):
            return _between_yields(function, self._another)  # type: ignore[return-value]  # as below

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._another():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]  # wraps keeps the signature, which mypy cannot see


class set_grad_enabled(_Decorator):  # noqa: N801 - PyTorch's name
    """Switches recording on or off: as a context manager, a decorator, or for good when merely called."""

    def __init__(self, mode: bool) -> None:
        self._before, self._wanted = state.enabled, mode
        state.enabled = mode

    def _another(self) -> AbstractContextManager[Any]:
        return set_grad_enabled(self._wanted)

    def __call__(self, function: _F) -> _F:
        state.enabled = self._before  # it was to be switched inside of the function only
        return super().__call__(function)

    def __enter__(self) -> None:
        state.enabled = self._wanted

    def __exit__(self, *exc: object) -> None:
        state.enabled = self._before


class _GradMode(_Decorator):
    """A context manager and decorator that sets the mode while inside. Given a function it decorates: ``@no_grad`` is ``@no_grad()``."""

    wanted: bool

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        if not callable(function):
            return made
        made.__init__()  # type: ignore[misc]  # Python calls it for instances only, which this does not return
        return made(function)

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(state.enabled)
        state.enabled = self.wanted

    def __exit__(self, *exc: object) -> None:
        state.enabled = self._before.pop()


class no_grad(_GradMode):  # noqa: N801 - PyTorch's name
    """Inside, or in the decorated function, nothing is recorded."""

    wanted = False


class inference_mode(no_grad):  # noqa: N801 - PyTorch's name
    """``no_grad`` under the name that programs use for evaluation; ``inference_mode(False)`` changes nothing."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._mode = mode

    def _another(self) -> AbstractContextManager[Any]:
        return inference_mode(self._mode)

    def __enter__(self) -> None:
        self._before.append(state.enabled)
        state.enabled = state.enabled and not self._mode


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

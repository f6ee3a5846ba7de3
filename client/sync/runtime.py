"""What ordinary code does differently from asyncio; ``client/aio/runtime.py`` has the same names."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from time import sleep
from typing import ParamSpec, TypeAlias, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
Stream: TypeAlias = Generator[T, None, None]


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function that blocks returns."""
    return function(*args, **kwargs)


def at_once(function: Callable[[], T]) -> T | None:
    """What a function returns, where that can be had without awaiting it: here, always."""
    return function()


__all__ = ["Stream", "at_once", "closing", "contextmanager", "in_thread", "sleep"]

"""What asyncio does differently from ordinary code; ``client/sync/runtime.py`` has the same names."""

from __future__ import annotations

import asyncio
from asyncio import sleep
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import ParamSpec, TypeAlias, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
Stream: TypeAlias = AsyncGenerator[T, None]


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function that blocks returns; other tasks go on meanwhile."""
    return await asyncio.to_thread(function, *args, **kwargs)


def at_once(function: Callable[[], Awaitable[T]]) -> T | None:
    """What a function returns, where that can be had without awaiting it: here, None."""
    return None


__all__ = ["Stream", "aclosing", "asynccontextmanager", "at_once", "in_thread", "sleep"]

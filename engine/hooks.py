"""Hooks: functions that a tensor, a node of the graph or a module calls at its moment."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

Hooks = dict[int, Callable[..., Any]]
_keys = itertools.count()


class RemovableHandle:
    """Takes a hook away again, by ``remove()`` or at the end of a ``with`` block."""

    def __init__(self, hooks: Hooks, key: int) -> None:
        self._hooks, self.id = hooks, key

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register(hooks: Hooks, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    """Adds a hook after those there are, or before them."""
    key = next(_keys)
    hooks[key] = hook
    if prepend:
        others = [k for k in hooks if k != key]
        for k in others:
            hooks[k] = hooks.pop(k)
    return RemovableHandle(hooks, key)


def replaced(hooks: Hooks | None, value: Any, *owner: Any) -> Any:
    """``value`` after each hook has seen it, behind its owner if there is one, and by returning something replaced it."""
    for hook in list((hooks or {}).values()):
        changed = hook(*owner, value)
        value = value if changed is None else changed
    return value

"""What makes a function that returns a network one that specs know by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from engine.nn.facts import Facts

Make = TypeVar("Make", bound=Callable[..., Any])
ARCHITECTURES: dict[str, Callable[..., Any]] = {}
"""Every architecture by its name."""
OF_IMAGES = Facts(infers={"in_channels": (0, 1)}, outputs="num_classes")
OF_TEXT = Facts(takes="indices", covers={"num_embeddings": (0, None)}, outputs="num_classes")


def architecture(facts: Facts) -> Callable[[Make], Make]:
    """Lists the decorated function under its name, with its facts as a layer of specs."""

    def listed(make: Make) -> Make:
        make.spec_facts = facts  # type: ignore[attr-defined]  # as classes of layers have it
        ARCHITECTURES[make.__name__] = make
        return make

    return listed

"""What a spec has to know of a layer beside its constructor's signature: each class states its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Facts:
    """A layer's own word, its class attribute ``spec_facts``, which subclasses inherit until they state another.

    ``excluded``: why no spec has it. ``name``: the ``type`` that it is in specs, where that is not the name of its class.

    Inputs: ``inputs`` are the tensors that it takes, by name, of which the first ``required`` cannot be left out. ``takes`` is what the first one holds: ``indices``
    are whole numbers below a limit, and ``any`` is passed on as it is.

    Arguments that follow from the inputs where a spec leaves them out: ``infers`` maps each to an input and its dimension, whose size it has to be, ``covers``
    to one whose size it has to be at least; the dimension None is the limit of the input's indices.

    ``outputs``: the argument that is the number of outputs, which follows from the dataset's targets and the loss.

    ``hides``: arguments that no spec has. ``range``: its results are ``shares``, from 0 to 1, or ``kept``: within the range of what it was given.
    """

    role: Literal["layer", "container", "loss"] = "layer"
    excluded: str | None = None
    name: str | None = None
    inputs: tuple[str, ...] = ("input",)
    required: int = 1
    takes: Literal["numbers", "indices", "any"] = "numbers"
    infers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    covers: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    outputs: str | None = None
    hides: tuple[str, ...] = ()
    range: Literal["shares", "kept"] | None = None

    @property
    def follows(self) -> tuple[str, ...]:
        """The arguments that a spec may leave out because they follow from the inputs or the targets."""
        return (*self.infers, *self.covers, *([self.outputs] if self.outputs else ()))


__all__ = ["Facts"]

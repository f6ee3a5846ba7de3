"""The numbers of windows that slide over a line, a plane or a volume, as the kernels take them: planes first, then the depth."""

from __future__ import annotations

from collections.abc import Sequence


def apart(*numbers: tuple[Sequence[int], int]) -> tuple[list[int], list[list[int]]]:
    """From one to three numbers each, a number a dimension, and what a missing dimension has: the depth's of all, and the pairs of a plane.

    >>> apart(((5, 6, 7), 1), ((3,), 1))
    ([5, 1], [[6, 7], [1, 3]])
    """
    full = [[*[filler] * (3 - len(each)), *each] for each, filler in numbers]
    return [depth for depth, *_ in full], [plane for _, *plane in full]

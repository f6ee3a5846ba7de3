"""A line search for the strong Wolfe conditions: a point that is low enough, at which the slope is flat enough.

Source: Nocedal and Wright, "Numerical optimization", algorithms 3.5 and 3.6, with the safeguards of Schmidt's minFunc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from engine.tensor import Tensor

DECREASE, CURVATURE = 1e-4, 0.9
_TRIALS = 25


@dataclass
class Point:
    """A step length along the direction, with the loss, its gradient and its slope there."""

    t: float
    loss: float
    gradient: Tensor
    slope: float


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through two points with their slopes is least, within [low, high]; the middle if it has no minimum."""
    left, right = (a, b) if a.t <= b.t else (b, a)
    mixed = left.slope + right.slope - 3 * (left.loss - right.loss) / (left.t - right.t)
    discriminant = mixed * mixed - left.slope * right.slope
    if discriminant < 0:
        return (low + high) / 2
    root = math.sqrt(discriminant)
    at = right.t - (right.t - left.t) * ((right.slope + root - mixed) / (right.slope - left.slope + 2 * root))
    return min(max(at, low), high)


def strong_wolfe(
    evaluate: Callable[[float], tuple[float, Tensor]], t: float, direction: Tensor, start: Point, tolerance_change: float = 1e-9
) -> tuple[Point, int]:
    """A point that fulfils the conditions, or the best found in 25 trials, and how often ``evaluate(t)`` was called."""
    evaluations = 0

    def at(length: float) -> Point:
        nonlocal evaluations
        evaluations += 1
        loss, gradient = evaluate(length)
        return Point(length, loss, gradient, float(gradient.dot(direction)))

    def too_high(p: Point) -> bool:
        return p.loss > start.loss + DECREASE * p.t * start.slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -CURVATURE * start.slope

    before, new, trials = start, at(t), 0
    bracket: list[Point] = []
    while trials < _TRIALS:  # further out, until an interval holds a good point
        if too_high(new) or (trials > 1 and new.loss >= before.loss):
            bracket = [before, new]
            break
        if flat(new):
            return new, evaluations
        if new.slope >= 0:
            bracket = [before, new]
            break
        further = cubic_minimum(before, new, new.t + 0.01 * (new.t - before.t), new.t * 10)
        before, new = new, at(further)
        trials += 1
    low, high = sorted(bracket or [start, new], key=lambda p: p.loss)
    width = float(direction.abs().max())
    stalled = False
    while trials < _TRIALS and abs(high.t - low.t) * width >= tolerance_change:  # inwards, until it is found
        left, right = min(low.t, high.t), max(low.t, high.t)
        length = cubic_minimum(low, high, left, right)
        margin = 0.1 * (right - left)
        if min(right - length, length - left) < margin:  # too close to an end: once may be, twice is pushed inside
            if stalled or length >= right or length <= left:
                length = right - margin if abs(length - right) < abs(length - left) else left + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        new = at(length)
        trials += 1
        if too_high(new) or new.loss >= low.loss:
            low, high = sorted([low, new], key=lambda p: p.loss)
            continue
        if flat(new):
            return new, evaluations
        if new.slope * (high.t - low.t) >= 0:
            high = low
        low = new
    return low, evaluations

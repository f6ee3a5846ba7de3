"""``einsum``: sums of products in Einstein's notation, contracted two operands at a time by matrix products."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.dispatch import count
from engine.ops.linalg import matmul
from engine.ops.reduce import sum
from engine.ops.shape import diagonal, expand, permute, reshape, unsqueeze

if TYPE_CHECKING:
    from engine.tensor import Tensor

_DOTS = [chr(0x3B1 + i) for i in range(24)]
"""Names for the dimensions behind an ellipsis: no letter that an equation can use."""


def _parse(equation: str, operands: Sequence[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The labels of each operand's dimensions and of the result's. Raises RuntimeError for an equation that does not fit."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(
            f"einsum(): {'more' if len(terms) < len(operands) else 'fewer'} operands were provided than specified in the equation: {len(terms)} terms, {len(operands)} operands"
        )
    labels: list[list[str]] = []
    widest = 0
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        before, dots, after = term.partition("...")
        for c in before + after:
            if c not in string.ascii_letters:
                raise RuntimeError(f"einsum(): invalid subscript given at operand {i}, subscripts must be in [a-zA-Z], got {c!r}")
        hidden = x.ndim - len(before) - len(after)
        if hidden < 0 or (hidden and not dots):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(before) + len(after)}) does not match the number of dimensions ({x.ndim}) for operand {i}"
            )
        widest = max(widest, hidden)
        labels.append([*before, *_DOTS[24 - hidden :], *after])
    every = [c for names in labels for c in names]
    dots_out = _DOTS[24 - widest :]
    if not arrow:
        return labels, [*dots_out, *sorted(c for c in set(every) if every.count(c) == 1 and c not in _DOTS)]
    before, dots, after = right.partition("...")
    result = [*before, *(dots_out if dots else []), *after]
    for c in result:
        if c not in every and c not in dots_out:
            raise RuntimeError(f"einsum(): output subscript {c} does not appear in the equation for any input operand")
        if result.count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the output")
    return labels, result


def _distinct(x: Tensor, names: list[str]) -> tuple[Tensor, list[str]]:
    """Diagonals for labels that one operand has twice."""
    for c in dict.fromkeys(names):
        while names.count(c) > 1:
            a = names.index(c)
            b = names.index(c, a + 1)
            if x.shape[a] != x.shape[b]:
                raise RuntimeError(
                    f"einsum(): subscript {c} is repeated for an operand but the sizes don't match, {x.shape[b]} != {x.shape[a]}"
                )
            x = diagonal(x, 0, a, b)
            names = [n for i, n in enumerate(names) if i not in (a, b)] + [c]
    return x, names


def _summed(x: Tensor, names: list[str], kept: set[str]) -> tuple[Tensor, list[str]]:
    away = [i for i, c in enumerate(names) if c not in kept]
    return (sum(x, away), [c for c in names if c in kept]) if away else (x, names)


def _contract(x: Tensor, a: list[str], y: Tensor, b: list[str], kept: set[str]) -> tuple[Tensor, list[str]]:
    """Two operands into one: shared labels that are needed later are batches, the others are multiplied away."""
    x, a = _summed(x, a, kept | set(b))
    y, b = _summed(y, b, kept | set(a))
    shared = [c for c in a if c in b]
    batch, inner = [c for c in shared if c in kept], [c for c in shared if c not in kept]
    only_a, only_b = [c for c in a if c not in b], [c for c in b if c not in a]
    size = dict(zip(b, y.shape, strict=True)) | {c: n for c, n in zip(a, x.shape, strict=True) if n != 1 or c not in b}

    def matrices(t: Tensor, names: list[str], order: tuple[list[str], list[str], list[str]]) -> Tensor:
        t = permute(t, [names.index(c) for part in order for c in part])
        t = expand(t, [size[c] for part in order for c in part])
        return reshape(t, [count([size[c] for c in part]) for part in order])

    product = matmul(matrices(x, a, (batch, only_a, inner)), matrices(y, b, (batch, inner, only_b)))
    names = [*batch, *only_a, *only_b]
    return reshape(product, [size[c] for c in names]), names


def einsum(equation: str, *operands: Any) -> Tensor:
    """``einsum("bij,bjk->bik", x, y)``; repeated labels take diagonals, an ellipsis broadcasts, labels left out of the result are summed."""
    xs: Sequence[Tensor] = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if not xs:
        raise RuntimeError("einsum(): must provide at least one operand")
    labels, result = _parse(equation, xs)
    sizes: dict[str, int] = {}
    for i, (x, names) in enumerate(zip(xs, labels, strict=True)):
        for c, n in zip(names, x.shape, strict=True):
            if n != sizes.setdefault(c, n) and n != 1:
                if sizes[c] != 1:
                    raise RuntimeError(
                        f"einsum(): operands do not broadcast with remapped shapes [original->remapped]: subscript {c} has size {n} for operand {i} which does not broadcast with previously seen size {sizes[c]}"
                    )
                sizes[c] = n
    y, names = _distinct(xs[0], labels[0])
    for i in range(1, len(xs)):
        later = set(result).union(*labels[i + 1 :])
        x, other = _distinct(xs[i], labels[i])
        y, names = _contract(y, names, x, other, later)
    y, names = _summed(y, names, set(result))
    for c in result:
        if c not in names:
            y, names = unsqueeze(y, -1), [*names, c]
    return permute(y, [names.index(c) for c in result])


__all__ = ["einsum"]

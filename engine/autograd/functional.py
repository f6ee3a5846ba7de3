"""Derivatives of functions (``torch.autograd.functional``): Jacobians, Hessians, and their products with vectors.

A function takes one tensor or a tuple of them, and so are results: a tensor where there is one, else a tuple, of tuples for two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.graph import grad
from engine.modes import enable_grad
from engine.ops.join import stack
from engine.tensor import Tensor

Tensors = Tensor | Sequence[Tensor]
Many = tuple[Tensor, ...]


def _tuple(x: Any, what: str) -> Many:
    given = x if isinstance(x, tuple | list) else (x,)
    for t in given:
        if not isinstance(t, Tensor):
            raise TypeError(f"The {what} given must be either a Tensor or a tuple of Tensors, got {type(t).__name__}")
    return tuple(given)


def _alike(x: Tensors, found: Sequence[Any]) -> Any:
    """A tensor for a tensor, a tuple for a tuple."""
    return tuple(found) if isinstance(x, tuple | list) else found[0]


def _leaves(inputs: Tensors, create_graph: bool) -> Many:
    """Inputs to differentiate by; with ``create_graph`` gradients flow on to what they came from."""
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in _tuple(inputs, "inputs to the function")
    )


def _gradients(
    outputs: Sequence[Tensor], inputs: Many, weights: Sequence[Tensor | None] | None, create_graph: bool, strict: bool, what: str
) -> Many:
    """The gradients, zeros for an input that nothing depends on. Raises RuntimeError for one of those if ``strict``."""
    used = [y for y in outputs if y.requires_grad]
    kept = None if weights is None else [w for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    found = grad(used, inputs, kept, retain_graph=True, create_graph=create_graph, allow_unused=True) if used else (None,) * len(inputs)
    for i, g in enumerate(found):
        if strict and g is None:
            raise RuntimeError(
                f"Output of the user-provided function is independent of input {i}. This is not allowed in strict mode ({what})."
            )
    return tuple(x.new_zeros(x.shape) if g is None else g for g, x in zip(found, inputs, strict=True))


def _done(found: Any, create_graph: bool) -> Any:
    if isinstance(found, tuple):
        return tuple(_done(f, create_graph) for f in found)
    return found if create_graph else found.detach()


def _weights(v: Tensors | None, likes: Many, what: str) -> Many:
    """A vector to multiply with; ones for a single number."""
    if v is None:
        if len(likes) != 1 or likes[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if the {what} is a single Tensor with a single element.")
        return (likes[0].new_ones(likes[0].shape),)
    given = _tuple(v, "vector v")
    if [tuple(w.shape) for w in given] != [tuple(x.shape) for x in likes]:
        raise RuntimeError(f"v has invalid size: should be {[list(x.shape) for x in likes]} but got {[list(w.shape) for w in given]}.")
    return given


def jacobian(
    func: Callable[..., Any], inputs: Tensors, create_graph: bool = False, strict: bool = False, vectorize: bool = False, strategy: str = "reverse-mode"
) -> Any:  # fmt: skip
    """``d out / d in`` for every element of each: ``(*out, *in)``."""
    with enable_grad():
        xs = _leaves(inputs, create_graph)
        made = func(*xs)
        rows = []
        for y in _tuple(made, "outputs of the function"):
            each = [_gradients([e], xs, None, create_graph, strict, "jacobian") for e in y.reshape(-1)]
            rows.append(_alike(inputs, [stack([g[i] for g in each]).reshape((*y.shape, *x.shape)) for i, x in enumerate(xs)]))
    return _done(_alike(made, rows), create_graph)


def hessian(
    func: Callable[..., Any], inputs: Tensors, create_graph: bool = False, strict: bool = False, vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode"
) -> Any:  # fmt: skip
    """The second derivatives of a function with one number as its result: ``(*in, *in)``."""

    def gradient(*xs: Tensor) -> Any:
        return _alike(inputs, _gradients([_number(func(*xs), "hessian")], xs, None, True, strict, "hessian"))

    return jacobian(gradient, inputs, create_graph, strict)


def _number(y: Any, what: str) -> Tensor:
    if not isinstance(y, Tensor) or y.numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {what} should contain a single element")
    return y.reshape(())


def vjp(func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The function's result, and the product of a vector, in the shape of the result, with the Jacobian."""
    with enable_grad():
        xs = _leaves(inputs, create_graph)
        made = func(*xs)
        ys = _tuple(made, "outputs of the function")
        found = _gradients(ys, xs, _weights(v, ys, "function's output"), create_graph, strict, "vjp")
    return _done(made if isinstance(made, Tensor) else tuple(made), create_graph), _done(_alike(inputs, found), create_graph)


def jvp(func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The function's result, and the product of the Jacobian with a vector in the shape of the inputs: the derivative, by its weights, of ``vjp``."""
    with enable_grad():
        xs = _leaves(inputs, create_graph)
        along = _weights(v, xs, "input to the function")
        made = func(*xs)
        ys = _tuple(made, "outputs of the function")
        weights = tuple(y.new_zeros(y.shape).requires_grad_() for y in ys)
        found = _gradients(_gradients(ys, xs, weights, True, strict, "jvp"), weights, along, create_graph, False, "jvp")
    return _done(made if isinstance(made, Tensor) else tuple(made), create_graph), _done(_alike(made, found), create_graph)


def vhp(func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The function's result, one number, and the product of a vector in the shape of the inputs with the Hessian."""
    with enable_grad():
        xs = _leaves(inputs, create_graph)
        along = _weights(v, xs, "input of the function")
        y = _number(func(*xs), "vhp")
        found = _gradients(_gradients([y], xs, None, True, strict, "vhp"), xs, along, create_graph, strict, "vhp")
    return _done(y, create_graph), _done(_alike(inputs, found), create_graph)


hvp = vhp
"""The Hessian is symmetric."""

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

"""Functions of functions (``torch.func``): gradients, Jacobians, batches, and modules with parameters given from outside."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from engine.autograd import functional
from engine.graph import grad as _grad
from engine.modes import enable_grad, is_grad_enabled
from engine.nn.module import Module
from engine.ops.join import stack
from engine.tensor import Tensor

Argnums = int | tuple[int, ...]


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of ``func``, one number, by an argument (a tensor, or a dict or tuple of them) or several, and the number.

    With ``has_aux``, ``func`` gives a pair of which the first is differentiated, and the value is the pair.
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        wanted = (argnums,) if isinstance(argnums, int) else argnums
        nested = is_grad_enabled() and any(x.requires_grad for i in wanted for x in _tensors(args[i]))
        with enable_grad():
            given = [_fresh(a, nested) if i in wanted else a for i, a in enumerate(args)]
            made = func(*given, **kwargs)
            y = made[0] if has_aux else made
            if not isinstance(y, Tensor) or y.numel() != 1:
                raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return one number, got {getattr(y, 'shape', type(y))}")
            leaves = [x for i in wanted for x in _tensors(given[i])]
            found = _grad(y, leaves, create_graph=nested, allow_unused=True, materialize_grads=True)
        gradients = iter(found)
        made_of = [_rebuilt(given[i], gradients) for i in wanted]
        value = made if nested else _detached(made)
        return (made_of[0] if isinstance(argnums, int) else tuple(made_of)), value

    return differentiated


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The same without the number; with ``has_aux``, the gradient and what came with it."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return differentiated


def _tensors(x: Any) -> Iterator[Tensor]:
    if isinstance(x, Tensor):
        yield x
    else:
        for part in x.values() if isinstance(x, dict) else x:
            yield from _tensors(part)


def _mapped(function: Callable[[Tensor], Any], x: Any) -> Any:
    """``function`` of each tensor in dicts, lists and tuples."""
    if isinstance(x, Tensor):
        return function(x)
    if isinstance(x, dict):
        return {k: _mapped(function, v) for k, v in x.items()}
    return type(x)(_mapped(function, v) for v in x) if isinstance(x, list | tuple) else x


def _fresh(x: Any, nested: bool) -> Any:
    return _mapped(lambda t: t.view_as(t) if nested and t.requires_grad else t.detach().requires_grad_(), x)


def _detached(x: Any) -> Any:
    return _mapped(lambda t: t.detach(), x)


def _rebuilt(x: Any, found: Iterator[Any]) -> Any:
    return _mapped(lambda t: next(found), x)


def vjp(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """``func(*primals)``, and a function from a weight in its shape to the gradients by the primals, a tuple."""
    with enable_grad():
        given = [_fresh(p, is_grad_enabled()) for p in primals]
        y = func(*given)

    def pulled(weight: Tensor) -> Any:
        leaves = [x for g in given for x in _tensors(g)]
        found = iter(_grad(y, leaves, weight, retain_graph=True, allow_unused=True, materialize_grads=True))
        return tuple(_rebuilt(g, found) for g in given)

    return y.detach(), pulled


def jvp(func: Callable[..., Any], primals: tuple[Tensor, ...], tangents: tuple[Tensor, ...]) -> tuple[Any, Any]:
    """``func(*primals)``, and its derivative along the tangents."""
    found: tuple[Any, Any] = functional.jvp(func, tuple(primals), tuple(tangents))
    return found


def jacrev(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives the Jacobian of ``func`` by an argument, or a tuple of them by several."""

    @functools.wraps(func)
    def differentiated(*args: Any) -> Any:
        wanted = (argnums,) if isinstance(argnums, int) else argnums

        def of_wanted(*xs: Tensor) -> Any:
            given = list(args)
            for i, x in zip(wanted, xs, strict=True):
                given[i] = x
            return func(*given)

        create = is_grad_enabled() and any(args[i].requires_grad for i in wanted)
        inputs = args[wanted[0]] if isinstance(argnums, int) else tuple(args[i] for i in wanted)
        return functional.jacobian(of_wanted, inputs, create_graph=create)

    return differentiated


jacfwd = jacrev
"""The same numbers, by the same derivatives: there is no forward mode."""


def hessian(func: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives of ``func``, one number, by an argument."""

    @functools.wraps(func)
    def differentiated(*args: Any) -> Any:
        def of_one(x: Tensor) -> Any:
            return func(*args[:argnums], x, *args[argnums + 1 :])

        return functional.hessian(of_one, args[argnums])

    return differentiated


def vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Callable[..., Any]:
    """A function of batches: ``func`` of each sample, one after the other, and the results stacked. ``in_dims`` says which dimension of an argument counts
    samples, None for an argument that all share."""

    @functools.wraps(func)
    def batched(*args: Any, **kwargs: Any) -> Any:
        dims = in_dims if isinstance(in_dims, tuple | list) else (in_dims,) * len(args)
        if len(dims) != len(args):
            raise ValueError(f"vmap: in_dims has {len(dims)} elements, and the function was given {len(args)} arguments")
        sizes = {x.shape[d] for a, d in zip(args, dims, strict=True) if d is not None for x in _tensors(a)}
        if len(sizes) != 1:
            raise ValueError(
                f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sorted(sizes)} for the mapped dimension"
            )
        results = [func(*(_sample(a, d, i) for a, d in zip(args, dims, strict=True)), **kwargs) for i in range(sizes.pop())]
        return _stacked(results, out_dims)

    return batched


def _sample(x: Any, dim: int | None, i: int) -> Any:
    return x if dim is None else _mapped(lambda t: t.select(dim, i), x)


def _stacked(results: Sequence[Any], dim: Any) -> Any:
    first = results[0]
    if isinstance(first, Tensor):
        return stack(list(results), dim)
    if isinstance(first, dict):
        return {k: _stacked([r[k] for r in results], dim) for k in first}
    dims = dim if isinstance(dim, tuple) else (dim,) * len(first)
    return type(first)(_stacked([r[i] for r in results], d) for i, d in enumerate(dims))


def functional_call(
    module: Module, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False
) -> Any:  # fmt: skip
    """``module(*args)`` with these tensors, by dotted name, in the places of its own; afterwards it has its own again.

    Parameters that are one under several names are all replaced, with ``tie_weights``. Names that the module does not have are left out; with ``strict``
    they, and names that are missing, raise RuntimeError.
    """
    several = parameter_and_buffer_dicts if isinstance(parameter_and_buffer_dicts, list | tuple) else [parameter_and_buffer_dicts]
    given = {k: v for d in several for k, v in d.items()}
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    unexpected, missing = sorted(given.keys() - own.keys()), sorted(own.keys() - given.keys())
    given = {k: v for k, v in given.items() if k in own}
    if tie_weights:
        by_tensor = {id(own[k]): v for k, v in given.items()}
        given = {k: by_tensor[id(t)] for k, t in own.items() if id(t) in by_tensor} | given
        missing = sorted(own.keys() - given.keys())
    if strict and (missing or unexpected):
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}: missing key(s): {missing}, unexpected key(s): {unexpected}"
        )
    with _replaced(module, given):
        return module(*(() if args is None else args if isinstance(args, tuple) else (args,)), **(kwargs or {}))


@contextlib.contextmanager
def _replaced(module: Module, given: dict[str, Any]) -> Iterator[None]:
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path, value in given.items():
            home, _, name = path.rpartition(".")
            owner = module.get_submodule(home)
            place: dict[str, Any] = owner._parameters if name in owner._parameters else owner._buffers
            before.append((place, name, place[name]))
            place[name] = value
        yield
    finally:
        for place, name, value in reversed(before):
            place[name] = value


__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp", "vmap"]

"""``gradcheck`` and ``gradgradcheck``: derivatives beside central differences (``torch.autograd.gradcheck``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.dtypes import FLOAT
from engine.graph import grad
from engine.modes import enable_grad
from engine.ops.random import Generator, normal_like
from engine.tensor import Tensor


class GradcheckError(RuntimeError):
    """A derivative that differs from the difference quotient; says of which output with respect to which input."""


def _outputs(result: Any) -> list[Tensor]:
    found = [result] if isinstance(result, Tensor) else list(result)
    return [y for y in found if isinstance(y, Tensor) and y.dtype.category == FLOAT]


def _by_differences(function: Callable[..., Any], inputs: Sequence[Any], x: Tensor, eps: float) -> list[np.ndarray[Any, Any]]:
    """Per output the Jacobian ``(outputs, inputs)`` with respect to ``x``."""
    values = x.detach().numpy()
    columns: list[list[np.ndarray[Any, Any]]] = []
    for at in np.ndindex(values.shape):
        before = values[at].copy()
        ends = []
        for step in (eps, -eps):
            values[at] = before + step
            ends.append([np.array(y.detach().numpy(), np.float64).ravel() for y in _outputs(function(*inputs))])
        values[at] = before
        columns.append([(ahead - behind) / (2 * eps) for ahead, behind in zip(*ends, strict=True)])
    n = len(_outputs(function(*inputs)))
    return [np.stack([c[i] for c in columns], 1) if columns else np.zeros((0, 0)) for i in range(n)]


def _by_autograd(y: Tensor, x: Tensor) -> np.ndarray[Any, Any]:
    rows = []
    for i in range(y.numel()):
        weight = y.new_zeros(y.shape)
        weight.reshape(-1)[i] = 1
        (g,) = grad(y, x, weight, retain_graph=True, allow_unused=True) if y.requires_grad else (None,)
        rows.append(np.zeros(x.numel()) if g is None else np.array(g.detach().numpy(), np.float64).ravel())
    return np.stack(rows) if rows else np.zeros((0, x.numel()))


def gradcheck(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True
) -> bool:
    """Whether the gradients of ``func(*inputs)`` agree with central differences, for each input that requires one (use float64).

    Raises GradcheckError, or returns False without ``raise_exception``, where they do not; ValueError where no input requires a gradient.
    """
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [(i, x) for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.")
    with enable_grad():
        outputs = _outputs(func(*arguments))
    for i, x in checked:
        for j, (y, numeric) in enumerate(zip(outputs, _by_differences(func, arguments, x, eps), strict=True)):
            analytic = _by_autograd(y, x)
            if not np.allclose(analytic, numeric.reshape(analytic.shape), rtol, atol):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"Jacobian mismatch for output {j} with respect to input {i},\nnumerical:{numeric}\nanalytical:{analytic}"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of the gradients agree with central differences, for random ``grad_outputs`` unless given."""
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    outputs = _outputs(func(*arguments))
    generator = Generator(seed=0)
    if grad_outputs is None:
        weights = [normal_like(y, generator).requires_grad_() for y in outputs]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def gradients(*given: Any) -> tuple[Tensor, ...]:
        xs, ws = given[: len(arguments)], given[len(arguments) :]
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        with enable_grad():
            found = grad(_outputs(func(*xs)), wanted, ws, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(gradients, (*arguments, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)

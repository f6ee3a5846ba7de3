"""Special functions (``torch.special``): error functions, gamma functions, Bessel functions, computed as ``engine/backend/special.py`` says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.backend import special_module
from engine.dispatch import Op
from engine.graph import apply
from engine.ops.elementwise import elementwise, promoted, where
from engine.ops.mathematics import exp2, logit, sinc, xlogy
from engine.ops.reduce import logsumexp
from engine.ops.unary import Function, exp, expm1, function, log, log1p, round, sigmoid, sign

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _special(name: str, slope: Callable[..., Any] | None = None) -> Callable[[Tensor], Tensor]:
    """A function that SciPy has under the same name."""
    rule = lambda m, x: getattr(special_module(x), _SCIPY.get(name, name))(x)  # noqa: E731 - a rule, like those beside it
    return function(elementwise(name, "x", rule, x=slope) if slope else elementwise(name, "x", rule))


_SCIPY = {"lgamma": "gammaln", "digamma": "psi", "bessel_j0": "j0", "bessel_j1": "j1", "bessel_y0": "y0", "bessel_y1": "y1"}

erf: Function = _special("erf", lambda g, x: g * exp(-x * x) * (2 / math.sqrt(math.pi)))
erfc: Function = _special("erfc", lambda g, x: -g * exp(-x * x) * (2 / math.sqrt(math.pi)))
erfinv: Function = _special("erfinv", lambda g, y: g * exp(y * y) * (math.sqrt(math.pi) / 2))
erfcx: Function = _special("erfcx", lambda g, x, y: g * (x * y * 2 - 2 / math.sqrt(math.pi)))
ndtr: Function = _special("ndtr", lambda g, x: g * exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)))
ndtri: Function = _special("ndtri", lambda g, y: g * exp(y * y * 0.5) * math.sqrt(2 * math.pi))
log_ndtr: Function = _special("log_ndtr", lambda g, x: g / erfcx(x * -math.sqrt(0.5)) * math.sqrt(2 / math.pi))
lgamma: Function = _special("lgamma", lambda g, x: g * digamma(x))
digamma: Function = _special("digamma", lambda g, x: g * polygamma(1, x))
i0: Function = _special("i0", lambda g, x: g * i1(x))
i0e: Function = _special("i0e", lambda g, x, y: g * (i1e(x) - sign(x) * y))
i1: Function = _special("i1", lambda g, x, y: g * where(x == 0, 0.5, i0(x) - y / where(x == 0, 1, x)))
i1e: Function = _special("i1e", lambda g, x, y: g * where(x == 0, 0.5, i0e(x) - y * (sign(x) + 1 / where(x == 0, 1, x))))
entr: Function = _special("entr", lambda g, x: g * (-log(x) - 1))
bessel_j0, bessel_j1, bessel_y0, bessel_y1 = (_special(f"bessel_{name}") for name in ("j0", "j1", "y0", "y1"))
expit: Function = sigmoid

_polygamma: Op = elementwise(
    "polygamma", "x", lambda m, x, n: special_module(x).polygamma(n, x), x=lambda g, x, n: g * apply(_polygamma, x, n=n + 1)
)
_zeta: Op = elementwise("zeta", "a b", lambda m, a, b: special_module(a).zeta(a, b), b=lambda g, a, b: -g * a * promoted(_zeta, a + 1, b))
_xlog1py = elementwise(
    "xlog1py",
    "a b",
    lambda m, a, b: m.where((a == 0) & ~m.isnan(b), 0, a * m.log1p(b)),
    a=lambda g, a, b: g * where((a == 0) & (b <= -1), 0, log1p(b)),
    b=lambda g, a, b: g * a / (b + 1),
)


def polygamma(n: int, input: Tensor) -> Tensor:
    """The ``n``-th derivative of digamma."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return digamma(input) if n == 0 else apply(_polygamma, input if input.is_floating_point() else input * 1.0, n=n)


def zeta(a: Any, b: Any) -> Tensor:
    """Hurwitz's zeta function of two arguments."""
    return promoted(_zeta, a, b, floating=True)


def xlog1py(a: Any, b: Any) -> Tensor:
    """``a log(1 + b)``, 0 where ``a`` is 0."""
    return promoted(_xlog1py, a, b, floating=True)


def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension ``p``."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    input = input if input.is_floating_point() else input * 1.0
    shifted = input.unsqueeze(-1) - input.new_tensor([i / 2 for i in range(p)])
    return lgamma(shifted).sum(-1) + p * (p - 1) / 4 * math.log(math.pi)


psi, gammaln, multigammaln = digamma, lgamma, mvlgamma
__all__ = [
    "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammaln", "i0", "i0e",
    "i1", "i1e", "log1p", "log_ndtr", "logit", "logsumexp", "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "sinc", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

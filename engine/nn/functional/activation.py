"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable

from engine.dtypes import FLOAT
from engine.dtypes import dtype as DType
from engine.ops import activation as _ops
from engine.ops import loss as _softmaxes
from engine.ops.elementwise import where
from engine.ops.random import exponential_like, uniform_like
from engine.ops.unary import relu as _relu
from engine.ops.unary import sigmoid
from engine.tensor import Tensor


def _placed(x: Tensor, function: Callable[[Tensor], Tensor], inplace: bool) -> Tensor:
    """``function(x)``; in the place of ``x`` where asked for, of a copy if derivatives need what was there."""
    if not inplace:
        return function(x)
    return x._become(function(x.clone() if x.requires_grad else x))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(x, 0)``."""
    return input.relu_() if inplace else _relu(input)


def relu_(input: Tensor) -> Tensor:
    """In-place ``relu``."""
    return input.relu_()


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``input`` above zero, ``negative_slope x`` below (Maas et al., 2013)."""
    return _placed(input, lambda x: _ops.leaky_relu(x, float(negative_slope)), inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``leaky_relu`` with a learned slope, one for all or one for each channel (He et al., 2015)."""
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if weight.numel() != 1:
        if input.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} and channel size = {channels}."
            )
    slope = weight.reshape(1, -1, *(1,) * (input.ndim - 2)) if input.ndim > 1 else weight.reshape(-1 if input.ndim else ())
    return where(input > 0, input, input * slope)


def rrelu(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False) -> Tensor:
    """``leaky_relu`` with a random slope while training, the mean of the bounds else (Xu et al., 2015)."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    slope = uniform_like(input) * (upper - lower) + lower if training else (lower + upper) / 2
    return _placed(input, lambda x: where(x > 0, x, x * slope), inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` above zero, ``alpha (exp(x) - 1)`` below (Clevert et al., 2016)."""
    return _placed(input, lambda x: _ops.elu(x, alpha), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``elu`` with a continuous derivative for any ``alpha`` (Barron, 2017)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _placed(input, lambda x: _ops.celu(x, alpha), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """``elu`` scaled so that activations keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return _placed(input, _ops.selu, inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x sigmoid(x)`` (Elfwing et al., 2017)."""
    return _placed(input, _ops.silu, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x tanh(softplus(x))`` (Misra, 2019)."""
    return _placed(input, _ops.mish, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x Phi(x)`` with the normal distribution's ``Phi``, exact or by ``approximate="tanh"`` (Hendrycks and Gimpel, 2016)."""
    if approximate == "none":
        return _ops.gelu(input)
    if approximate != "tanh":
        raise RuntimeError("approximate argument must be either none or tanh.")
    return _ops.gelu_tanh(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` limited to [min_val, max_val]; the gradient is zero at the limits."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype.name == "bool":
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if input.dtype.category != FLOAT:
        return _placed(input, lambda x: where(x <= min_val, min_val, where(x >= max_val, max_val, x)).to(x.dtype), inplace)
    y = _ops.hardtanh(input, float(min_val), float(max_val))
    return input._become(y) if inplace else y


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(x, 0), 6)``."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``relu6(x + 3) / 6``."""
    return _placed(input, _ops.hardsigmoid, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x relu6(x + 3) / 6`` (Howard et al., 2019)."""
    return _placed(input, _ops.hardswish, inplace)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``input``, but zero in [-lambd, lambd]."""
    return _ops.hardshrink(input, float(lambd))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``input`` moved towards zero by ``lambd``, zero in [-lambd, lambd]."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return _ops.softshrink(input, float(lambd))


def tanhshrink(input: Tensor) -> Tensor:
    return _ops.tanhshrink(input)


def softsign(input: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return _ops.softsign(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta x)) / beta``; ``input`` itself where ``beta x`` exceeds ``threshold``."""
    return _ops.soft_plus(input, float(beta), float(threshold))


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(x))``, without overflow."""
    return _ops.logsigmoid(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``input`` above the threshold, else ``value``."""
    return _placed(input, lambda x: where(x <= threshold, value, x).to(x.dtype), inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """One half times the sigmoid of the other (Dauphin et al., 2017)."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    if input.shape[dim] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}")
    a, b = input.chunk(2, dim)
    return a * sigmoid(b)


def _implicit(dim: int | None, ndim: int) -> int:
    return dim if dim is not None else 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``dim``, without overflow."""
    return _softmaxes.softmax(input, _implicit(dim, input.ndim), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """``softmax(-x)``."""
    return softmax(-input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """``log(softmax(x))``, without its loss of precision."""
    return _softmaxes.log_softmax(input, _implicit(dim, input.ndim), dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the relaxed categorical distribution; ``hard`` gives one-hot vectors with its gradient (Jang et al., 2017)."""
    noise = -exponential_like(logits.detach()).log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    one_hot = logits.new_zeros(logits.shape).scatter(dim, soft.detach().argmax(dim, keepdim=True), 1.0)
    return one_hot - soft.detach() + soft


__all__ = [
    "celu", "elu", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax", "logsigmoid", "mish",
    "prelu", "relu", "relu6", "relu_", "rrelu", "selu", "silu", "softmax", "softmin", "softplus", "softshrink", "softsign", "tanhshrink", "threshold",
]  # fmt: skip

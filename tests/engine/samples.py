"""Samples of every differentiable op: a function of float64 tensors and the shapes (or values) to call it with."""

from collections.abc import Callable
from typing import Any

import numpy as np

import engine as torch
from engine import Tensor
from engine.dispatch import OPS
from engine.graph import apply
from engine.nn import functional as F
from engine.ops import conv, loss, norm, pool, recurrent
from engine.ops.random import Generator, drawing_from

_rng = np.random.default_rng(7)
INDEX = torch.tensor(np.array([[0, 2, 1], [1, 0, 2]]))
MASK = torch.tensor(np.array([[True, False, True], [False, True, True]]))


def normal(*size: int) -> Tensor:
    return torch.tensor(_rng.normal(size=size))


def positive(*size: int) -> Tensor:
    return torch.tensor(_rng.uniform(0.5, 2.0, size=size))


def apart(*size: int) -> Tensor:
    """No two elements close together, none close to 0: where maxima and kinks are safe."""
    n = int(np.prod(size))
    return torch.tensor((_rng.permutation(n) - n / 2 + 0.3).reshape(size) * 0.37)


def same_draws(compute: Callable[[], Any]) -> Any:
    """The result of ``compute`` with the same random numbers each time."""
    with drawing_from(Generator(seed=5)):
        return compute()


Sample = tuple[Callable[..., Any], list[Tensor]]
SAMPLES: dict[str, list[Sample]] = {
    "to": [(lambda x: x.float().double() * 0 + x, [normal(2, 3)])],
    "move": [(lambda x: x.to("cpu").to(x.device), [normal(2)])],
    "clone": [(lambda x: x.clone(), [normal(2, 3)])],
    "add": [(torch.add, [normal(2, 3), normal(3)]), (lambda a: a + 2, [normal(2)])],
    "sub": [(torch.sub, [normal(2, 1), normal(2, 3)]), (lambda a: 2 - a, [normal(2)])],
    "mul": [(torch.mul, [normal(2, 3), normal(2, 1)]), (lambda a: a * 3, [normal(2)])],
    "div": [(torch.div, [normal(2, 3), positive(3)]), (lambda a: 2 / a, [positive(2)])],
    "remainder": [(torch.remainder, [apart(2, 3), positive(2, 3) + 5])],
    "pow": [
        (torch.pow, [positive(2, 3), normal(3)]),
        (lambda a: a**3, [normal(3)]),
        (lambda a: 2**a, [normal(3)]),
        (lambda a: a**0, [normal(3)]),
    ],
    "maximum": [(torch.maximum, [apart(2, 3), apart(2, 3) + 0.1])],
    "minimum": [(torch.minimum, [apart(2, 3), apart(2, 3) + 0.1])],
    "neg": [(torch.neg, [normal(3)])],
    "abs": [(torch.abs, [apart(6)])],
    "sign": [(torch.sign, [apart(6)])],
    "square": [(torch.square, [normal(3)])],
    "sqrt": [(torch.sqrt, [positive(3)])],
    "rsqrt": [(torch.rsqrt, [positive(3)])],
    "reciprocal": [(torch.reciprocal, [positive(3)])],
    "exp": [(torch.exp, [normal(3)])],
    "expm1": [(torch.expm1, [normal(3)])],
    "log": [(torch.log, [positive(3)])],
    "log1p": [(torch.log1p, [positive(3)])],
    "log2": [(torch.log2, [positive(3)])],
    "log10": [(torch.log10, [positive(3)])],
    "sin": [(torch.sin, [normal(3)])],
    "cos": [(torch.cos, [normal(3)])],
    "tanh": [(torch.tanh, [normal(3)])],
    "sigmoid": [(torch.sigmoid, [normal(3)])],
    "relu": [(torch.relu, [apart(6)])],
    "softplus": [(F.softplus, [normal(3)])],
    "floor": [(torch.floor, [apart(6)])],
    "ceil": [(torch.ceil, [apart(6)])],
    "round": [(torch.round, [apart(6)])],
    "trunc": [(torch.trunc, [apart(6)])],
    "where": [(lambda a, b: torch.where(MASK.to(a.device), a, b), [normal(2, 3), normal(3)])],
    "clamp": [(lambda x: x.clamp(-0.5, 0.6), [apart(6)]), (lambda x: x.clamp(min=0.1), [apart(6)])],
    "reshape": [(lambda x: x.reshape(3, 2), [normal(2, 3)]), (lambda x: x.t().reshape(6), [normal(2, 3)])],
    "permute": [(lambda x: x.permute(2, 0, 1), [normal(2, 3, 4)])],
    "expand": [(lambda x: x.expand(4, 2, 3), [normal(2, 1)])],
    "flip": [(lambda x: torch.flip(x, [1]), [normal(2, 3)])],
    "slice": [(lambda x: x[1, ::2], [normal(2, 5)]), (lambda x: x[..., None, -1], [normal(2, 3)])],
    "index": [
        (lambda x: x[INDEX.to(x.device)], [normal(3, 2)]),
        (lambda x: x[MASK.to(x.device)], [normal(2, 3)]),
        (lambda x: x[:, [0, 0, 2]], [normal(2, 3)]),
    ],
    "index_put": [(lambda x: torch.cat([x, x])[2:], [normal(2, 3)])],
    "gather": [(lambda x: torch.gather(x, 1, INDEX.to(x.device)), [normal(2, 3)])],
    "embedding": [(lambda w: F.embedding(INDEX.to(w.device), w), [normal(3, 2)])],
    "embedding_weight": [(lambda w: F.embedding(INDEX.to(w.device), w) * w[:2, None], [normal(3, 2)])],
    "scatter_add": [(lambda x: torch.gather(x, 0, INDEX.to(x.device) % 2) * x, [normal(2, 3)])],
    "cat2": [(lambda a, b: torch.cat([a, b], 1), [normal(2, 3), normal(2, 1)])],
    "cat3": [(lambda a, b, c: torch.stack([a, b, c], 1), [normal(2, 3), normal(2, 3), normal(2, 3)])],
    "pad": [(lambda x: F.pad(x, [1, 2, 0, 1]), [normal(2, 3)]), (lambda x: F.pad(x, [1, 1, 1, 1], "reflect"), [normal(1, 1, 3, 3)])],
    "tril": [(lambda x: torch.tril(x, 1), [normal(2, 4, 3)])],
    "triu": [(lambda x: torch.triu(x, -1), [normal(4, 3)])],
    "sum": [(torch.sum, [normal(2, 3)]), (lambda x: x.sum(1, keepdim=True), [normal(2, 3)]), (lambda x: x.sum((0, 2)), [normal(2, 3, 2)])],
    "mean": [(lambda x: x.mean(0), [normal(2, 3)]), (torch.mean, [normal(4)])],
    "amax": [(lambda x: x.amax(1), [apart(2, 3)])],
    "amin": [(lambda x: x.amin((0, 1)), [apart(2, 3)])],
    "cumsum": [(lambda x: x.cumsum(1), [normal(2, 3)])],
    "matmul": [
        (torch.matmul, [normal(2, 3), normal(3, 4)]),
        (torch.matmul, [normal(3), normal(3)]),
        (torch.matmul, [normal(2, 2, 3), normal(3, 2)]),
        (torch.matmul, [normal(2, 3), normal(3)]),
    ],
    "conv": [
        (lambda x, w: conv.conv(x, w, (2, 1), (1, 0), (1, 2), 2), [normal(2, 4, 6, 7), normal(4, 2, 3, 2)]),
        (lambda x, w, b: F.conv2d(x, w, b, padding="same"), [normal(1, 2, 4, 4), normal(3, 2, 2, 3), normal(3)]),
        (lambda x, w: F.conv1d(x, w, stride=2, padding=1), [normal(2, 2, 7), normal(3, 2, 3)]),
    ],
    "conv_data": [(lambda g, w: conv.conv_data(g, w, (2,), (1,), (1,), 1, (7,)), [normal(2, 3, 4), normal(3, 2, 3)])],
    "conv_weight": [(lambda x, g: conv.conv_weight(x, g, (2,), (1,), (1,), 1, (3,)), [normal(2, 2, 7), normal(2, 3, 4)])],
    "max_pool": [
        (lambda x: F.max_pool2d(x, 3, (2, 1), 1), [apart(2, 2, 5, 6)]),
        (lambda x: F.max_pool2d(x, 2, ceil_mode=True), [apart(1, 2, 5, 5)]),
    ],
    "pool_take": [(lambda x: pool.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False)[0], [apart(1, 1, 4, 4)])],
    "unpool": [(lambda x: F.max_pool2d(x, 2) ** 2, [apart(1, 1, 4, 4)])],
    "avg_pool": [
        (lambda x: F.avg_pool2d(x, 3, 2, 1), [normal(2, 2, 5, 6)]),
        (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), [normal(1, 1, 5, 5)]),
    ],
    "avg_pool_data": [(lambda x: F.avg_pool2d(x, 2) ** 2, [normal(1, 1, 4, 4)])],
    "standardize": [
        (lambda x: norm.standardize(x, (0, 2), 1e-5)[0], [normal(3, 2, 4)]),
        (lambda x, w, b: norm.standardize(x, (0, 2), 1e-5, w, b)[0], [normal(3, 2, 4), normal(1, 2, 1), normal(1, 2, 1)]),
        (lambda x, w, b: F.layer_norm(x, (2, 4), w, b), [normal(3, 2, 4), normal(2, 4), normal(2, 4)]),
    ],
    "linear": [
        (lambda x, w, b: F.linear(x, w, b), [normal(2, 3), normal(4, 3), normal(4)]),
        (lambda x, w: F.linear(x, w), [normal(2, 2, 3), normal(4, 3)]),
        (lambda x, w, b: F.linear(x, w, b), [normal(3), normal(4, 3), normal(4)]),
    ],
    "relu_gradient": [(lambda x: torch.relu(x) ** 2, [apart(6)])],
    "dropout": [(lambda x: same_draws(lambda: F.dropout(x, 0.3)), [normal(3, 4)])],
    "rnn": [
        (lambda x, w, h, b: recurrent.rnn(x, w, h, b, "tanh"), [normal(3, 2, 4), normal(4, 4), normal(2, 4), normal(4)]),
        (lambda x, w, h: recurrent.rnn(x, w, h, None, "relu", reverse=True), [apart(3, 2, 4), normal(4, 4), normal(2, 4)]),
        (lambda x, w, h, b: recurrent.rnn(x, w, h, b, "tanh"), [normal(2, 4), normal(4, 4), normal(2, 4), normal(4)]),
    ],
    "gru": [
        (lambda x, w, h, b: recurrent.gru(x, w, h, b), [normal(3, 2, 6), normal(6, 2), normal(2, 2), normal(6)]),
        (lambda x, w, h: recurrent.gru(x, w, h, None, reverse=True), [normal(3, 2, 6), normal(6, 2), normal(2, 2)]),
        (lambda x, w, h, b: recurrent.gru(x, w, h, b), [normal(2, 6), normal(6, 2), normal(2, 2), normal(6)]),
    ],
    "lstm": [
        (
            lambda x, w, h, c, b: torch.cat(recurrent.lstm(x, w, h, c, b)),
            [normal(3, 2, 8), normal(8, 2), normal(2, 2), normal(2, 2), normal(8)],
        ),
        (lambda x, w, h, c: torch.cat(recurrent.lstm(x, w, h, c, None, True)), [normal(3, 2, 8), normal(8, 2), normal(2, 2), normal(2, 2)]),
        (
            lambda x, w, h, c, b: torch.cat(recurrent.lstm(x, w, h, c, b)),
            [normal(2, 8), normal(8, 2), normal(2, 2), normal(2, 2), normal(8)],
        ),
    ],
    "linear_weight": [
        (lambda v, x: apply(OPS["linear_weight"], v, x), [normal(3, 4), normal(3, 2)]),
        (lambda v, x: apply(OPS["linear_weight"], v, x), [normal(2, 3, 4), normal(2, 3, 2)]),
    ],
    "squares": [(lambda x, t, r=r: F.mse_loss(x, t, reduction=r), [normal(3, 4), normal(3, 4)]) for r in ("mean", "sum")],
    "cross_entropy": [
        (lambda x: F.cross_entropy(x, INDEX[0].to(x.device)), [normal(3, 4)]),
        (lambda x: F.cross_entropy(x, INDEX[1].to(x.device), ignore_index=0, reduction="sum"), [normal(3, 4)]),
    ],
    "binary_cross_entropy": [(lambda x, t: F.binary_cross_entropy(x, t), [positive(2, 3) * 0.45, positive(2, 3) * 0.45])],
    "picked": [(lambda x: loss.picked(x, INDEX.to(x.device), 1), [normal(2, 3, 3)])],
    "picked_data": [(lambda g: apply(OPS["picked_data"], g, INDEX.to(g.device), shape=(2, 4, 3), ignore_index=2), [normal(2, 3)])],
    "softmax": [(lambda x: torch.softmax(x, 1), [normal(2, 4)])],
    "log_softmax": [(lambda x: torch.log_softmax(x, 0), [normal(3, 2)])],
}


def between(low: float, high: float, *size: int) -> Tensor:
    return torch.tensor(_rng.uniform(low, high, size=size))


def spread(n: int) -> Tensor:
    """A matrix far from singular, its singular values apart."""
    return torch.tensor(np.diag(np.arange(1.0, n + 1)) * 2 + _rng.normal(size=(n, n)) * 0.3)


PLACES = torch.tensor(np.array([[0, 1, 1], [2, 0, 2]]))
S = torch.special
_ACTIVATIONS: dict[str, tuple[float, ...]] = {
    "hardtanh": (-1.0, 1.1), "hardsigmoid": (), "hardswish": (), "leaky_relu": (0.1,), "hardshrink": (0.5,), "softshrink": (0.5,), "tanhshrink": (), "softsign": (),
    "elu": (1.05, 1.7, 0.8), "silu": (), "mish": (), "gelu": (), "gelu_tanh": (), "soft_plus": (1.5, 20.0), "logsigmoid": (),
}  # fmt: skip


def _of(name: str, numbers: tuple[float, ...]) -> Callable[..., Any]:
    return lambda *xs: apply(OPS[name], *xs, numbers=numbers)


for _name, _numbers in _ACTIVATIONS.items():
    SAMPLES[_name] = [(_of(_name, _numbers), [apart(3, 7)])]
    SAMPLES[f"{_name}_gradient"] = [(_of(f"{_name}_gradient", _numbers), [normal(3, 7), apart(3, 7)])]
SAMPLES |= {
    "embedding_bag": [
        (lambda w: F.embedding_bag(INDEX.to(w.device), w), [normal(4, 3)]),
        (lambda w: F.embedding_bag(INDEX.reshape(-1).to(w.device), w, torch.tensor([0, 2, 2, 5], device=w.device), mode="sum", padding_idx=1), [normal(4, 3)]),
    ],
    "embedding_bag_weight": [
        (lambda g: apply(OPS["embedding_bag_weight"], g, INDEX.reshape(-1).to(g.device), torch.tensor([0, 4], device=g.device), n=4, mean=True, padding_idx=2), [normal(2, 3)])
    ],
    "resize": [
        (lambda x: F.interpolate(x, size=(3, 9), mode="bilinear"), [normal(2, 3, 5, 4)]),
        (lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), [normal(2, 2, 3)]),
    ],
    "resize_data": [(lambda g: apply(OPS["resize_data"], g, size=(4, 3), target=(5, 6), mode="linear", align_corners=True, ratios=(0.8, 0.5)), [normal(1, 2, 5, 6)])],
    **{name: [(getattr(torch, name), [normal(3)])] for name in ("asinh", "atan", "cosh", "sinh", "exp2", "erf", "erfc", "sinc")},
    **{name: [(getattr(torch, name), [between(-0.9, 0.9, 4)])] for name in ("acos", "asin", "atanh", "erfinv", "tan")},
    **{name: [(getattr(S, name), [between(0.2, 2.5, 4)])] for name in ("digamma", "entr", "erfcx", "expit", "i0", "i0e", "i1", "i1e", "log_ndtr", "ndtr")
       if hasattr(S, name)},
    **{name: [(getattr(torch, name), [normal(2, 3), normal(3)])] for name in ("hypot", "logaddexp", "logaddexp2", "atan2")},
    **{name: [(getattr(torch, name), [apart(2, 3), apart(2, 3) + 0.1])] for name in ("fmax", "fmin")},
    "acosh": [(torch.acosh, [between(1.5, 3, 3)])],
    "ndtri": [(S.ndtri, [between(0.1, 0.9, 3)])],
    "lgamma": [(torch.lgamma, [between(0.5, 4, 3)])],
    "digamma": [(torch.digamma, [between(0.5, 4, 3)])],
    "polygamma": [(lambda x: torch.polygamma(1, x), [between(0.5, 4, 3)])],
    "zeta": [(lambda q: S.zeta(q * 0 + 2.5, q), [between(1, 4, 3)])],
    "logit": [(torch.logit, [between(0.1, 0.9, 3)])],
    "xlogy": [(torch.xlogy, [normal(2, 3), positive(3)])],
    "xlog1py": [(S.xlog1py, [normal(2, 3), positive(3)])],
    "fmod": [(torch.fmod, [apart(2, 3), positive(2, 3) + 5])],
    "frac": [(torch.frac, [apart(6)])],
    "copysign": [(torch.copysign, [apart(2, 3), apart(2, 3) + 0.1])],
    "nan_to_num": [(torch.nan_to_num, [normal(3)])],
    "nextafter": [(lambda a: torch.nextafter(a, a + 1), [normal(3)])],
    "div_floor": [(lambda a, b: torch.div(a, b, rounding_mode="floor") + a, [apart(2, 3), positive(3)])],
    "div_trunc": [(lambda a, b: torch.div(a, b, rounding_mode="trunc") + b, [apart(2, 3), positive(3)])],
    "clamp_min": [(lambda x, lo: x.clamp(min=lo), [apart(2, 3), apart(3) + 0.1])],
    "clamp_max": [(lambda x, hi: x.clamp(max=hi), [apart(2, 3), apart(3) + 0.1])],
    "cumprod": [(lambda x: x.cumprod(1), [positive(2, 4)]), (lambda x: (x * torch.tensor([1.0, 0.0, 1.0]).to(x.device)).cumprod(0), [positive(3)])],
    "as_strided": [(lambda x: x.as_strided((3, 2), (1, 2), 1), [normal(6)])],
    "diagonal": [(lambda x: x.diagonal(1, 0, 2), [normal(3, 2, 4)])],
    "unfold": [(lambda x: x.unfold(1, 3, 2), [normal(2, 7)])],
    "unview": [(lambda x: x.diagonal() ** 2, [normal(3, 3)])],
    "diagonal_set": [(lambda x, v: torch.diagonal_scatter(x, v), [normal(3, 3), normal(3)])],
    "index_set": [(lambda x, v: torch.select_scatter(x, v, 0, 1), [normal(3, 2), normal(2)])],
    "copy_slices": [(lambda x, v: _written(x, v), [normal(3, 4), normal(2, 2)])],
    "scatter": [(lambda x, v: x.scatter(0, PLACES.to(x.device), v), [normal(3, 3), normal(2, 3)])],
    "scatter_amax": [(lambda x, v: x.scatter_reduce(0, PLACES.to(x.device), v, "amax"), [apart(3, 3), apart(2, 3) + 0.1])],
    "scatter_amin": [(lambda x, v: x.scatter_reduce(0, PLACES.to(x.device), v, "amin", include_self=False), [apart(3, 3), apart(2, 3) + 0.1])],
    "scatter_prod": [(lambda x, v: x.scatter_reduce(0, PLACES.to(x.device), v, "prod"), [normal(3, 3), normal(2, 3)])],
    "det": [(torch.det, [spread(3)])],
    "slogdet": [(lambda x: torch.slogdet(x).logabsdet, [spread(3)])],
    "inv": [(torch.inverse, [spread(3)])],
    "pinv": [(torch.pinverse, [normal(4, 3)]), (torch.pinverse, [normal(3, 4)])],
    "solve": [(torch.linalg.solve, [spread(3), normal(3, 2)])],
    "cholesky": [(lambda x: torch.linalg.cholesky(x @ x.mT), [spread(3)])],
    "eigh": [(lambda x: torch.linalg.eigh(x + x.mT).eigenvalues, [spread(3)]), (lambda x: torch.linalg.eigh(x + x.mT).eigenvectors.abs(), [spread(3)])],
    "svd": [(torch.linalg.svdvals, [normal(4, 3)]), (lambda x: torch.linalg.svd(x, full_matrices=False).U.abs(), [normal(4, 3)])],
}  # fmt: skip


def _written(x: Tensor, v: Tensor) -> Tensor:
    """``v`` written into a view of a view of a copy of ``x``."""
    y = x * 1
    y.t()[1:3][:, :2] = v
    return y * y


COMPOSITES: dict[str, Sample] = {
    "prod": (lambda x: x.prod(1), [normal(2, 3, 2)]),
    "prod_of_zero": (torch.prod, [torch.tensor([2.0, 0.0, 3.0], dtype=torch.float64)]),
    "linear": (F.linear, [normal(2, 5, 3), normal(4, 3), normal(4)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), [normal(3, 4), normal(4), normal(4)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), [normal(5, 3, 2, 2), normal(3), normal(3)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, torch.tensor([1, 0, 2]).to(x.device), label_smoothing=0.1), [normal(3, 4)]),
    "smoothed_cross_entropy": (
        lambda x: F.cross_entropy(
            x, INDEX.to(x.device), torch.tensor([0.5, 1.0, 2.0]).double().to(x.device), ignore_index=1, label_smoothing=0.1
        ),
        [normal(2, 3, 3)],
    ),
    "weighted_nll": (
        lambda x: F.nll_loss(
            torch.log_softmax(x, 1), torch.tensor([1, -100, 2]).to(x.device), torch.tensor([0.5, 2.0, 1.0]).double().to(x.device)
        ),
        [normal(3, 3)],
    ),
    "bce": (lambda x, t: F.binary_cross_entropy_with_logits(x, t), [normal(4), positive(4)]),
    "smooth_l1": (lambda x, t: F.smooth_l1_loss(x, t), [apart(6), apart(6) * 3]),
    "gelu": (lambda x: F.gelu(x, "tanh"), [normal(4)]),
    "var": (lambda x: x.var(1), [normal(2, 4)]),
    "logsumexp": (lambda x: x.logsumexp(1), [normal(2, 4)]),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), [normal(1, 2, 5, 5)]),
    "diag": (lambda x: torch.diag(x, -1), [normal(3)]),
    "diagonal": (lambda x: torch.diag(x, 1), [normal(3, 4)]),
    "roll": (lambda x: torch.roll(x, (1, -1), (0, 1)), [normal(2, 3)]),
    "sort": (lambda x: x.sort(1, descending=True).values, [apart(2, 4)]),
    "topk": (lambda x: x.topk(2, 0).values, [apart(4, 2)]),
    "bce_of_probabilities": (lambda x, t: F.binary_cross_entropy(x.sigmoid(), t), [normal(4), positive(4) * 0.45]),
    "kl_div": (lambda x: F.kl_div(torch.log_softmax(x, 1), torch.softmax(x.flip(0), 1), "batchmean"), [normal(2, 3)]),
    "max_dim": (lambda x: x.max(1).values, [apart(3, 4)]),
}
VALUES: dict[str, Sample] = {
    "cummax": (lambda x: x.cummax(0).indices, [normal(4, 3)]),
    "argsort": (lambda x: x.argsort(1, descending=True), [normal(2, 5)]),
    "nonzero": (lambda x: (x > 0).nonzero(), [normal(3, 3)]),
    "masked_select": (lambda x: x.masked_select(x > 0), [normal(3, 3)]),
    "unique": (lambda x: x.round().unique(), [normal(3, 3)]),
    "searchsorted": (lambda x: torch.searchsorted(x.sort().values, x[:2]), [normal(5)]),
    "bincount": (lambda x: x.abs().long().bincount(minlength=4), [normal(9)]),
    "histc": (lambda x: x.histc(4, -1, 1), [normal(9)]),
    "median": (lambda x: x.median(1).values, [normal(3, 5)]),
    "mode": (lambda x: x.round().mode(1).values, [normal(3, 5)]),
    "quantile": (lambda x: x.quantile(0.3, 1), [normal(3, 5)]),
    "isin": (lambda x: torch.isin(x.round(), x.round()[:1]), [normal(3, 5)]),
    "integers": (lambda x: (x * 9).long() // 2 % 3 + ((x * 9).long() << 1), [normal(7)]),
    "assignment": (lambda x: _assigned(x), [normal(4, 3)]),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=1.5, mode="bicubic"), [normal(1, 2, 4, 4)]),
    "grid_sample": (lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1).tanh(), align_corners=False), [normal(1, 2, 4, 4)]),
    "unfold": (lambda x: F.fold(F.unfold(x, 2, padding=1), (4, 4), 2, padding=1), [normal(1, 2, 4, 4)]),
    "embedding": (lambda x: F.embedding(x.abs().long().clamp(max=2), x[:3], padding_idx=0), [normal(4, 2)]),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 2), [apart(1, 2, 5, 5)]),
    "max_unpool2d": (lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), [apart(1, 2, 4, 4)]),
    "einsum": (lambda x: torch.einsum("ij,kj,jj->ik", x, x, x[:3]), [normal(3, 3)]),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), [normal(2, 4, 3)]),
    "cdist": (lambda x: torch.cdist(x, x + 1), [normal(4, 3)]),
    "ctc": (lambda x: F.ctc_loss(F.log_softmax(x, -1), torch.tensor([[1, 2], [2, 2]]), [5, 4], [2, 1]), [normal(5, 2, 3)]),
    "one_hot": (lambda x: F.one_hot(x.abs().long(), 5), [normal(4)]),
    "meshgrid": (lambda x: torch.cat(torch.meshgrid(x, x, indexing="ij")), [normal(3)]),
}
"""For devices only: results that are integers, or whose derivatives are checked by parts."""


def _assigned(x: Tensor) -> Tensor:
    y = x.detach().clone()
    y[1] = 0
    y[y > 0.5] = 2.0
    y[:, [0, 2]] = y[:, [2, 0]] + 1
    y[torch.tensor([0, 1]).to(y.device), 1] = 5
    return y

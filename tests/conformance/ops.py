"""One op of PyTorch's sample database on both sides: outputs, gradients, gradients of gradients, error types."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from typing import Any

import numpy as np

import engine
from tests.conformance.translate import TOLERANCE, Unsupported, flat, ours, same, torch

RANDOM = {
    "bernoulli", "cauchy", "empty", "empty_like", "exponential", "geometric", "log_normal", "multinomial", "new_empty", "nn.functional.alpha_dropout",
    "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d", "nn.functional.feature_alpha_dropout", "nn.functional.rrelu", "normal",
    "empty_strided", "new_empty_strided", "rand_like", "randint", "randint_like", "randn", "randn_like", "uniform",
}  # fmt: skip
"""Their numbers are the engine's own; shape and dtype are compared."""
TIES = {"argsort", "kthvalue", "median", "mode", "nanmedian", "sort", "topk"}
"""Which of several equal elements they name is open: what the indices point to is compared."""
LOOSE = {
    "cov": 1e-5,
    "matrix_exp": 1e-3,
    "special.bessel_j0": 1e-6,
    "special.bessel_y1": 1e-6,
    "special.bessel_j1": 1e-6,
    "special.bessel_y0": 1e-6,
}
"""Tolerances where both sides approximate."""
DTYPES = ("float64", "float32", "int64", "bool")
SAMPLES_PER_DTYPE = 60


@functools.cache
def database() -> dict[str, Any]:
    """PyTorch's samples by name: ``div.floor_rounding``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return {full_name(info): info for info in op_db}


def full_name(info: Any) -> str:
    return info.name + (f".{info.variant_test_name}" if info.variant_test_name else "")


REORDERED = {
    "nn.functional.embedding": lambda weight, x, **options: engine.nn.functional.embedding(x, weight, **options),
    "nn.functional.embedding_bag": lambda weight, x, **options: engine.nn.functional.embedding_bag(x, weight, **options),
    "linalg.pinv.singular": lambda a, b: engine.linalg.pinv(a @ b.mT),
    "einsum": lambda xs, equation: engine.einsum(equation, *xs),
    "zero_": lambda x: x.clone().zero_(),
    "where": lambda x, condition, other: engine.where(condition, x, other),
    "polygamma": lambda x, n: engine.polygamma(n, x),
    "special.polygamma": lambda x, n: engine.special.polygamma(n, x),
}
"""PyTorch's samples for these put the tensor first, its functions do not."""


DIFFERENT = {
    "as_strided.partial_views": "the samples are views of memory that a copy does not have",
    "linalg.norm.subgradients_at_zero": "the second derivative of a norm at zero is zero, not NaN",
    "nn.functional.batch_norm.without_cudnn": "all samples are on CUDA",
    "nn.functional.silu.complex": "all samples are complex",
    "sparse.mm.reduce": "reductions of compressed rows",
    "to_sparse": "results are PyTorch's sparse tensors",
}
"""Cases that are not compared, and why."""


def resolve(info: Any) -> Any:
    """The engine's function for one of PyTorch's, None where there is none or nothing to compare."""
    if full_name(info) in DIFFERENT:
        return None
    if info.variant_test_name == "in_place":
        return lambda x, *args, **kwargs: getattr(x, info.name + "_")(*args, **kwargs)
    for name in (f"{info.name}.{info.variant_test_name}", info.name):
        if name in REORDERED:
            return REORDERED[name]
    if (found := _at(engine, info.name)) is not None and not isinstance(found, engine.dtypes.dtype):
        return found
    name = info.name + "_" if hasattr(engine.Tensor, info.name + "_") and info.name in IN_PLACE else info.name
    method = getattr(engine.Tensor, name, None)
    if isinstance(method, property):
        return lambda x: getattr(x, name)
    return None if method is None else functools.partial(_method, name)


def _method(name: str, x: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(x, engine.Tensor):
        raise TypeError(f"descriptor '{name}' requires a Tensor, not {type(x).__name__}")
    return getattr(x, name)(*args, **kwargs)


IN_PLACE = {"cauchy", "exponential", "geometric", "log_normal", "uniform", "normal", "fill", "put"}


def _at(home: Any, path: str) -> Any:
    for part in path.split("."):
        home = getattr(home, part, None)
    return home


def call(function: Any, sample: Any, made: dict[int, Any]) -> Any:
    x, args, kwargs = ours(sample.input, made), ours(tuple(sample.args), made), ours(dict(sample.kwargs), made)
    return function(x, *args, **kwargs), (x, args, kwargs)


def check_samples(info: Any) -> Counter[str]:
    """Compares every sample; how many were compared and how many are beyond the engine's types. Raises AssertionError."""
    function = resolve(info)
    counted: Counter[str] = Counter()
    supported = {str(d).removeprefix("torch.") for d in info.supported_dtypes("cpu")}
    for name in DTYPES:
        if name not in supported:
            continue
        dtype = getattr(torch, name)
        wants_grad = name == "float64" and info.supports_autograd
        for i, sample in enumerate(info.sample_inputs("cpu", dtype, requires_grad=wants_grad)):
            if i >= SAMPLES_PER_DTYPE:
                break
            try:
                if sample.kwargs.get("dropout_p"):
                    raise Unsupported("random numbers")
                _compare(info, function, sample, f"{name} sample {i} ({_short(sample)})", wants_grad)
                counted["compared"] += 1
            except (Unsupported, NotImplementedError):
                counted["beyond"] += 1
    return counted


def _short(sample: Any) -> str:
    return str(sample.summary())[:300]


def _compare(info: Any, function: Any, sample: Any, what: str, wants_grad: bool) -> None:
    made: dict[int, Any] = {}
    arguments = ours((sample.input, tuple(sample.args), dict(sample.kwargs)), made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = info.op(sample.input, *sample.args, **sample.kwargs)
        try:
            mine = function(arguments[0], *arguments[1], **arguments[2])
        except NotImplementedError:
            raise
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        theirs, mine = list(flat(sample.output_process_fn_grad(theirs))), list(flat(sample.output_process_fn_grad(mine)))
    assert len(mine) == len(theirs), f"{what}: {len(mine)} results, PyTorch {len(theirs)}"
    for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        if info.name in TIES and str(b.dtype) == "torch.int64" and sample.input.ndim and (i == 1 or info.name == "argsort"):
            dim = (
                (list(sample.args) + [-1])[0 if info.name in ("argsort", "sort", "mode", "median", "nanmedian") else 1]
                if len(sample.args) > (info.name in ("topk", "kthvalue"))
                else sample.kwargs.get("dim", -1)
            )
            a, b = (
                arguments[0].gather(dim, a if a.ndim == sample.input.ndim else a.unsqueeze(dim)),
                sample.input.gather(dim, b if b.ndim == sample.input.ndim else b.unsqueeze(dim)),
            )
        same(a, b, what, values=info.name not in RANDOM, tolerance=LOOSE.get(info.name))
    if wants_grad and info.name not in RANDOM:
        leaves = [x for x in flat((sample.input, *sample.args, *sample.kwargs.values())) if isinstance(x, torch.Tensor) and x.requires_grad]
        _compare_gradients(mine, theirs, [made[id(x)] for x in leaves], leaves, what, info.supports_gradgrad)


def _compare_gradients(mine: list[Any], theirs: list[Any], xs: list[Any], zs: list[Any], what: str, twice: bool, order: int = 1) -> None:
    pairs = [(a, b) for a, b in zip(mine, theirs, strict=True) if isinstance(b, torch.Tensor) and b.requires_grad]
    if not pairs:
        return
    rng = np.random.default_rng(order)
    weights = [rng.normal(size=tuple(b.shape)) for _, b in pairs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            g = torch.autograd.grad(
                [b for _, b in pairs],
                zs,
                [torch.tensor(w, dtype=b.dtype) for w, (_, b) in zip(weights, pairs, strict=True)],
                allow_unused=True,
                create_graph=twice,
            )
        except (RuntimeError, NotImplementedError):  # PyTorch has no derivative either
            return
    for a, _ in pairs:
        assert a.requires_grad, f"{what}: a result without history (order {order})"
    try:
        h = engine.autograd.grad(
            [a for a, _ in pairs],
            xs,
            [engine.tensor(w, dtype=a.dtype) for w, (a, _) in zip(weights, pairs, strict=True)],
            allow_unused=True,
            create_graph=twice,
        )
    except NotImplementedError:
        raise
    except Exception as error:
        raise AssertionError(f"{what}: gradient of order {order}: {type(error).__name__}: {error}") from error
    for i, (a, b) in enumerate(zip(h, g, strict=True)):
        same(
            engine.zeros_like(xs[i]) if a is None else a,
            torch.zeros_like(zs[i]) if b is None else b,
            f"{what}: gradient {i} of order {order}",
            tolerance=max(1e-5 if order == 2 else 1e-6, TOLERANCE[str(zs[i].dtype).removeprefix("torch.")]),
        )
    if twice and order == 1:
        both = [(a, b) for a, b in zip(h, g, strict=True) if b is not None and b.requires_grad and a is not None and a.requires_grad]
        if both:
            _compare_gradients([a for a, _ in both], [b for _, b in both], xs, zs, what, False, 2)


def check_errors(info: Any) -> int:
    """Calls that PyTorch refuses must be refused with the same type of error. Returns how many."""
    function, checked = resolve(info), 0
    if info.error_inputs_func is None:
        return 0
    for i, error_input in enumerate(info.error_inputs("cpu")):
        sample = error_input.sample_input
        if "out" in sample.kwargs or (not isinstance(sample.input, torch.Tensor) and isinstance(function, functools.partial)):
            continue
        try:
            arguments = ours((sample.input, tuple(sample.args), dict(sample.kwargs)))
            info.op(sample.input, *sample.args, **sample.kwargs)
        except Unsupported:
            continue
        except Exception as error:
            refusal = error
        else:
            continue  # PyTorch accepts it
        what = f"error input {i} ({_short(sample)}): PyTorch {type(refusal).__name__} ({refusal})"
        try:
            result = function(arguments[0], *arguments[1], **arguments[2])
        except Exception as error:
            assert isinstance(error, type(refusal)), f"{what}, got {type(error).__name__}: {error}"
        else:
            raise AssertionError(f"{what}, got a result: {str(result)[:100]}")
        checked += 1
    return checked

"""Compiled kernels for single eager launches, where NumPy takes several passes or more time to begin than to compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.capture.alone import program
from engine.capture.recurrent import NAMES, arguments
from engine.dispatch import OPS
from engine.kernels.native import Native, address, native
from engine.ops import activation

_SMALL, _LARGE = 1 << 18, 1 << 23
"""Products of fewer additions are left to NumPy, which begins sooner, and of more to its BLAS, which uses all cores."""
_DTYPES = np.dtype(np.float32), np.dtype(np.int64)
Floats = np.ndarray[Any, Any]


def _with_elements(kernel: Any, plain: Any) -> Any:
    """``kernel``, but the array code where an array has no elements: what a kernel divides by is never 0, and nothing is computed slowly."""

    def run(outs: Any, *ins: Any, **attrs: Any) -> None:
        for a in (*(outs if isinstance(outs, list) else (outs,)), *ins):
            if a is not None and not a.size:
                return plain(outs, *ins, **attrs)
        return kernel(outs, *ins, **attrs)

    return run


def _are_plain(*arrays: Floats) -> bool:
    return all(type(a) is np.ndarray and a.dtype == np.float32 and a.flags.c_contiguous for a in arrays)


def _linear(kernels: Native, plain: Any) -> Any:
    def kernel(out: Floats, x: Floats, w: Floats, b: Floats | None = None) -> None:
        n, k = w.shape
        m = out.size // n
        if not _SMALL < m * n * k < _LARGE or not _are_plain(out, x, w) or (b is not None and not _are_plain(b)):
            plain(out, x, w) if b is None else plain(out, x, w, b)
            return
        bias = 0 if b is None else address(b)
        kernels.call("matmul", bias, 0, 0, 1, m, n, k, address(x), address(w), address(out), k, 1, 1, k, n, 1, 0, 0, 0, 0, 0, 0)

    return kernel


def _linear_weight(kernels: Native, plain: Any) -> Any:
    def kernel(out: Floats, v: Floats, x: Floats) -> None:
        n, k = out.shape
        m = v.size // n
        if not _SMALL < m * n * k < _LARGE or not _are_plain(out, v, x):
            plain(out, v, x)
            return
        kernels.call("matmul", 0, 0, 0, 1, n, k, m, address(v), address(x), address(out), 1, n, k, 1, k, 1, 0, 0, 0, 0, 0, 0)

    return kernel


def _cross_entropy(kernels: Native, plain: Any) -> Any:
    def kernel(outs: list[Floats], x: Floats, target: Floats, ignore_index: int, mean: bool) -> None:
        fits = _are_plain(x) and target.dtype == np.int64 and target.flags.c_contiguous
        wrong = not fits or kernels.call(
            "cross_entropy", address(x), address(target), *x.shape, ignore_index, int(mean), *map(address, outs), 0
        )
        if wrong:  # for a class that is none, NumPy's kernel has the error
            plain(outs, x, target, ignore_index=ignore_index, mean=mean)

    return kernel


def _cross_entropy_data(kernels: Native, plain: Any) -> Any:
    def kernel(out: Floats, g: Floats, x: Floats, target: Floats, counted: Floats, ignore_index: int, mean: bool) -> None:
        if not _are_plain(g, x, counted) or target.dtype != np.int64 or not target.flags.c_contiguous:
            return plain(out, g, x, target, counted, ignore_index=ignore_index, mean=mean)
        kernels.call(
            "cross_entropy_gradient",
            address(g),
            address(x),
            address(target),
            *x.shape,
            ignore_index,
            int(mean),
            address(counted),
            address(out),
        )
        return None

    return kernel


def _embedding(kernels: Native, plain: Any) -> Any:
    def kernel(out: Floats, weight: Floats, index: Floats, padding_idx: int | None) -> None:
        fits = _are_plain(out, weight) and index.dtype == np.int64 and index.flags.c_contiguous
        if not fits or kernels.call("embedding", address(weight), address(index), index.size, *weight.shape, address(out)):
            plain(out, weight, index, padding_idx=padding_idx)  # has the error too

    return kernel


def _embedding_weight(kernels: Native, plain: Any) -> Any:
    def kernel(out: Floats, g: Floats, index: Floats, n: int, padding_idx: int | None) -> None:
        if not _are_plain(out, g) or index.dtype != np.int64 or not index.flags.c_contiguous:
            return plain(out, g, index, n=n, padding_idx=padding_idx)
        padding = -1 if padding_idx is None else padding_idx
        kernels.call("embedding_gradient", address(g), address(index), index.size, *out.shape, padding, address(out))
        return None

    return kernel


def _embedding_bag(name: str) -> Any:
    def make(kernels: Native, plain: Any) -> Any:
        def kernel(out: Floats, x: Floats, index: Floats, starts: Floats, **attrs: Any) -> None:
            fits = _are_plain(out, x) and all(i.dtype == np.int64 and i.flags.c_contiguous for i in (index, starts))
            n, width = x.shape if name == "embedding_bag" else out.shape
            padding = attrs["padding_idx"]
            described = len(starts), index.size, n, width, -1 if padding is None else padding, int(attrs["mean"])
            if not fits or kernels.call(name, address(index), address(starts), *described, address(x), address(out)):
                plain(out, x, index, starts, **attrs)  # has the error too

        return kernel

    return make


def _uniform(kernels: Native, plain: Any) -> Any:
    def kernel(out: Floats, x: Floats, seed: int, stream: int, start: int) -> None:
        if _are_plain(out):
            kernels.call("uniform", out.size, *(int(np.uint64(n).astype(np.int64)) for n in (seed, stream, start)), address(out))
        else:
            plain(out, x, seed=seed, stream=stream, start=start)

    return kernel


def _recurrent(name: str) -> Any:
    def make(kernels: Native, plain: Any) -> Any:
        def kernel(outs: Any, *ins: Floats, **attrs: Any) -> None:
            results = outs if isinstance(outs, list) else [outs]
            if not all(type(a) is np.ndarray and a.dtype == np.float32 for a in (*results, *ins)):
                return plain(outs, *ins, **attrs)
            given = [np.ascontiguousarray(a) for a in ins]
            which, numbers = arguments(name, ins[0].shape, ins[1].shape[1], attrs, [*map(address, given)], [*map(address, results)])
            kernels.call(which, *numbers)
            return None

        return kernel

    return make


def _by_program(name: str, least: int = 0) -> Any:
    """By a program of one call, from ``least`` elements on."""

    def make(kernels: Native, plain: Any) -> Any:
        op = OPS[name]

        def kernel(outs: Any, *ins: Floats, **attrs: Any) -> None:
            results = outs if isinstance(outs, list) else [outs]
            fits = results[0].size > least and all(type(a) is np.ndarray and a.dtype in _DTYPES for a in (*results, *ins))
            given = [np.ascontiguousarray(a) for a in ins] if fits else ins
            found = program(kernels, op, results, given, attrs) if fits else None
            if found is None:
                plain(outs, *ins, **attrs)
            else:
                found.run(results, given)

        return kernel

    return make


_KERNELS = {
    "linear": _linear,
    "linear_weight": _linear_weight,
    "cross_entropy": _cross_entropy,
    "cross_entropy_data": _cross_entropy_data,
    "embedding": _embedding,
    "embedding_weight": _embedding_weight,
    "embedding_bag": _embedding_bag("embedding_bag"),
    "embedding_bag_weight": _embedding_bag("embedding_bag_gradient"),
    "uniform": _uniform,
    **{name: _recurrent(name) for name in NAMES},
    **{
        name: _by_program(name)
        for name in ("conv", "conv_data", "conv_weight", "avg_pool", "avg_pool_data", "max_pool", "unpool", "resize", "resize_data")
    },
    **{name: _by_program(name, 1 << 12) for name in ("standardize", "standardize_data", "standardize_weight", "relu_gradient")},
    **{name: _by_program(name, 1 << 8) for name in (*activation.NAMES, "sigmoid", "softplus", "erf")},
}


def install() -> None:
    """Gives these ops their compiled kernels, where there are compiled kernels."""
    kernels = native()
    if kernels is not None:
        for name, make in _KERNELS.items():
            plain = OPS[name].kernel
            OPS[name].overrides.setdefault("numpy", _with_elements(make(kernels, plain), plain))

"""PyTorch's values as the engine's, and the comparison of what both return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import engine

try:
    import torch
    from torch.testing._internal import common_utils
except ImportError:  # the tests skip, with a reason
    torch = None
else:
    common_utils.extract_test_fn = lambda: None  # for each list of samples it looks for a unittest through the whole stack, 0.1 s long

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}


class Unsupported(Exception):
    """A sample is beyond the engine's types: complex numbers, sparse layouts, quantized tensors."""


def ours(value: Any, made: dict[int, Any] | None = None) -> Any:
    """A value of PyTorch's as the engine's: tensors share memory layout, not memory. ``made`` keeps one tensor one."""
    if made is None:
        made = {}
    if isinstance(value, torch.Tensor):
        if id(value) not in made:
            made[id(value)] = _tensor(value)
        return made[id(value)]
    if isinstance(value, torch.dtype):
        name = str(value).removeprefix("torch.")
        if name not in engine.dtypes.BY_NAME:
            raise Unsupported(f"dtype {name}")
        return engine.dtypes.BY_NAME[name]
    if isinstance(value, torch.device) or (type(value) is str and value == "cpu"):
        return str(engine.get_default_device() if str(value) == "cpu" else value)
    if isinstance(value, torch.memory_format):
        if value not in (torch.contiguous_format, torch.preserve_format):
            raise Unsupported("memory formats")
        return getattr(engine, str(value).removeprefix("torch."))
    if isinstance(value, torch.layout):
        if value is not torch.strided:
            raise Unsupported("sparse layouts")
        return engine.strided
    if isinstance(value, torch.Generator):
        return engine.Generator()
    if isinstance(value, torch.Size):
        return engine.Size(value)
    if isinstance(value, torch.nn.PairwiseDistance):
        return engine.nn.PairwiseDistance(value.norm, value.eps, value.keepdim)
    if isinstance(value, torch.nn.LayerNorm):
        return engine.nn.LayerNorm(value.normalized_shape, value.eps, bias=value.bias is not None)
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        attention = value.self_attn
        return engine.nn.TransformerEncoderLayer(
            attention.embed_dim, attention.num_heads, value.linear1.out_features, value.dropout.p, ours(value.activation), value.norm1.eps, attention.batch_first,
            value.norm_first, value.linear1.bias is not None,
        )  # fmt: skip
    if callable(value) and not isinstance(value, type) and hasattr(engine.nn.functional, getattr(value, "__name__", "")):
        return getattr(engine.nn.functional, value.__name__)
    if isinstance(value, complex):
        raise Unsupported("complex numbers")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(ours(v, made) for v in value))
    if isinstance(value, list | tuple):
        return type(value)(ours(v, made) for v in value)
    if isinstance(value, Mapping):
        return {k: ours(v, made) for k, v in value.items()}
    return value


def _tensor(x: Any) -> engine.Tensor:
    if x.layout is not torch.strided or x.is_quantized or x.is_complex():
        raise Unsupported(f"{x.layout}, {x.dtype}")
    if str(x.dtype).removeprefix("torch.") not in engine.dtypes.BY_NAME:
        raise Unsupported(f"dtype {x.dtype}")
    if x.ndim > 64:
        raise Unsupported(f"{x.ndim} dimensions")
    bare = x.detach()
    if bare.dtype is torch.bfloat16:
        y = engine.tensor(bare.float().numpy()).to(engine.bfloat16)
    elif bare.is_contiguous() or not bare.numel():
        y = engine.tensor(bare.numpy())
    else:  # the layout matters to views: a copy of the memory under the same strides
        array = bare.numpy()
        copy = np.empty_like(array, order="K")
        if copy.strides != array.strides and 0 not in array.strides:
            copy = np.lib.stride_tricks.as_strided(np.zeros(_extent(array), array.dtype), array.shape, array.strides)
        copy[...] = array
        y = engine.from_numpy(copy).to(engine.get_default_device())
    return y.requires_grad_(x.requires_grad)


def _extent(array: Any) -> int:
    return 1 + sum((n - 1) * abs(s) for n, s in zip(array.shape, array.strides, strict=True)) // array.itemsize


def flat(value: Any) -> Iterator[Any]:
    """The leaves of nested sequences and mappings."""
    if isinstance(value, Mapping):
        for v in value.values():
            yield from flat(v)
    elif isinstance(value, Sequence) and not isinstance(value, str | engine.Size) and not (torch and isinstance(value, torch.Size)):
        for v in value:
            yield from flat(v)
    else:
        yield value


def same(mine: Any, theirs: Any, what: str, values: bool = True, tolerance: float | None = None) -> None:
    """Raises AssertionError unless both agree in kind, dtype, shape and value."""
    if not isinstance(theirs, torch.Tensor):
        if isinstance(theirs, torch.Size):
            assert tuple(mine) == tuple(theirs), f"{what}: {mine}, PyTorch {theirs}"
        elif isinstance(theirs, float):
            np.testing.assert_allclose(mine, theirs, 1e-6, 1e-6, err_msg=what)
        elif isinstance(theirs, torch.dtype):
            assert str(mine) == str(theirs), f"{what}: {mine}, PyTorch {theirs}"
        else:
            assert mine == theirs, f"{what}: {mine}, PyTorch {theirs}"
        return
    if theirs.is_complex() or theirs.layout is not torch.strided:
        raise Unsupported(f"{theirs.layout}, {theirs.dtype}")
    assert isinstance(mine, engine.Tensor), f"{what}: {type(mine).__name__}, not a tensor"
    assert str(mine.dtype) == str(theirs.dtype), f"{what}: dtype {mine.dtype}, PyTorch {theirs.dtype}"
    assert tuple(mine.shape) == tuple(theirs.shape), f"{what}: shape {tuple(mine.shape)}, PyTorch {tuple(theirs.shape)}"
    if not values:
        return
    assert mine.device == engine.tensor(0).device, f"{what}: on {mine.device}"
    a, b = mine.detach().cpu(), theirs.detach()
    x = np.asarray(a.to(engine.float64).numpy() if a.is_floating_point() else a.numpy())
    y = b.double().numpy(force=True) if b.is_floating_point() else b.numpy(force=True)
    bound = tolerance or TOLERANCE.get(str(theirs.dtype).removeprefix("torch."), 0)
    np.testing.assert_allclose(x, y, bound, bound, err_msg=what)

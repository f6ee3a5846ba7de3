"""Ops that move elements: shapes, slices, lookups, borders, joins."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.graph import Graph, element_type
from engine.onnx.trace import Batch, Call, Dim, NotExportable, Slot

Array = np.ndarray[Any, Any]
_END = np.iinfo(np.int64).max


def to(g: Graph, call: Call) -> list[str]:
    return [g.node("Cast", g.name(call.ins[0]), to=element_type(call.outs[0].dtype))]


def same(g: Graph, call: Call) -> list[str]:
    return [g.name(call.ins[0])]


def reshaped(g: Graph, name: str, dims: tuple[Dim, ...]) -> str:
    """A value in another shape; the one size that depends on the batch follows from the others."""
    if sum(isinstance(n, Batch) for n in dims) == 1 and 0 not in dims:
        return g.node("Reshape", name, g.ints([-1 if isinstance(n, Batch) else n for n in dims]))
    return g.node("Reshape", name, g.shape(dims))


def reshape(g: Graph, call: Call) -> list[str]:
    return [reshaped(g, g.name(call.ins[0]), call.outs[0].shape)]


def permute(g: Graph, call: Call) -> list[str]:
    return [g.node("Transpose", g.name(call.ins[0]), perm=list(call.attrs["dims"]))]


def expand(g: Graph, call: Call) -> list[str]:
    return [g.node("Expand", g.name(call.ins[0]), g.shape(call.outs[0].shape))]


def _entries(index: Any, rank: int) -> list[Any]:
    """The entries of an index, with a slice for each axis that an ellipsis stands for."""
    entries = list(index) if isinstance(index, tuple) else [index]
    at = next((i for i, e in enumerate(entries) if e is Ellipsis), len(entries))
    missing = rank - sum(e is not None and e is not Ellipsis for e in entries)
    return [*entries[:at], *[slice(None)] * missing, *entries[at + 1 :]]


def sliced(g: Graph, call: Call) -> list[str]:
    name, axis = g.name(call.ins[0]), 0
    starts, ends, steps, axes, dropped, added = [], [], [], [], [], []
    for place, entry in enumerate(_entries(call.attrs["index"], len(call.ins[0].shape))):
        if entry is None:
            added.append(place)
            continue
        if isinstance(entry, slice):
            bounds = [entry.start, entry.stop, entry.step]
            if isinstance(entry.stop, Batch) and entry.stop == call.ins[0].shape[axis]:
                bounds[1] = None
            if any(isinstance(b, Batch) for b in bounds):
                raise NotExportable("a slice that depends on the size of the batch")
            step = bounds[2] or 1
            if bounds != [None, None, None]:
                starts.append(bounds[0] if bounds[0] is not None else 0 if step > 0 else _END)
                ends.append(bounds[1] if bounds[1] is not None else _END if step > 0 else -_END)
                steps.append(step)
                axes.append(axis)
        else:
            at = int(entry)
            starts.append(at)
            ends.append(at + 1 if at != -1 else _END)
            steps.append(1)
            axes.append(axis)
            dropped.append(axis)
        axis += 1
    if axes:
        name = g.node("Slice", name, g.ints(starts), g.ints(ends), g.ints(axes), g.ints(steps))
    if dropped or added:
        name = reshaped(g, name, call.outs[0].shape)
    return [name]


def _gathered(shape: tuple[Dim, ...], index: Any) -> tuple[int, int, Array]:
    """The axes from the first to before the second that arrays index, and their positions in these axes as one."""
    entries = [np.flatnonzero(e) if isinstance(e, np.ndarray) and e.dtype == np.bool_ else e for e in _entries(index, len(shape))]
    at = [i for i, e in enumerate(entries) if not (isinstance(e, slice) and e == slice(None))]
    first, last = at[0], at[-1] + 1
    arrays = entries[first:last]
    if len(at) != last - first or not all(isinstance(e, np.ndarray | int | np.integer) for e in arrays):
        raise NotExportable("an index of arrays that do not stand together")
    sizes = shape[first:last]
    if any(isinstance(n, Batch) for n in sizes):
        raise NotExportable("an index along the batch")
    whole = [n for n in sizes if isinstance(n, int)]
    wrapped = [np.where(np.asarray(a) < 0, np.asarray(a) + n, a) for a, n in zip(arrays, whole)]
    return first, last, np.ravel_multi_index(np.broadcast_arrays(*wrapped), whole).astype(np.int64)


def index(g: Graph, call: Call) -> list[str]:
    name, shape = g.name(call.ins[0]), call.ins[0].shape
    if len(call.ins) > 1:
        return [_looked_up(g, call)]
    first, last, positions = _gathered(shape, call.attrs["index"])
    if last - first > 1:
        name = reshaped(g, name, (*shape[:first], int(np.prod([n for n in shape[first:last] if isinstance(n, int)])), *shape[last:]))
    return [g.node("Gather", name, g.constant(positions), axis=first)]


def _looked_up(g: Graph, call: Call) -> str:
    """Elements by computed numbers along one axis."""
    entries = _entries(call.attrs["index"], len(call.ins[0].shape))
    at = [i for i, e in enumerate(entries) if not (isinstance(e, slice) and e == slice(None))]
    if len(at) != 1 or not isinstance(entries[at[0]], Slot):
        raise NotExportable("an index of several arrays, of which one is computed")
    return g.node("Gather", g.name(call.ins[0]), g.name(call.ins[entries[at[0]].at]), axis=at[0])


def index_put(g: Graph, call: Call) -> list[str]:
    """Elements added up where they belong, the rest zero."""
    out, x = call.outs[0], call.ins[0]
    first, last, positions = _gathered(out.shape, call.attrs["index"])
    size = int(np.prod([n for n in out.shape[first:last] if isinstance(n, int)]))
    tail = out.shape[last:]
    flat = (*out.shape[:first], positions.size, *tail)
    updates = reshaped(g, g.name(x), flat)
    column = g.constant(positions.reshape(-1, *(1,) * len(tail)))
    where = g.node("Expand", column, g.shape(flat))
    zeros = g.node("Expand", g.constant(np.zeros((), x.dtype)), g.shape((*out.shape[:first], size, *tail)))
    return [reshaped(g, g.node("ScatterElements", zeros, where, updates, axis=first, reduction="add"), out.shape)]


def gather(g: Graph, call: Call) -> list[str]:
    return [g.node("GatherElements", *map(g.name, call.ins), axis=call.attrs["dim"])]


def flip(g: Graph, call: Call) -> list[str]:
    dims = list(call.attrs["dims"])
    ends = g.ints([-_END] * len(dims))
    return [g.node("Slice", g.name(call.ins[0]), g.ints([-1] * len(dims)), ends, g.ints(dims), g.ints([-1] * len(dims)))]


def cat(g: Graph, call: Call) -> list[str]:
    return [g.node("Concat", *map(g.name, call.ins), axis=call.attrs["dim"])]


def pad(g: Graph, call: Call) -> list[str]:
    before, after = zip(*call.attrs["widths"])
    return [g.node("Pad", g.name(call.ins[0]), g.ints([*before, *after]), g.constant(call.attrs["value"], call.ins[0].dtype))]


def triangle(g: Graph, call: Call) -> list[str]:
    upper = int(call.op.name == "triu")
    return [g.node("Trilu", g.name(call.ins[0]), g.constant(call.attrs["diagonal"], np.int64), upper=upper)]


def embedding(g: Graph, call: Call) -> list[str]:
    return [g.node("Gather", *map(g.name, call.ins), axis=0)]

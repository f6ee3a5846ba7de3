"""The shape of a sample after the spec's transforms, for every image there is, and as what the model takes it."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np

from engine.data.batches import Pipeline
from engine.data.compiled import Draws
from engine.data.features import features
from engine.data.selftarget import with_own_targets
from engine.data.source import Source
from engine.data.views import as_read
from engine.spec import Problem, SpecError, inputs, registry, wants_columns, wants_indices
from engine.spec.builder import blame
from engine.spec.problems import pointer, said
from engine.tensor import Tensor

Shape = tuple[int, ...]
_DRAWS = 4  # of each random transform
_MOST_PIXELS = 1 << 24  # of an image made up for a trial
_MOST_SIZES = 64  # that are tried one by one


class _Misfit(Exception):
    """What is wrong with the transforms on an image of some size."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def sample_shape(source: Source, spec: dict[str, Any]) -> Shape:
    """The shape of one transformed sample, indices where the model takes such. Raises SpecError where transforms and data do not go together."""
    source = source if source.report.masks else as_read(source, spec)  # masks follow what is checked here
    source = with_own_targets(source, spec)
    return as_taken(spec, source, _plain_shape(source, spec))


def as_taken(spec: dict[str, Any], source: Source, shape: Shape) -> Shape:
    """The shape as the model of a spec, or of a variant, takes it: samples are indices where its first layer looks them up."""
    columns = features(source) if wants_columns(spec["model"]) and not spec["data"]["transform"] else None
    return inputs.Shape(shape, source.index_limit if wants_indices(spec["model"]) else None, columns)


def _plain_shape(source: Source, spec: dict[str, Any]) -> Shape:
    transforms = spec["data"]["transform"]
    problems = [p for i, t in enumerate(transforms) for p in _constructed(t, pointer("/data/transform", i))]
    if problems:
        raise SpecError(problems)
    if len(source) < 2:
        raise SpecError([Problem("/data/dataset", "too_small", f"expected at least 2 samples, got {len(source)}", 2, len(source))])
    if not source.is_image and not Pipeline(transforms).only_numbers:
        detail = f"transforms are for images, but the dataset is a {source.report.format} of shape {source.report.shape}"
        raise SpecError([Problem("/data/transform", "does_not_fit", detail)])
    try:
        if source.report.shape:
            return _transformed(source.raw(0), transforms)
        return _of_all(source, transforms)
    except _Misfit as misfit:
        raise SpecError([misfit.problem]) from None


def _constructed(transform: dict[str, Any], at: str) -> list[Problem]:
    kind, arguments = registry.image_transforms()[transform["type"]], {k: v for k, v in transform.items() if k != "type"}
    try:
        kind.make(**arguments)
    except Exception as error:  # its word on the arguments
        return [blame(kind, arguments, error, at)]
    return []


def _tries(transforms: list[dict[str, Any]]) -> list[tuple[Pipeline, Draws | None]]:
    """As in evaluation, as in training, and with everything that may happen happening."""
    plain = Pipeline(transforms)
    certain = Pipeline([{**t, "p": 1.0} if "p" in registry.image_transforms()[t["type"]].defaults else t for t in transforms])
    return [(plain, None), *((pipeline, Draws(0, i << 32)) for pipeline in (plain, certain) for i in range(_DRAWS))]


def _transformed(raw: Tensor, transforms: list[dict[str, Any]]) -> Shape:
    """The shape that one image comes out in, in training and in evaluation. Raises _Misfit unless that is one."""
    shapes: set[Shape] = set()
    for pipeline, draws in _tries(transforms):
        try:
            shapes.add(tuple(pipeline.finish(pipeline.prepare(raw), draws.generator(0) if draws else None).shape))
        except Exception as error:  # whatever it throws would end the job
            raise _Misfit(_blamed(raw, transforms, error)) from None
    if len(shapes) > 1:
        detail = f"random transforms give images of several sizes ({_listed(shapes)}); end with a Resize to [height, width]"
        raise _Misfit(Problem("/data/transform", "does_not_fit", detail))
    return shapes.pop()


def _blamed(raw: Tensor, transforms: list[dict[str, Any]], error: Exception) -> Problem:
    """The error at the first transform that has it."""
    size = "x".join(map(str, raw.shape[1:]))
    for n, transform in enumerate(transforms):
        try:
            for pipeline, draws in _tries(transforms[: n + 1]):
                pipeline.finish(pipeline.prepare(raw), draws.generator(0) if draws else None)
        except Exception as found:  # the same, or what came of it
            detail = f"{transform['type']} does not fit images of {size}: {said(found)}"
            return Problem(pointer("/data/transform", n), "does_not_fit", detail, None, list(raw.shape[1:]))
    return Problem("/data/transform", "does_not_fit", f"the transforms do not fit images of {size}: {said(error)}")


def _listed(shapes: set[Shape]) -> str:
    return ", ".join("x".join(map(str, s)) for s in sorted(shapes)[:4])


def _of_all(source: Source, transforms: list[dict[str, Any]]) -> Shape:
    """The one shape of images of several sizes.

    Transforms that take the smallest and the largest sizes to one shape, in whatever combination, do so for all between them; where they do not,
    the sizes that there are decide.
    """
    channels = source.raw(0).shape[0]
    with contextlib.suppress(_Misfit):
        return _one_shape(channels, _corners(source), transforms)
    return _one_shape(channels, _telling(source.image_sizes), transforms)


def _corners(source: Source) -> list[tuple[int, int]]:
    """The smallest and the largest heights with the smallest and the largest widths. Raises _Misfit where they are too large to try."""
    sizes = source.report.sizes
    if sizes is None:
        found = np.array(source.image_sizes)
        sizes = {"min": found.min(0).tolist(), "max": found.max(0).tolist()}
    (h0, w0), (h1, w1) = sizes["min"], sizes["max"]
    if h1 * w1 > _MOST_PIXELS:
        raise _Misfit(Problem("/data/transform", "too_large", f"images of {h1}x{w1}"))
    return list(itertools.product(dict.fromkeys((h0, h1)), dict.fromkeys((w0, w1))))


def _telling(sizes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those with an extreme height, width, area or ratio, and some others."""
    if len(sizes) <= _MOST_SIZES:
        return sizes
    orders = [lambda s: s[0], lambda s: s[1], lambda s: s[0] * s[1], lambda s: s[0] / s[1]]
    extremes = [pick(sizes, key=order) for order in orders for pick in (min, max)]
    return list(dict.fromkeys([*extremes, *sizes[:: -(-len(sizes) // _MOST_SIZES)]]))


def _one_shape(channels: int, sizes: list[tuple[int, int]], transforms: list[dict[str, Any]]) -> Shape:
    shapes: dict[Shape, tuple[int, int]] = {}
    for height, width in sizes:
        shape = _transformed(Tensor._wrap(np.zeros((channels, height, width), np.uint8)), transforms)
        shapes.setdefault(shape, (height, width))
        if len(shapes) > 1:
            detail = f"the images have several sizes ({_listed(set(shapes))}); add a Resize to [height, width]"
            raise _Misfit(Problem("/data/transform", "does_not_fit", detail, "one size", [list(s) for s in shapes]))
    return next(iter(shapes))


__all__ = ["sample_shape"]

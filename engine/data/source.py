"""A prepared dataset as training reads it: samples by index, whole batches at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.ingest import Report
from engine.spec.problems import Problem, SpecError
from engine.tensor import Tensor
from engine.vision import transforms
from engine.vision.io import read_pil, to_array

RANDOM = (transforms.RandomCrop, transforms.RandomHorizontalFlip, transforms.RandomVerticalFlip)


class Source:
    """The samples of a prepared dataset folder."""

    def __init__(self, folder: Path) -> None:
        self.report = Report(**json.loads((folder / "dataset.json").read_text()))
        self.targets: np.ndarray[Any, Any] = np.load(folder / "y.npy")
        self.arrays: np.ndarray[Any, Any] | None = None
        if (folder / "x.npy").exists():
            self.arrays = np.load(folder / "x.npy", mmap_mode="r")
        else:
            listed = json.loads((folder / "files.json").read_text())
            self._mode, self._files = listed["mode"], [folder / "files" / n for n in listed["names"]]

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def is_image(self) -> bool:
        return self.report.format == "imagefolder"

    def raw(self, i: int) -> Tensor:
        """One sample as stored: pixels ``(C, H, W)``, or an array of features."""
        if self.arrays is not None:
            return Tensor._wrap(np.array(self.arrays[i]))
        return Tensor._wrap(to_array(read_pil(self._files[i], self._mode)))

    def batch(self, indices: np.ndarray[Any, Any], pipeline: Pipeline, draw: Callable[[int], Any] | None) -> Tensor:
        """Transformed samples ``(n, *shape)``. ``draw(i)`` is entered around each sample's random transforms; None leaves these out."""
        if self.arrays is not None and not pipeline.steps(draw is not None):
            rows = self.arrays[indices]
            return Tensor._wrap(rows.astype(np.float32) / np.float32(255) if rows.dtype == np.uint8 else rows.astype(np.float32))
        samples = []
        for i in indices:
            if draw is None:
                samples.append(pipeline(self.raw(int(i)), False)._data)
            else:
                with draw(int(i)):
                    samples.append(pipeline(self.raw(int(i)), True)._data)
        return Tensor._wrap(np.stack(samples))


class Pipeline:
    """The transforms of a spec, with ToTensor where pixels become numbers."""

    def __init__(self, spec: list[dict[str, Any]]) -> None:
        made = [getattr(transforms, t["type"])(**{k: v for k, v in t.items() if k != "type"}) for t in spec]
        at = next((i for i, t in enumerate(made) if isinstance(t, transforms.ToTensor | transforms.Normalize)), len(made))
        self.before = made[:at]
        self.after = [t for t in made[at:] if not isinstance(t, transforms.ToTensor)]
        self._scale = transforms.ToTensor()

    def steps(self, training: bool) -> list[Any]:
        """The transforms that run, ToTensor aside."""
        return [t for t in (*self.before, *self.after) if training or not isinstance(t, RANDOM)]

    def __call__(self, sample: Tensor, training: bool) -> Tensor:
        """One sample, transformed. Without ``training`` random crops become central ones and flips are left out."""
        for t in self.before:
            sample = _still(t)(sample) if not training and isinstance(t, RANDOM) else t(sample)
        sample = self._scale(sample)
        for t in self.after:
            sample = _still(t)(sample) if not training and isinstance(t, RANDOM) else t(sample)
        return sample


def _still(t: Any) -> Callable[[Any], Any]:
    """What stands for a random transform when nothing may be random."""
    return transforms.CenterCrop(t.size) if isinstance(t, transforms.RandomCrop) else lambda image: image


def sample_shape(source: Source, spec: dict[str, Any]) -> tuple[int, ...]:
    """The shape of one transformed sample. Raises SpecError where transforms and data do not go together."""
    try:
        pipeline = Pipeline(spec["data"]["transform"])
    except (ValueError, TypeError) as error:
        raise SpecError([Problem("/data/transform", "invalid", str(error))]) from None
    if pipeline.steps(True) and not source.is_image and any(not isinstance(t, transforms.Normalize) for t in pipeline.steps(True)):
        raise SpecError(
            [
                Problem(
                    "/data/transform",
                    "does_not_fit",
                    f"transforms are for images, but the dataset is a {source.report.format} of shape {source.report.shape}",
                )
            ]
        )
    if len(source) < 2:
        raise SpecError([Problem("/data/dataset", "too_small", f"expected at least 2 samples, got {len(source)}", 2, len(source))])
    try:
        shapes = {tuple(pipeline(source.raw(i), True).shape) for i in ([0] if source.report.shape else range(min(len(source), 64)))}
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise SpecError([Problem("/data/transform", "does_not_fit", f"a transform does not fit the images: {error}")]) from None
    if len(shapes) > 1:
        raise SpecError(
            [
                Problem(
                    "/data/transform",
                    "does_not_fit",
                    f"the images have several sizes ({', '.join('x'.join(map(str, s)) for s in sorted(shapes)[:4])}); add a Resize to [height, width]",
                )
            ]
        )
    return next(iter(shapes))


def open_source(folder: Path) -> Source:
    """A prepared dataset. Raises FileNotFoundError where the folder is none."""
    if not (folder / "dataset.json").exists():
        raise FileNotFoundError(f"{folder} is not a prepared dataset")
    return Source(folder)

"""The process of one side that loads images: an epoch for each line of its input, answered with seconds and the mean of all numbers.

``ours`` is what a job does: the upload is read (in the first epoch), then batches come from the prepared dataset one ahead. ``torch`` is
PyTorch's DataLoader with worker processes over Pillow, with the transforms as torchvision writes them.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks.pictures import SETS, Set, spec
from worker.processes import die_with_parent

BATCH = 64


def ours(s: Set, folder: Path, workers: int) -> Callable[[int], Iterator[Any]]:
    import engine
    from engine.data import ingest, open_source
    from engine.data.batches import Pipeline, ahead
    from engine.data.compiled import Draws

    engine.set_num_threads(workers)
    pipeline, shape = Pipeline(spec(s)), (1 if s.grey else 3, s.side, s.side)

    def epoch(number: int) -> Iterator[Any]:
        if number == 0:
            ingest(folder / "upload.zip", folder / "prepared", "imagefolder")
        source = open_source(folder / "prepared")
        order = np.random.default_rng(number).permutation(len(source))
        draws = Draws(0, number << 32)
        batches = (order[i : i + BATCH] for i in range(0, len(order), BATCH))
        return (x.numpy() for x in ahead(lambda indices: source.batch(indices, pipeline, draws, shape), batches))

    return epoch


def torch(s: Set, folder: Path, workers: int) -> Callable[[int], Iterator[Any]]:
    import torch as lib

    files = sorted((p, int(p.parent.name)) for p in (folder / "files").glob("*/*"))

    class Images(lib.utils.data.Dataset):  # type: ignore[misc]  # whichever library's base it is
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> Any:
            path, label = files[i]
            with Image.open(path) as file:
                image: Any = file.convert("L" if s.grey else "RGB")
            image = ImageOps.expand(image, s.padding, 0)
            top, left = random.randint(0, 2 * s.padding), random.randint(0, 2 * s.padding)
            image = image.crop((left, top, left + s.side, top + s.side))
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pixels = lib.from_numpy(np.array(image, np.uint8, copy=True)).view(s.side, s.side, -1).permute(2, 0, 1).contiguous()
            return pixels.float().div(255).sub_(0.5).div_(0.25), label

    loader = lib.utils.data.DataLoader(Images(), BATCH, shuffle=True, num_workers=workers)
    return lambda number: (x.numpy() for x, _ in loader)


def main() -> None:
    die_with_parent()
    side, name, n, folder, workers = sys.argv[1:]
    s = SETS[name]
    epoch = {"ours": ours, "torch": torch}[side](s, Path(folder), int(workers))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        began, total, count = time.perf_counter(), 0.0, 0
        for x in epoch(int(line)):
            total, count = total + float(x[:, :, ::8, ::8].mean()) * len(x), count + len(x)
        assert count == int(n), f"{count} of {n} images"
        print(json.dumps({"seconds": time.perf_counter() - began, "mean": total / count}), flush=True)


if __name__ == "__main__":
    main()

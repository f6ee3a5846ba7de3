"""Sets of images to load: an ImageFolder of files, and the same as a zip."""

from __future__ import annotations

import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Set:
    """``n`` images of ``side`` pixels, grey or in colour; ``padding`` is the random crop's."""

    id: str
    title: str
    n: int
    side: int
    grey: bool
    form: str
    padding: int


SETS = {
    s.id: s
    for s in (
        Set("D1", "10,000 JPEG, 224x224", 10_000, 224, False, "JPEG", 8),
        Set("D2", "60,000 PNG, 28x28, grey", 60_000, 28, True, "PNG", 2),
    )
}
CLASSES = 10


def _encoded(job: tuple[Set, int]) -> bytes:
    """An image that is smooth, as photographs are, with some noise."""
    s, i = job
    rng = np.random.default_rng(i)
    coarse = rng.integers(0, 256, (max(4, s.side // 16), max(4, s.side // 16), 3), np.uint8)
    image = Image.fromarray(coarse).resize((s.side, s.side), Image.Resampling.BICUBIC)
    noisy = np.clip(np.asarray(image).astype(np.int16) + rng.integers(-6, 7, (s.side, s.side, 3)), 0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(noisy).convert("L" if s.grey else "RGB").save(file, s.form)
    return file.getvalue()


def make(s: Set, folder: Path) -> None:
    """Writes ``folder/files/CLASS/NAME`` and ``folder/upload.zip``."""
    extension = {"JPEG": "jpg", "PNG": "png"}[s.form]
    with ProcessPoolExecutor() as pool, zipfile.ZipFile(folder / "upload.zip", "w", zipfile.ZIP_STORED) as archive:
        for i, data in enumerate(pool.map(_encoded, [(s, i) for i in range(s.n)], chunksize=64)):
            path = folder / "files" / f"{i % CLASSES}" / f"{i:06d}.{extension}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            archive.writestr(f"{i % CLASSES}/{path.name}", data)


def spec(s: Set) -> list[dict[str, Any]]:
    """The transforms of a job on it."""
    return [
        {"type": "RandomCrop", "size": s.side, "padding": s.padding},
        {"type": "RandomHorizontalFlip"},
        {"type": "Normalize", "mean": [0.5] if s.grey else [0.5] * 3, "std": [0.25] if s.grey else [0.25] * 3},
    ]

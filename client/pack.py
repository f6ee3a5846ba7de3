"""A folder of images as one file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from engine.data.images.names import is_clutter


def pack(folder: Path, target: Path) -> Path:
    """Zips what is in a folder, also behind links, with its empty folders, which may be classes; without what systems left there."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in _inside(folder, frozenset({folder.resolve()})):
            archive.write(path, path.relative_to(folder))
    return target


def _inside(folder: Path, around: frozenset[Path]) -> Iterator[Path]:
    """The files and folders in a folder, sorted; a link to a folder that is ``around`` it is not followed."""
    for path in sorted(p for p in folder.iterdir() if not is_clutter(p.name)):
        if path.is_file():
            yield path
        elif path.is_dir() and (real := path.resolve()) not in around:
            yield path
            yield from _inside(path, around | {real})


__all__ = ["pack"]

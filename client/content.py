"""What users upload, whatever it is in their program, as the bytes of one file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import ArrayLike

from client.pack import pack

FORMATS = {
    ".zip": "imagefolder", ".npz": "npz", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text",
}  # fmt: skip


class PandasTable(Protocol):
    """A pandas DataFrame, or what has its method."""

    def to_csv(self, path: Any, /, *, index: bool) -> Any: ...


class PolarsTable(Protocol):
    """A Polars DataFrame, or what has its method."""

    def write_csv(self, path: Any, /) -> Any: ...


Source = str | Path | bytes | Mapping[str, ArrayLike] | Sequence[ArrayLike] | PandasTable | PolarsTable
"""What can be uploaded: the path of a file or of a folder of image folders, a file's bytes, arrays, or a table."""


@dataclass(frozen=True)
class Content:
    """A file to upload; ``format`` is None where the server is to go by the name's ending."""

    name: str
    format: str | None
    size_bytes: int
    open: Callable[[], BinaryIO]


def content(source: Source, name: str | None, format: str | None, folder: Path) -> Content:
    """The file that a source makes, written to ``folder`` where it is none yet. Raises ValueError for what makes none.

    Arrays are ``{"x": x, "y": y}`` or ``(x, y)``, with splits ``{"x_train": .., "y_train": .., "x_val": .., ..}``; the same arrays make the
    same bytes, so that they are the same dataset when they are uploaded again. Of a table the index is left out.
    """
    if isinstance(source, bytes):
        if format is None and Path(name or "").suffix.lower() not in FORMATS:
            raise ValueError(f"bytes do not say what they are: give format=, or a name= that ends in {', '.join(FORMATS)}")
        return Content(name or "upload", format, len(source), lambda: io.BytesIO(source))
    if isinstance(source, str | Path):
        return _of_path(Path(source), name, format, folder)
    if isinstance(source, Mapping):
        return _file(_write_npz(source, folder / "arrays.npz"), name, format or "npz")
    if hasattr(source, "to_csv") or hasattr(source, "write_csv"):
        return _file(_write_csv(source, folder / "table.csv"), name, format or "csv")
    if isinstance(source, Sequence):
        if len(source) != 2:
            raise ValueError(f"expected two arrays, the samples and their targets, got {len(source)}: name more of them, as a dict")
        return _file(_write_npz(dict(zip("xy", source)), folder / "arrays.npz"), name, format or "npz")
    raise ValueError(f"expected a path, bytes, arrays (a dict, or a tuple of two) or a DataFrame, got {type(source).__name__}")


def _of_path(path: Path, name: str | None, format: str | None, folder: Path) -> Content:
    if path.is_dir():
        name = name or f"{path.resolve().name}.zip"
        return _file(pack(path, folder / "folder.zip"), name, format or "imagefolder")
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if not path.is_file():
        raise ValueError(f"{path} is neither a file nor a folder")
    form = format or FORMATS.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"{path}: expected a folder of image folders, or a file that ends in {', '.join(FORMATS)}")
    return _file(path, name, form)


def _file(path: Path, name: str | None, format: str | None) -> Content:
    return Content(name or path.name, format, path.stat().st_size, lambda: path.open("rb"))


def _write_npz(arrays: Mapping[str, ArrayLike], path: Path) -> Path:
    """Like ``numpy.savez``, but without the time of day in the file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(arrays):
            array = np.asanyarray(arrays[name])
            if array.dtype.hasobject:
                raise ValueError(f"array {name}: expected numbers, got an array of Python objects")
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return path


def _write_csv(table: Any, path: Path) -> Path:
    if hasattr(table, "to_csv"):
        table.to_csv(path, index=False)
    else:
        table.write_csv(path)
    return path


__all__ = ["FORMATS", "Content", "Source", "content"]

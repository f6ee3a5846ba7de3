"""What users have a model predict, whatever it is in their program, as samples that a request carries: files as bytes, the rest as JSON has it."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

MAX_SAMPLES = 1_000
MAX_BYTES = 32 << 20
"""Of one request; the server takes twice as many bytes."""

_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}


class Picture(Protocol):
    """An image of Pillow, or what has its attributes."""

    mode: str

    def convert(self, mode: str, /) -> Any: ...
    def save(self, file: Any, /, format: str) -> Any: ...


class PandasRows(Protocol):
    """A pandas DataFrame, or what has its method."""

    def to_dict(self, orient: str) -> Any: ...


class PolarsRows(Protocol):
    """A Polars DataFrame, or what has its method."""

    def to_dicts(self) -> Any: ...


Samples = str | Path | bytes | Picture | Mapping[str, Any] | NDArray[Any] | Sequence[Any] | PandasRows | PolarsRows
"""What can be predicted: one sample or several; see :func:`samples`."""


@dataclass(frozen=True)
class Sample:
    """A sample as it is sent; ``name`` is that of its file, where it comes from one."""

    value: Any
    name: str | None = None

    @property
    def is_file(self) -> bool:
        return isinstance(self.value, bytes)

    @property
    def size_bytes(self) -> int:
        """Raises ValueError for what JSON cannot carry."""
        return len(self.value) if isinstance(self.value, bytes) else len(_json(self.value))


def samples(given: Samples) -> list[Sample]:
    """The samples of a file, of an array ``(N, ..)``, of a table, of a list; or one that is none of these. A ``Sample`` is taken as it is.

    A path stands for its file: an image, a recording, the rows of a ``.csv``, ``.tsv``, ``.json`` or ``.jsonl``, the text of a ``.txt``, the
    files of a ``.zip``, as they are, or of a folder, by their endings. Text that names no file is a sample itself. A list of numbers is one row. Raises ValueError for what
    is none of these; OSError for a file that cannot be read.
    """
    if isinstance(given, Sample):
        return [given]
    if isinstance(given, str) and not _names_file(given):
        return [Sample(given)]
    if isinstance(given, str | Path):
        return list(_of_path(Path(given)))
    if isinstance(given, np.ndarray):
        if given.ndim < 2:
            raise ValueError(f"expected an array (N, ..), got one of shape {given.shape}: array[None] is one sample")
        return [Sample(_plain(x)) for x in given]
    if hasattr(given, "to_dicts"):
        return [Sample(_plain(row)) for row in given.to_dicts()]
    if hasattr(given, "to_dict") and not isinstance(given, Mapping):
        return [Sample(_plain(row)) for row in given.to_dict(orient="records")]
    if isinstance(given, list | tuple) and not (given and all(isinstance(v, int | float | np.number) for v in given)):
        return [sample for one in given for sample in ([_array(one)] if isinstance(one, np.ndarray | list | tuple) else samples(one))]
    return [_one(given)]


def _array(given: Any) -> Sample:
    return Sample(_plain(given))


def _one(given: Any) -> Sample:
    if isinstance(given, bytes):
        return Sample(given)
    if isinstance(given, Mapping | list | tuple):
        return Sample(_plain(given))
    if hasattr(given, "save") and hasattr(given, "mode"):
        return Sample(_png(given))
    raise ValueError(f"expected a path, bytes, an image, a row, an array or several of them, got {type(given).__name__}")


def _names_file(text: str) -> bool:
    try:
        return "\0" not in text and Path(text).exists()
    except OSError:  # it is too long for a name
        return False


def _png(image: Any) -> bytes:
    out = io.BytesIO()
    (image if image.mode in _PNG_MODES else image.convert("RGB")).save(out, format="PNG")
    return out.getvalue()


def _plain(value: Any) -> Any:
    """Without NumPy; a number of a row that is missing is None."""
    if isinstance(value, Mapping):
        row = {str(k): _plain(v) for k, v in value.items()}
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.hasobject:
            raise ValueError("expected numbers, got an array of Python objects")
        return value.tolist()
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the sample cannot be sent as JSON: {error}") from None


# -- files


def _of_path(path: Path) -> Iterator[Sample]:
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        if not files:
            raise ValueError(f"there is no file in {path}")
        for file in files:
            yield from _of_file(file, str(file.relative_to(path)))
    else:
        yield from _of_file(path, str(path))


def _of_file(path: Path, name: str) -> Iterator[Sample]:
    content, kind = path.read_bytes(), path.suffix.lower()
    if kind == ".zip":
        yield from _of_zip(path)
    elif kind in (".csv", ".tsv", ".json", ".jsonl", ".ndjson"):
        yield from (Sample(row) for row in _rows(path, _text(path, content), kind))
    elif kind == ".txt":
        yield Sample(_text(path, content), name)
    else:
        yield Sample(content, name)


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None


def _of_zip(path: Path) -> Iterator[Sample]:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir() and not entry.filename.startswith("__MACOSX/"):
                    yield Sample(archive.read(entry), entry.filename)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def _rows(path: Path, text: str, kind: str) -> list[Any]:
    """The rows of a table, or the samples of a JSON file: a list, ``{"inputs": [..]}``, or one."""
    if kind in (".csv", ".tsv"):
        return list(csv.DictReader(io.StringIO(text), delimiter="\t" if kind == ".tsv" else ","))
    try:
        if kind != ".json":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("inputs"), list):
        return list(found["inputs"])
    return found if isinstance(found, list) else [found]


# -- requests


def requests(found: Sequence[Sample], most: int = MAX_SAMPLES, most_bytes: int = MAX_BYTES) -> Iterator[list[Sample]]:
    """The samples in their order, in parts that one request can carry: of one kind, and not too large."""
    part: list[Sample] = []
    size = 0
    for sample in found:
        n = sample.size_bytes
        if part and (len(part) == most or size + n > most_bytes or sample.is_file != part[0].is_file):
            yield part
            part, size = [], 0
        part.append(sample)
        size += n
    if part:
        yield part


__all__ = ["MAX_SAMPLES", "Sample", "Samples", "requests", "samples"]

"""The documents of a dataset on disk: their UTF-8 one after the other, and where each ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

_CONTENT, _ENDS = "texts.bin", "texts.npy"


class DocumentWriter:
    """Writes documents into the folder ``work``, as a context."""

    def __init__(self, work: Path) -> None:
        self._work, self._ends = work, [0]

    def __enter__(self) -> DocumentWriter:
        self._file = (self._work / _CONTENT).open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        np.save(self._work / _ENDS, np.array(self._ends, np.int64))

    def add(self, text: str) -> None:
        data = text.encode("utf-8", "replace")  # half a character, which JSON can hold, becomes "?"
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))


class Documents:
    """The documents in a dataset's folder, by number. Raises FileNotFoundError where there are none."""

    def __init__(self, folder: Path) -> None:
        self._ends = np.load(folder / _ENDS)
        self._content = np.memmap(folder / _CONTENT, np.uint8, "r") if self._ends[-1] else np.empty(0, np.uint8)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, i: int) -> str:
        if not 0 <= i < len(self):
            raise IndexError(i)
        return bytes(self._content[self._ends[i] : self._ends[i + 1]]).decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    @staticmethod
    def are_in(folder: Path) -> bool:
        return (folder / _ENDS).exists()

"""Folders and lists of images as datasets (``torchvision.datasets``)."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.utils.data import Dataset
from engine.vision.io import EXTENSIONS, read_fast

IMG_EXTENSIONS = EXTENSIONS


def default_loader(path: str) -> Any:
    return read_fast(path)


def find_classes(directory: str | Path) -> tuple[list[str], dict[str, int]]:
    """The names of the folders inside, sorted, and their numbers. Raises FileNotFoundError where there are none."""
    classes = sorted(entry.name for entry in Path(directory).iterdir() if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory: str | Path,
    class_to_idx: dict[str, int],
    extensions: tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
) -> list[tuple[str, int]]:
    """Each file below a class's folder with the class's number, sorted. Raises FileNotFoundError for a class without files."""
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("Both extensions and is_valid_file cannot be None or not None at the same time")
    valid = is_valid_file or (lambda path: path.lower().endswith(extensions or ()))
    samples, empty = [], []
    for name, number in sorted(class_to_idx.items()):
        files = sorted(str(p) for p in (Path(directory) / name).rglob("*") if p.is_file() and valid(str(p)))
        samples += [(path, number) for path in files]
        if not files:
            empty.append(name)
    if empty:
        supported = f" Supported extensions are: {', '.join(extensions)}" if extensions else ""
        raise FileNotFoundError(f"Found no valid file for the classes {', '.join(empty)}.{supported}")
    return samples


class DatasetFolder(Dataset):
    """Files in ``root/class/...`` and their classes: ``loader(path)``, transformed, and the class's number."""

    def __init__(
        self, root: str | Path, loader: Callable[[str], Any], extensions: tuple[str, ...] | None = None, transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None, is_valid_file: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        self.root, self.loader, self.transform, self.target_transform = str(root), loader, transform, target_transform
        self.classes, self.class_to_idx = find_classes(root)
        self.samples = make_dataset(root, self.class_to_idx, extensions if is_valid_file is None else None, is_valid_file)
        self.targets = [number for _, number in self.samples]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample: Any = self.loader(path)
        sample = sample if self.transform is None else self.transform(sample)
        return sample, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images in ``root/class/...``, as RGB Pillow images unless ``loader`` says otherwise."""

    def __init__(
        self, root: str | Path, transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader, is_valid_file: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(root, loader, IMG_EXTENSIONS, transform, target_transform, is_valid_file)
        self.imgs = self.samples


class ImageList(Dataset):
    """Images named by an index file: lines of ``path label``, or a CSV with a header ``path,label``.

    Relative paths resolve against the index file; labels are integers, or names, which are numbered in sorted order. Raises ValueError naming
    the number of every line that is wrong, FileNotFoundError for an index that does not exist.
    """

    def __init__(
        self, index: str | Path, transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
    ) -> None:  # fmt: skip
        self.index, self.loader, self.transform, self.target_transform = Path(index), loader, transform, target_transform
        entries = _read_index(self.index)
        names = [label for _, label in entries]
        numbers = all(_is_integer(label) for label in names)
        self.classes = sorted(set(names), key=int if numbers else str)
        self.class_to_idx = {name: int(name) if numbers else i for i, name in enumerate(self.classes)}
        self.samples = [(path, self.class_to_idx[label]) for path, label in entries]
        self.imgs, self.targets = self.samples, [number for _, number in self.samples]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample: Any = self.loader(path)
        sample = sample if self.transform is None else self.transform(sample)
        return sample, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        return len(self.samples)


def _is_integer(text: str) -> bool:
    return text.lstrip("+-").isdigit()


def _read_index(index: Path) -> list[tuple[str, str]]:
    """(path, label) of every line; all lines that are wrong in one error."""
    with index.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file)) if index.suffix.lower() == ".csv" else [line.strip().rsplit(maxsplit=1) for line in file]
    first = 1
    if index.suffix.lower() == ".csv" and rows and [c.strip().lower() for c in rows[0]][:2] == ["path", "label"]:
        rows, first = rows[1:], 2
    entries, wrong = [], []
    for number, row in enumerate(rows, first):
        parts = [part.strip() for part in row]
        if not any(parts) or parts[0].startswith("#"):
            continue
        if len(parts) != 2 or not all(parts):
            wrong.append(f"line {number}: expected a path and a label, got {' '.join(parts)!r}")
            continue
        path = index.parent / parts[0]
        if not path.is_file():
            wrong.append(f"line {number}: there is no file {path}")
        else:
            entries.append((str(path), parts[1]))
    if wrong:
        more = f"\n  and {len(wrong) - 20} more" if len(wrong) > 20 else ""
        raise ValueError(f"{index}: {len(wrong)} bad line(s)\n  " + "\n  ".join(wrong[:20]) + more)
    if not entries:
        raise ValueError(f"{index}: names no images")
    return entries

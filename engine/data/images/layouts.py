"""How an archive of images says what each image is: by folders, with or without splits, or by a list of files and labels.

Archives of other files, texts or recordings, say it in the same ways: ``Medium`` is what they are of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from engine.data.images.archive import BadArchive, Contents, Entry
from engine.data.images.lists import Listing, candidates, read_lists
from engine.vision.decode import SUFFIXES

_DOCUMENTS = (".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".pdf", ".py", ".ipynb", ".log", ".mat")
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "testing": "test"}


@dataclass(frozen=True)
class Medium:
    """What an archive holds: files with one of these ``suffixes``, each called a ``noun``, such as ``example``."""

    noun: str
    suffixes: tuple[str, ...]
    example: str

    @property
    def a(self) -> str:
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

    def includes(self, entry: Entry) -> bool:
        return entry.parts[-1].lower().endswith(self.suffixes)

    @property
    def not_one(self) -> str:
        return f"not {self.a} by its extension ({', '.join(self.suffixes)})"

    @property
    def no_classes(self) -> str:
        return f"no classes: expected {self.noun}s at CLASS/{self.example}, one folder a class, or beside a file of names and labels"

    def expected(self, layout: str) -> str:
        """What a layout looks like."""
        return {
            "class_folders": f"{self.noun}s at CLASS/{self.example}",
            "split_folders": f"{self.noun}s at SPLIT/CLASS/{self.example} or CLASS/SPLIT/{self.example}, with folders train and val or test",
            "labels_file": f"{self.noun}s and a table of file names and labels, such as labels.csv",
            "index_file": f"{self.noun}s and a text file with lines of a path and a label",
        }[layout]


IMAGES = Medium("image", SUFFIXES, "NAME.png")


@dataclass(frozen=True, slots=True)
class Sample:
    """An image of an archive, what its folder or its line in a list says it is, and its split if the archive has splits."""

    entry: Entry
    label: str
    split: str | None = None


@dataclass
class Layout:
    """What was recognised. ``classes`` are all that there are names for, also those without an image; ``skipped`` files with the reason."""

    name: str
    samples: list[Sample]
    target: dict[str, str]
    classes: set[str] = field(default_factory=set)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def recognise(
    contents: Contents, wanted: str | None, target: str | None, read: Callable[[Entry], bytes], medium: Medium = IMAGES
) -> Layout:
    """The layout of an archive: the one ``wanted``, else the first that fits. Raises BadArchive where none does.

    Splits are recognised before classes, so that folders train and test are not taken for two classes; class folders before lists. ``target`` names
    the column of a list to predict, ``read`` gives a file's content.
    """
    found = _Archive(contents, target, read, medium)
    if not found.images:
        raise BadArchive(medium.no_classes, found.skipped + found.unread_lists())
    for name in _READ if wanted is None else (wanted,):
        layout = _READ[name](found, wanted is not None)
        if layout is not None:
            layout.skipped = found.skipped + found.unread_lists() + layout.skipped
            return layout
    skipped = found.skipped + found.unread_lists()
    if wanted is not None:
        raise BadArchive(f"the archive is not laid out as {wanted}: expected {medium.expected(wanted)}", skipped)
    if names := ", ".join(found.called_splits):
        lacking = (
            f"are no class folders with {medium.noun}s in them and no list of labels" if found.splits else "is no training split among them"
        )
        raise BadArchive(f"the folders {names} are splits, but there {lacking}; give layout=class_folders if they are classes", skipped)
    raise BadArchive(medium.no_classes, skipped + [(e.name, "not inside a class folder") for e in found.images])


class _Archive:
    """The images of an archive, below the folders that surround all of them, and the other files."""

    def __init__(self, contents: Contents, target: str | None, read: Callable[[Entry], bytes], medium: Medium) -> None:
        self._target, self._read, self.medium = target, read, medium
        self.images = [e for e in contents.files if medium.includes(e)]
        others = [e for e in contents.files if not medium.includes(e)]
        self.lists = candidates(others)
        lists = {e.name for e in self.lists}
        self.skipped = [(e.name, medium.not_one) for e in others if e.name not in lists]
        self.used_lists: set[str] = set()
        self.root = _depth([e.parts for e in self.images]) if self.images else 0
        around = self.images[0].parts[: self.root] if self.images else ()
        documents = [e for e in others if e.parts[-1].lower().endswith(_DOCUMENTS)]
        papers = _folders_of(documents) - _folders_of(contents.files, {e.name for e in documents})
        self.folders = [f[self.root :] for f in contents.folders - papers if f[: self.root] == around and len(f) > self.root]

    def inner(self, entry: Entry) -> tuple[str, ...]:
        return entry.parts[self.root :]

    @cached_property
    def top(self) -> set[str]:
        """The folders at the top that hold images."""
        return {self.inner(e)[0] for e in self.images if len(self.inner(e)) > 1}

    @cached_property
    def called_splits(self) -> dict[str, str]:
        """The folders at the top with names of several splits."""
        return splits_of({name for name in self.top if _split_of(name)})

    @cached_property
    def splits(self) -> dict[str, str]:
        """The split of each folder at the top that is one, where training is among them.

        Other folders beside them (predictions, say) leave no doubt only if training and another split have a folder in common.
        """
        splits = self.called_splits if "train" in self.called_splits.values() else {}
        if splits.keys() == self.top:
            return splits
        inside: dict[str, set[str]] = {name: set() for name in splits.values()}
        for path in map(self.inner, self.images):
            if len(path) > 2 and path[0] in splits:
                inside[splits[path[0]]].update(path[1:-1])
        return splits if splits and any(inside["train"] & inside[s] for s in inside if s != "train") else {}

    @cached_property
    def listed(self) -> Layout | None:
        """The images as lists of names and labels have them; None where no list names an image."""
        found = read_lists(self.lists, self.images, self._target, self._read, self.medium.suffixes)
        if found is None:
            return None
        self.used_lists = found.used
        return _of_listing(self, found)

    def unread_lists(self) -> list[tuple[str, str]]:
        return [(e.name, self.medium.not_one) for e in self.lists if e.name not in self.used_lists]


def _folders_of(entries: list[Entry], without: Collection[str] = ()) -> set[tuple[str, ...]]:
    return {e.parts[:n] for e in entries if e.name not in without for n in range(1, len(e.parts))}


def _depth(paths: list[tuple[str, ...]]) -> int:
    """How many folders surround all classes: those that every path shares, as long as two levels stay below."""
    depth = 0
    while all(len(p) > depth + 2 for p in paths) and len({p[depth] for p in paths}) == 1:
        depth += 1
    return depth


def _split_of(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The split that a name means, and what else is in the name: ``seg_train`` is train and "seg"; None for other names."""
    words = re.findall(r"[^\W\d_]+|\d+", name.casefold())
    known = [w for w in words if w in _SPLITS]
    return (_SPLITS[known[0]], tuple(w for w in words if w not in _SPLITS)) if len(known) == 1 else None


def splits_of(names: Iterable[str]) -> dict[str, str]:
    """The split of each name; empty unless all mean one and differ in nothing else, and they mean several."""
    found = {name: _split_of(name) for name in sorted(names)}
    meant = {name: f[0] for name, f in found.items() if f}
    alike = len({f[1] for f in found.values() if f}) == 1
    return meant if len(meant) == len(found) and alike and len(set(meant.values())) > 1 else {}


# -- folders

_BY_FOLDER = {"name": "class", "chosen": "the name of the folder"}
Places = Callable[[tuple[str, ...]], tuple[str | None, str | None]]
"""The split and the class of a folder."""


def _class_folders(found: _Archive, forced: bool) -> Layout | None:
    doubtful = found.called_splits
    if not found.top or (not forced and (found.splits or doubtful.keys() == found.top or _list_decides(found))):
        return None
    layout = Layout("class_folders", [], _BY_FOLDER, {f[0] for f in found.folders})
    for entry in found.images:
        inner = found.inner(entry)
        if len(inner) > 1:
            layout.samples.append(Sample(entry, inner[0]))
        else:
            layout.skipped.append((entry.name, "not inside a class folder"))
    if doubtful and not forced:
        layout.warnings.append(f"the folders {', '.join(doubtful)} are taken for classes, since others stand beside them; are they splits?")
    return _mention_lists(found, layout)


def _list_decides(found: _Archive) -> bool:
    """Whether a list says more than the folders: there is one folder only, or the list has a column of labels, other than the folders, for most images."""
    listed = found.listed
    if listed is None or len(found.top) == 1:
        return listed is not None
    by_name = listed.target["chosen"] == "by its name" and len(listed.samples) > 0.9 * len(found.images)
    return by_name and any(s.label != found.inner(s.entry)[0] for s in listed.samples)


def _split_folders(found: _Archive, forced: bool) -> Layout | None:
    places = _split_then_class(found) or _class_then_split(found)
    if places is None:
        return None
    layout = Layout("split_folders", [], _BY_FOLDER, {name for f in found.folders if (name := places(f)[1])})
    for entry in found.images:
        split, name = places(found.inner(entry)[:-1])
        if split and name:
            layout.samples.append(Sample(entry, name, split))
        else:
            layout.skipped.append((entry.name, "not inside a split folder and a class folder"))
    return _mention_lists(found, layout) if layout.samples else None


def _split_then_class(found: _Archive) -> Places | None:
    splits = found.splits
    below = [p[1:-1] for e in found.images if (p := found.inner(e))[0] in splits and len(p) > 2]
    if not below:
        return None
    # around the classes of a split may be a folder of one name in all (train/images/cat), or the split's once more (train/train/cat)
    twice = all(len(f) > 1 and _split_of(f[0]) for f in below)
    depth = 1 + (1 if twice else _depth([(*f, "") for f in below]))

    def places(folder: tuple[str, ...]) -> tuple[str | None, str | None]:
        split = splits.get(folder[0]) if folder else None
        return split, folder[depth] if split and len(folder) > depth else None

    return places


def _class_then_split(found: _Archive) -> Places | None:
    inner = [found.inner(e) for e in found.images]
    splits = splits_of({p[1] for p in inner if len(p) > 2})
    if "train" not in splits.values() or any(len(p) < 3 for p in inner):
        return None

    def places(folder: tuple[str, ...]) -> tuple[str | None, str | None]:
        return splits.get(folder[1]) if len(folder) > 1 else None, folder[0] if folder else None

    return places


# -- lists


def _of_listing(found: _Archive, listing: Listing) -> Layout:
    """Splits are those of a column, of the lists' own names (train.csv, test.csv), or of the folders."""
    by_list = splits_of({_stem(row.source) for row in listing.rows})
    by_column = {row.split: s[0] for row in listing.rows if row.split and (s := _split_of(row.split))}
    samples = []
    for row in listing.rows:
        split = by_column.get(row.split or "") or by_list.get(_stem(row.source)) or found.splits.get(found.inner(row.entry)[0])
        samples.append(Sample(row.entry, row.label, split))
    means = {s.split for s in samples if s.split}
    with_splits = len(means) > 1 and "train" in means
    listed = {s.entry.name for s in samples} | listing.refused_images
    names = ", ".join(sorted(listing.used))
    skipped = listing.refused + [(e.name, f"not listed in {names}") for e in found.images if e.name not in listed]
    skipped += [(s.entry.name, "in no split, although others are") for s in samples if with_splits and not s.split]
    kind = "labels_file" if listing.is_table else "index_file"
    used = [s if with_splits else Sample(s.entry, s.label) for s in samples if s.split or not with_splits]
    return Layout(kind, sorted(used, key=lambda s: s.entry.name), listing.target, skipped=skipped)


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def _labels_file(found: _Archive, forced: bool) -> Layout | None:
    return found.listed if found.listed and found.listed.name == "labels_file" else None


def _index_file(found: _Archive, forced: bool) -> Layout | None:
    return found.listed if found.listed and found.listed.name == "index_file" else None


def _mention_lists(found: _Archive, layout: Layout) -> Layout:
    """Says that a list of images was not read."""
    if found.listed:
        layout.skipped += [
            (name, f"not read, since the folders say the class; layout={found.listed.name} reads it") for name in sorted(found.used_lists)
        ]
    return layout


_READ = {"split_folders": _split_folders, "class_folders": _class_folders, "labels_file": _labels_file, "index_file": _index_file}
LAYOUTS = tuple(_READ)

"""Reading a zip from a stranger: every entry is looked at before any is unpacked."""

from __future__ import annotations

import re
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.vision.io import EXTENSIONS

MAX_ENTRIES = 2_000_000
MAX_FILE_BYTES = 64 << 20
MAX_TOTAL_BYTES = 64 << 30
MAX_RATIO = 200
_CONTROL = re.compile(r"[\x00-\x1f]")
_CLUTTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Member:
    """An image in the archive, and the class that its folder says."""

    info: zipfile.ZipInfo
    class_name: str
    path: str


class BadArchive(ValueError):
    """An archive that is refused; ``files`` are (name, reason) of the entries at fault."""

    def __init__(self, reason: str, files: list[tuple[str, str]] | None = None) -> None:
        super().__init__(reason)
        self.files = files or []


def _fault(info: zipfile.ZipInfo, path: PurePosixPath, seen: set[str]) -> str | None:
    """Why an entry may not be unpacked."""
    name = info.orig_filename
    if name != info.filename or "\\" in name:
        path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name.split("/")[0] or "\x00" in name:
        return "unsafe path"
    if _CONTROL.search(name) or (len(name.encode()) > 255 and max((len(p.encode()) for p in path.parts), default=0) > 255):
        return "name with control characters or longer than 255 bytes"
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "symbolic link or special file"
    if info.flag_bits & 1:
        return "encrypted"
    if str(path) in seen and not info.is_dir():
        return "duplicate name"
    if info.file_size > MAX_FILE_BYTES:
        return f"unpacks to {info.file_size} bytes, more than the {MAX_FILE_BYTES} allowed for a file"
    if info.file_size > 1 << 20 and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"compressed {info.file_size // max(1, info.compress_size)} to 1, more than the {MAX_RATIO} to 1 allowed"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed by a method other than stored and deflate"
    return None


def inspect(archive: zipfile.ZipFile) -> tuple[list[Member], list[tuple[str, str]]]:
    """The images of an ImageFolder zip, sorted, and the entries passed over with the reason.

    One folder around all classes is allowed. Raises BadArchive for an archive that must not be unpacked, or that has no classes.
    """
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise BadArchive(f"the archive has {len(infos)} entries, more than the {MAX_ENTRIES} allowed")
    faults: list[tuple[str, str]] = []
    seen: set[str] = set()
    every = {info.filename: PurePosixPath(info.filename) for info in infos}
    for info in infos:
        path = every[info.filename]
        fault = _fault(info, path, seen)
        if fault:
            faults.append((info.orig_filename, fault))
        seen.add(str(path))
    if faults:
        raise BadArchive(
            f"the archive has {len(faults)} unsafe entr{'y' if len(faults) == 1 else 'ies'}, so nothing of it was unpacked", faults
        )
    total = sum(i.file_size for i in infos)
    if total > MAX_TOTAL_BYTES or total > MAX_RATIO * max(1 << 20, Path(str(archive.filename)).stat().st_size):  # entries may overlap
        raise BadArchive(f"the archive would unpack to {total} bytes: too many, or too many for its size")
    paths = {
        i.filename: path
        for i, path in zip(infos, every.values(), strict=True)
        if not i.is_dir() and not any(p in _CLUTTER or p.startswith("._") for p in path.parts)
    }
    root = _common_root([p for p in paths.values() if p.suffix.lower() in EXTENSIONS])
    members, skipped = [], []
    for info in infos:
        if info.filename not in paths:
            continue
        path = paths[info.filename]
        inner = path.parts[root:]
        if len(inner) < 2:
            skipped.append((info.filename, "not inside a class folder"))
        elif path.suffix.lower() not in EXTENSIONS:
            skipped.append((info.filename, f"not an image by its extension ({', '.join(EXTENSIONS)})"))
        else:
            members.append(Member(info, inner[0], "/".join(inner)))
    if not members:
        raise BadArchive("no classes: expected images at CLASS/NAME.png, one folder a class", skipped)
    return sorted(members, key=lambda m: m.path), skipped


def _common_root(paths: list[PurePosixPath]) -> int:
    """How many folders surround all classes: those that every path shares, as long as two levels stay below."""
    depth = 0
    while paths and all(len(p.parts) > depth + 2 for p in paths) and len({p.parts[depth] for p in paths}) == 1:
        depth += 1
    return depth


def open_archive(path: Path) -> zipfile.ZipFile:
    """Raises BadArchive for a file that is not a zip."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BadArchive(f"not a zip file: {error}") from None

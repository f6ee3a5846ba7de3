"""Reading a zip from a stranger: every entry is looked at before any is unpacked."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from engine.data.images.names import decoded_names, is_clutter, split_path

MAX_ENTRIES = 2_000_000
MAX_FILE_BYTES = 64 << 20
MAX_TOTAL_BYTES = 64 << 30
MAX_RATIO = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_OTHER_KINDS = {b"\x1f\x8b": "gzip", b"Rar!": "RAR", b"7z\xbc\xaf": "7-Zip", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive; ``parts`` are its folders and its own name, ``name`` the two joined by slashes."""

    info: zipfile.ZipInfo
    parts: tuple[str, ...]
    name: str


@dataclass
class Contents:
    """What is in an archive: its files, every folder (also an empty one), and what its owner should know of the names."""

    files: list[Entry] = field(default_factory=list)
    folders: set[tuple[str, ...]] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


class BadArchive(ValueError):
    """An archive that is refused; ``files`` are (name, reason) of the entries at fault."""

    def __init__(self, reason: str, files: list[tuple[str, str]] | None = None) -> None:
        super().__init__(reason)
        self.files = files or []


def _fault(info: zipfile.ZipInfo, name: str, parts: tuple[str, ...], seen: set[tuple[str, ...]]) -> str | None:
    """Why an entry may not be unpacked."""
    if name.startswith(("/", "\\")) or ".." in parts or _DRIVE.match(name) or "\x00" in name:
        return "unsafe path"
    if _CONTROL.search(name) or (len(name) > 63 and max(len(p.encode()) for p in parts) > 255):
        return "name with control characters or longer than 255 bytes"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "symbolic link or special file"
    if info.flag_bits & 1:
        return "encrypted"
    if parts in seen and not _is_folder(info, name):
        return "duplicate name"
    if info.file_size > MAX_FILE_BYTES:
        return f"unpacks to {info.file_size} bytes, more than the {MAX_FILE_BYTES} allowed for a file"
    if info.file_size > 1 << 20 and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"compressed {info.file_size // max(1, info.compress_size)} to 1, more than the {MAX_RATIO} to 1 allowed"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed by a method other than stored and deflate"
    return None


def _is_folder(info: zipfile.ZipInfo, name: str) -> bool:
    return name.endswith(("/", "\\"))


def inspect(archive: zipfile.ZipFile) -> Contents:
    """The files and folders of an archive, without what systems left in it. Raises BadArchive for one that must not be unpacked."""
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise BadArchive(f"the archive has {len(infos)} entries, more than the {MAX_ENTRIES} allowed")
    names, page = decoded_names(infos)
    contents, faults, clutter = Contents(), [], set()
    seen: set[tuple[str, ...]] = set()
    for info, name in zip(infos, names, strict=True):
        parts = split_path(name)
        left = next((p for p in parts if is_clutter(p)), None)
        fault = None if left == "Icon\r" else _fault(info, name, parts, seen)  # the icon of a folder, by macOS
        seen.add(parts)
        if fault:
            faults.append((name, fault))
        elif left:
            clutter.add(left)
        else:
            is_folder = _is_folder(info, name)
            contents.folders.update(parts[:n] for n in range(1, len(parts) + is_folder))
            if not is_folder:
                contents.files.append(Entry(info, parts, "/".join(parts)))
    _check(archive, infos, faults)
    contents.files.sort(key=lambda e: e.name)
    if page:
        contents.notes.append(f"names that are not UTF-8 were read in code page {page}; if they look wrong, zip the files with UTF-8 names")
    if clutter:
        contents.notes.append(f"hidden and generated files were passed over: {', '.join(sorted(clutter)[:5])}")
    return contents


def _check(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], faults: list[tuple[str, str]]) -> None:
    if faults:
        raise BadArchive(
            f"the archive has {len(faults)} unsafe entr{'y' if len(faults) == 1 else 'ies'}, so nothing of it was unpacked", faults
        )
    total = sum(i.file_size for i in infos)
    if total > MAX_TOTAL_BYTES or total > MAX_RATIO * max(1 << 20, Path(str(archive.filename)).stat().st_size):  # entries may overlap
        raise BadArchive(f"the archive would unpack to {total} bytes: too many, or too many for its size")


def open_archive(path: Path) -> zipfile.ZipFile:
    """Raises BadArchive for a file that is not a zip."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, EOFError) as error:
        with path.open("rb") as file:
            start = file.read(8)
        other = next((kind for magic, kind in _OTHER_KINDS.items() if start.startswith(magic)), None)
        raise BadArchive(f"not a zip file: {f'it is a {other} archive' if other else error}") from None

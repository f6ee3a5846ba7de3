"""Names in zip archives: their code page, their separators, and what systems leave beside pictures."""

from __future__ import annotations

import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence

_CLUTTER = frozenset(
    name.casefold()
    for name in (
        "__MACOSX", "__pycache__", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r", "lost+found", "System Volume Information",
        "$RECYCLE.BIN", "RECYCLER", "@eaDir", "@Recycle", "@Recently-Snapshot", "@__thumb", "#recycle", "#snapshot", "Network Trash Folder", "Temporary Items",
    )
)  # fmt: skip


def is_clutter(part: str) -> bool:
    """Whether a file or folder of this name is hidden, or made by a system for itself, as thumbnails and trash are."""
    return part.startswith((".", "~$")) or part.casefold() in _CLUTTER


def split_path(name: str) -> tuple[str, ...]:
    """The folders and the file of a name whose separators are slashes or, as Windows writes them, backslashes; accents in one code point."""
    return tuple(p for p in unicodedata.normalize("NFC", name.replace("\\", "/")).split("/") if p not in ("", "."))


# -- code pages

_UTF8 = 0x800  # flag of an entry whose name is UTF-8
_UNICODE_PATH = 0x7075  # extra field of Info-ZIP: version, CRC-32 of the name as it stands in the entry, the name in UTF-8
_COMMON = {
    "cp850": rb"(?<![\x80-\xff])[\x80-\xa5](?![\x80-\xff])",
    "cp1252": rb"(?<![\x80-\xff])[\xc0-\xff](?![\x80-\xff])",
    "gbk": rb"[\xb0-\xd7][\xa1-\xfe]",
    "big5": rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]",
    "cp932": rb"\x81\x5b|\x82[\x9f-\xf1]|\x83[\x40-\x7e\x80-\x96]|[\x88-\x9f][\x40-\x7e\x80-\xfc]",
    "cp866": rb"[\x80-\xaf\xe0-\xf1]{2,}",
    "cp1251": rb"[\xa8\xb8\xc0-\xff]{2,}",
    "cp949": rb"[\xb0-\xc8][\xa1-\xfe]",
}
"""The bytes of each code page's everyday characters: accented letters among ASCII, the first level of the East Asian standards, Cyrillic words."""
_KOREAN = 6  # different characters, all in the range that Korean and Chinese share, that are no chance in Chinese (0.55 ** 6 = 3%)


def decoded_names(infos: Sequence[zipfile.ZipInfo]) -> tuple[list[str], str | None]:
    """The name of each entry, and the code page that was guessed for those that are neither UTF-8 nor ASCII; None where nothing was guessed."""
    plain = [i.flag_bits & _UTF8 or (i.orig_filename.isascii() and not i.extra) for i in infos]
    raw = [None if p else i.orig_filename.encode("cp437", "replace") for i, p in zip(infos, plain, strict=True)]
    known = [i.orig_filename if r is None else _unicode_path(i, r) for i, r in zip(infos, raw, strict=True)]
    unknown = [r for r, name in zip(raw, known, strict=True) if name is None and r is not None]
    page = _guess(unknown) if unknown else "utf-8"
    names = [r.decode(page, "replace") if n is None and r is not None else n or "" for r, n in zip(raw, known, strict=True)]
    return names, None if page == "utf-8" else page


def _unicode_path(info: zipfile.ZipInfo, raw: bytes) -> str | None:
    """The name in the Unicode-path field, if it belongs to this name."""
    at, extra = 0, info.extra
    while at + 4 <= len(extra):
        field, size = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4 : at + 4 + size]
        if field == _UNICODE_PATH and len(body) > 5 and body[1:5] == struct.pack("<L", zlib.crc32(raw)):
            return body[5:].decode() if _decodes(body[5:], "utf-8") else None
        at += 4 + size
    return None


def _guess(names: list[bytes]) -> str:
    """UTF-8 if all names are; else the code page whose everyday characters cover most of the bytes beyond ASCII, or the zip format's own."""
    parts = {p for name in names for p in re.split(rb"[\\/]", name) if not p.isascii()}
    text = b"/".join(sorted(parts))
    if _decodes(text, "utf-8"):
        return "utf-8"
    share = {page: _covered(text, pattern) for page, pattern in _COMMON.items() if _decodes(text, page)}
    best = max(share, key=lambda page: share[page], default="cp437")
    if best == "gbk" and share.get("cp949") == share["gbk"] and len(set(re.findall(_COMMON["cp949"], text))) >= _KOREAN:
        return "cp949"
    return best if share.get(best, 0) > 0.5 else "cp437"


def _covered(text: bytes, pattern: bytes) -> float:
    def high(piece: bytes) -> int:
        return sum(b > 127 for b in piece)

    return sum(high(m) for m in re.findall(pattern, text)) / high(text)


def _decodes(text: bytes, page: str) -> bool:
    try:
        return bool(text.decode(page))
    except UnicodeDecodeError:
        return False

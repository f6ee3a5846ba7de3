"""Names that people give to jobs and variants: shown to others, and part of file names."""

from __future__ import annotations

import unicodedata

from engine.spec.problems import Problem, shown

MAX_FILE_NAME = 200
"""Bytes of a variant's name, which its model's file is named after."""
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # of letters and emoji


def check_name(name: str, at: str) -> list[Problem]:
    """Refuses characters that a terminal or a page would obey instead of showing them."""
    found = [c for c in name if unicodedata.category(c) in _HIDDEN and c not in _JOINERS]
    if not found:
        return []
    detail = (
        f"expected a name without control characters (tabs, line breaks, escapes, direction marks), got {shown(name)} with {found[0]!a}"
    )
    return [Problem(at, "invalid", detail, "a name without control characters", name)]


def check_file_name(name: str, at: str) -> list[Problem]:
    """Also refuses what cannot be part of a file's name."""
    if "/" in name or "\\" in name:
        return [
            Problem(at, "invalid", f"expected a name without slashes, which files are named after, got {shown(name)}", "no slash", name)
        ]
    size = len(name.encode("utf-8", "replace"))
    if size > MAX_FILE_NAME:
        detail = f"expected a name of at most {MAX_FILE_NAME} bytes, which files are named after, got {size}"
        return [Problem(at, "too_long", detail, MAX_FILE_NAME, size)]
    return check_name(name, at)

"""Text of strangers on a terminal: what others named things is shown, and steers nothing."""

from __future__ import annotations

import sys
import unicodedata

_HIDDEN = (
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
)  # control, format (also those that turn the writing direction), lone surrogates, separators of lines


def printable(text: str) -> str:
    """The text without characters that move the cursor, colour, turn or break lines; each becomes ``\N{REPLACEMENT CHARACTER}``."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _HIDDEN else c for c in text)


def replace_unencodable() -> None:
    """Has characters that the terminal's encoding lacks printed as ``?`` instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

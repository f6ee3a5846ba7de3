"""Makes ``client/sync`` from ``client/aio``, by words: ``python scripts/build_sync.py``; with ``--check`` it only says what is not up to date."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "client"
BY_HAND = {"__init__.py", "runtime.py"}
WORDS = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\ba(close|closing|read|iter_bytes)\b", r"\1"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\bclient\.aio\b", "client.sync"),
)


def synchronous(text: str, source: str) -> str:
    """The module without asyncio."""
    for word, instead in WORDS:
        text = re.sub(word, instead, text)
    return f"# Made from {source} by scripts/build_sync.py: change that, and run it.\n{text}"


def modules() -> dict[Path, str]:
    """The generated modules, and what is to be in them."""
    sources = sorted(p for p in (CLIENT / "aio").glob("*.py") if p.name not in BY_HAND)
    return {CLIENT / "sync" / p.name: synchronous(p.read_text(), f"client/aio/{p.name}") for p in sources}


def outdated() -> list[Path]:
    """The modules that are not what they are to be, and those that nothing makes any more."""
    wanted = modules()
    there = {p for p in (CLIENT / "sync").glob("*.py") if p.name not in BY_HAND}
    return sorted([*(p for p, text in wanted.items() if p not in there or p.read_text() != text), *(there - wanted.keys())])


def main() -> int:
    stale = outdated()
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(CLIENT.parent)} is not up to date: run python scripts/build_sync.py", file=sys.stderr)
        return 1 if stale else 0
    wanted = modules()
    for path in stale:
        path.write_text(wanted[path]) if path in wanted else path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

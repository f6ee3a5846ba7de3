"""The whole reports of many uploads, in JSON files beside the tests: read them before you keep them."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.data import Options, Rejected, ingest


def report_of(content: bytes, target: str | Options | None, folder: Path, form: str) -> dict[str, Any]:
    """What is told of an upload read with a target or other options, without what is empty."""
    upload = folder / "upload"
    upload.write_bytes(content)
    try:
        report = ingest(upload, folder / "dataset", form, options=target if isinstance(target, Options) else Options(target=target))
    except Rejected as error:
        report = error.report
    return {k: v for k, v in report.as_dict().items() if v not in (None, [], {}) and (k, v) != ("refused_count", 0)}


def expected(file: Path) -> dict[str, dict[str, Any]]:
    return json.loads(file.read_text())


def write(cases: Mapping[str, tuple[bytes, Any]], form: str | Callable[[str], str]) -> None:
    """Prints the reports of all cases, a field a line, a column of a table a line."""
    found = {}
    for name, (content, target) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = ",\n".join(
                f"  {json.dumps(k)}: {_spread(k, v)}"
                for k, v in report_of(content, target, Path(folder), form if isinstance(form, str) else form(name)).items()
            )
    sys.stdout.write("{\n" + ",\n".join(f"{json.dumps(name)}: {{\n{fields}\n}}" for name, fields in found.items()) + "\n}\n")


def _spread(key: str, value: Any) -> str:
    return json.dumps(value) if key != "columns" else "[\n    " + ",\n    ".join(map(json.dumps, value)) + "\n  ]"

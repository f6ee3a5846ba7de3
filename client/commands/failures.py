"""What can go wrong, as lines for a person and as a problem for a program. No traceback reaches a user, unless EPOCHLINE_DEBUG asks for it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import asdict

from rich.text import Text

from client.commands.session import Session
from client.errors import ApiError, EpochlineError, Unreachable
from client.excerpt import excerpts
from client.specfile import Located, SpecFileError
from engine.data import Rejected
from engine.spec import SpecError
from engine.train import Diverged
from server.models import Fault, Problem

REFUSED, WRONG_USE, INTERRUPTED = 1, 2, 130
"""Exit codes: refused or failed, used wrongly, interrupted."""
_WIDEST = 160


class Failure(Exception):
    """A command that cannot do what it is asked to do, for a reason that a person understands."""


def report(session: Session, error: Exception) -> None:
    """Tells of an error: on standard error, and with ``--json`` as a problem on standard output."""
    terminal = session.terminal
    terminal.emit(_problem(error))
    terminal.complain(*_lines(error, min(terminal.err.width, _WIDEST)))
    if os.environ.get("EPOCHLINE_DEBUG"):
        terminal.complain(*"".join(traceback.format_exception(error)).splitlines())


def _lines(error: Exception, width: int) -> Sequence[str | Text]:
    if isinstance(error, SpecFileError):
        return list(excerpts(error, width))
    if isinstance(error, SpecError):
        return ["Error: the spec is refused:", *(f"  {p}" for p in error.problems)]
    if isinstance(error, Rejected):
        return [f"Error: the dataset was rejected: {error}", *(f"  {r['file']}: {r['reason']}" for r in error.report.refused[:20])]
    if isinstance(error, Unreachable):
        return [f"Error: {error}", "Is it running? `epochline serve` starts one; --server names another."]
    if isinstance(error, ApiError) and error.status == 401:
        return [f"Error: {error}", "Give a key with --key or EPOCHLINE_KEY."]
    if isinstance(error, OSError) and error.strerror:
        return [f"Error: {error.filename}: {error.strerror}" if error.filename else f"Error: {error.strerror}"]
    if isinstance(error, EpochlineError | Failure | Diverged | TimeoutError | ValueError):
        first, *more = str(error).splitlines() or [type(error).__name__]
        return [f"Error: {first}", *more]
    if isinstance(error, MemoryError):
        return ["Error: there is not enough memory"]
    return [f"Internal error: {type(error).__name__}: {error}", "This is a defect of Epochline; EPOCHLINE_DEBUG=1 shows where it happened."]


def _problem(error: Exception) -> dict[str, object]:
    """The error as the server would answer it; a fault in a file has its ``line`` and ``column``, too."""
    if isinstance(error, ApiError):
        return error.problem.model_dump(mode="json")
    title, status, faults = "Failed", 500, list[dict[str, object]]()
    if isinstance(error, SpecFileError):
        title, status = "Refused", 422
        faults = [{**_fault(f), "line": f.line, "column": f.column} for f in error.faults]
    elif isinstance(error, SpecError):
        title, status, faults = "Refused", 422, [p.as_dict() for p in error.problems]
    elif isinstance(error, Rejected):
        title, status = "Rejected", 422
        faults = [{"pointer": r["file"], "code": "refused", "detail": r["reason"]} for r in error.report.refused]
    elif isinstance(error, Unreachable):
        title, status = "Unreachable", 503
    detail = str(_lines(error, _WIDEST)[0]).removeprefix("Error: ")
    return {**Problem(title=title, status=status, detail=detail).model_dump(mode="json"), "errors": faults}


def _fault(fault: Located) -> dict[str, object]:
    known = {k: v for k, v in asdict(fault).items() if k in Fault.model_fields}
    return {k: v if isinstance(v, str | int | float | bool | list | dict | None) else str(v) for k, v in known.items()}

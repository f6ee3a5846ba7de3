"""What ``--json`` prints where the API has no model for it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class Saved(_Document):
    """Files that were written."""

    job: str | None = None
    path: str
    files: list[str]


class Deleted(_Document):
    """Something that was deleted."""

    id: str
    deleted: Literal[True] = True


class Finding(_Document):
    """One thing that ``epochline doctor`` has looked at."""

    name: str
    status: Literal["ok", "note", "warning", "error"]
    detail: str


class Diagnosis(_Document):
    """All of them; ``ok`` if none is an error."""

    ok: bool
    findings: list[Finding]

"""A request to the API before it is sent, and what becomes of its answer: the part that does no input or output."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from client.errors import ApiError
from server.models import Labels, Problem, Spec

M = TypeVar("M", bound=BaseModel)
Value = str | int | float | list[str] | None
DEFAULT_SERVER = "http://127.0.0.1:8000"
Progress = Callable[[int, int], None]
"""Is told how many bytes are through, and how many there are."""

_BUSY = (429, 502, 503, 504)


@dataclass(frozen=True)
class Upload:
    """A body to send: its size, and how to open it, once for each attempt."""

    size_bytes: int
    open: Callable[[], BinaryIO]
    progress: Progress | None = None


@dataclass(frozen=True)
class Call:
    """A request. Parameters that are None are left out. ``repeatable``: what it does twice is what it does once. ``files`` are sent as a form;
    ``timeout_s`` is in place of the client's."""

    method: str
    path: str
    params: Mapping[str, Value] = field(default_factory=dict)
    json: Spec | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    upload: Upload | None = None
    repeatable: bool = True
    files: Sequence[bytes] = ()
    timeout_s: float | None = None

    @property
    def query(self) -> dict[str, str | int | float | list[str]]:
        """The parameters as they are sent."""
        return {k: v for k, v in self.params.items() if v is not None}


def pairs(labels: Labels | None) -> list[str] | None:
    """Labels as the API's query has them."""
    return [f"{k}={v}" for k, v in labels.items()] if labels else None


def seconds(moment: float | datetime | None) -> float | None:
    """A moment as seconds since 1970; a ``datetime`` without a zone is in local time."""
    return moment.timestamp() if isinstance(moment, datetime) else moment


def address(server: str | None) -> str:
    """The server's address: as given, else of ``EPOCHLINE_SERVER``, else this machine's. Raises ValueError for one that is none."""
    found = (server or os.environ.get("EPOCHLINE_SERVER") or DEFAULT_SERVER).rstrip("/")
    parts = urlsplit(found)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"expected the server's address as http://HOST:PORT or https://HOST, got {found!r}")
    return found


def credentials(key: str | None) -> dict[str, str]:
    """The header that carries the API key: the one given, else that of ``EPOCHLINE_KEY``, where there is one."""
    found = (key or os.environ.get("EPOCHLINE_KEY") or "").strip()
    if not found.isascii() or not (found or "x").isprintable():
        raise ValueError("an API key has only ASCII letters, digits and signs")
    return {"Authorization": f"Bearer {found}"} if found else {}


def retry_after(response: httpx.Response) -> float | None:
    """Seconds after which a refused request may be sent again; None if it is refused for good."""
    if response.status_code not in _BUSY:
        return None
    wanted = response.headers.get("retry-after", "")
    return float(wanted) if wanted.isascii() and wanted.isdecimal() else 0.0


def refusal(response: httpx.Response) -> ApiError:
    """The error that a response stands for; its body has been read."""
    try:
        return ApiError(Problem.model_validate_json(response.content))
    except ValidationError:
        return _unexpected(response, f"the server answered {response.status_code} {response.reason_phrase}")


def parse(kind: type[M], response: httpx.Response) -> M:
    """The model that a response carries. Raises ApiError for one that is something else."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "/".join(map(str, first["loc"]))
        detail = f"the server's answer to {response.request.method} {response.request.url.path} is not what this client understands"
        raise _unexpected(response, f"{detail} ({where}: {first['msg']}): is it an Epochline server of another version?") from None


def _unexpected(response: httpx.Response, detail: str) -> ApiError:
    return ApiError(Problem(title="Unexpected answer", status=response.status_code, detail=detail))


def on_dataset(spec: Spec, dataset_id: str | None) -> Spec:
    """A spec with its dataset replaced, where one is given. Raises ValueError where the spec is no object, or cannot be sent as JSON."""
    if not isinstance(spec, dict):
        raise ValueError(f"expected a spec as a dict, got {type(spec).__name__}")
    if dataset_id is not None:
        data = spec.get("data", {})
        spec = {**spec, "data": {**data, "dataset": dataset_id} if isinstance(data, dict) else data}
    try:
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the spec cannot be sent as JSON: {error}") from None
    return spec

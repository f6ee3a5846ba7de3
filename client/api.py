"""The REST API from Python: ``Client("http://127.0.0.1:8000").submit(spec, dataset)``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import stamina
from httpx_sse import connect_sse

_CHUNK = 1 << 20
FORMATS = {".zip": "imagefolder", ".npz": "npz", ".csv": "csv", ".tsv": "csv"}


class ApiError(Exception):
    """The service refused a request; ``errors`` lists every fault with its place."""

    def __init__(self, status: int, detail: str, errors: list[dict[str, Any]]) -> None:
        super().__init__("\n".join([detail, *(f"  {e['pointer'] or '/'}: {e['detail']}" for e in errors)]) if len(errors) > 1 else detail)
        self.status, self.detail, self.errors = status, detail, errors


class Client:
    """A connection to a server; ``key`` is an API key, where the server asks for one."""

    def __init__(self, url: str = "http://127.0.0.1:8000", key: str | None = None, timeout_s: float = 30.0) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def request(self, method: str, path: str, **more: Any) -> Any:
        """One request; its JSON. Raises ApiError for a refusal, httpx's errors where no answer came."""
        answer = self._http.request(method, path, **more)
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _refusal(answer)

    @stamina.retry(on=httpx.TransportError, attempts=5, timeout=20)
    def get(self, path: str, **params: Any) -> Any:
        """A GET, repeated while the server cannot be reached."""
        return self.request("GET", path, params={k: v for k, v in params.items() if v is not None})

    # -- datasets

    def upload(
        self, path: str | Path, name: str | None = None, progress: Callable[[int], None] = lambda n: None, target: str | None = None
    ) -> dict[str, Any]:
        """Sends a .zip, .npz, .csv or .tsv file; ``progress`` is told the bytes of each piece. The dataset's record.

        ``target`` names the column of a table to predict, where it is not the one called target, label, class or y, nor the last.
        """
        path = Path(path)
        form = FORMATS.get(path.suffix.lower())
        if form is None:
            raise ValueError(f"{path}: expected a file that ends in {', '.join(FORMATS)}")

        def pieces() -> Iterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(_CHUNK):
                    progress(len(piece))
                    yield piece

        headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}
        params = {"name": name or path.name, "format": form, **({} if target is None else {"target": target})}
        return self.request("POST", "/v1/datasets", params=params, content=pieces(), headers=headers, timeout=None)

    def wait_ready(self, dataset_id: str, timeout_s: float = 3600.0) -> dict[str, Any]:
        """Waits until a dataset is validated. Raises ApiError, with the refused files, if it was rejected."""
        deadline = time.monotonic() + timeout_s
        pause = 0.02
        while True:
            record = self.get(f"/v1/datasets/{dataset_id}")
            if record["state"] == "ready":
                return record
            if record["state"] == "rejected":
                report = record["report"]
                faults = [{"pointer": r["file"], "detail": r["reason"]} for r in report["refused"][:20]]
                raise ApiError(
                    422,
                    f"the dataset was rejected: {report['reason']}",
                    [{"pointer": "dataset", "detail": report["reason"]}, *faults] if faults else [],
                )
            if time.monotonic() > deadline:
                raise TimeoutError(f"the dataset {dataset_id} is still being validated after {timeout_s:.0f} s")
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    # -- jobs

    def submit(self, spec: dict[str, Any], dataset_id: str | None = None) -> dict[str, Any]:
        """Queues a job; with ``dataset_id`` in place of the spec's dataset. The job's record."""
        if dataset_id is not None:
            spec = {**spec, "data": {**spec.get("data", {}), "dataset": dataset_id}}
        return self.request("POST", "/v1/jobs", json=spec)

    def job(self, job_id: str) -> dict[str, Any]:
        return self.get(f"/v1/jobs/{job_id}")

    def control(self, job_id: str, action: str) -> dict[str, Any]:
        """``cancel``, ``stop``, ``pause`` or ``resume``."""
        return self.request("POST", f"/v1/jobs/{job_id}/{action}")

    def events(self, job_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """A job's events, live until it is done; a connection that breaks is taken up where it broke."""
        seen = after
        for attempt in stamina.retry_context(on=(httpx.TransportError, _Interrupted), attempts=None, timeout=120, wait_max=2.0):
            with attempt:
                headers = {"Last-Event-ID": str(seen)}
                with connect_sse(
                    self._http, "GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=httpx.Timeout(30, read=40)
                ) as source:
                    if source.response.status_code == 204:
                        return
                    if not source.response.is_success:
                        source.response.read()
                        raise _refusal(source.response)
                    for message in source.iter_sse():
                        if message.data:
                            event = message.json()
                            seen = event["seq"]
                            yield event
                            if event["type"] == "done":
                                return
                raise _Interrupted

    def download(self, job_id: str, step: str, target: Path) -> None:
        """Saves a model as safetensors; ``step`` is a number, ``latest`` or ``best``."""
        part = target.with_name(target.name + ".part")
        with self._http.stream("GET", f"/v1/jobs/{job_id}/checkpoints/{step}", timeout=None) as answer:
            if not answer.is_success:
                answer.read()
                raise _refusal(answer)
            with part.open("wb") as file:
                for piece in answer.iter_bytes(_CHUNK):
                    file.write(piece)
        part.rename(target)


class _Interrupted(Exception):
    """A stream ended before the job was done."""


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        body = answer.json()
        return ApiError(answer.status_code, body["detail"], body.get("errors", []))
    except (ValueError, KeyError, TypeError):
        return ApiError(answer.status_code, f"the server answered {answer.status_code} {answer.reason_phrase}", [])

"""A real deployment for tests: processes, sockets, a Valkey."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from redis import Redis

EXAMPLES = Path(__file__).parents[2] / "examples"


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "") -> Any:
    """What ``condition`` returns once it is true."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or condition}"
        time.sleep(0.02)


class Deployment:
    """``python -m server`` (or another ``command``) on a folder, with the embedded store and one worker."""

    def __init__(
        self, data: Path, *options: str, command: Sequence[str] = (sys.executable, "-m", "server"), cwd: Path | None = None
    ) -> None:
        self.data, self.options, self.command, self.cwd = data, options, command, cwd
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(timeout=30)

    def start(self) -> "Deployment":
        (self.data / "address").unlink(missing_ok=True)
        self.process = subprocess.Popen([*self.command, "--data", str(self.data), "--port", "0", *self.options], cwd=self.cwd)
        address = wait_for(lambda: (self.data / "address").exists() and (self.data / "address").read_text(), what="the server's address")
        self.http.close()
        self.http = httpx.Client(base_url=address, timeout=30)
        wait_for(self._ready, what="readiness")
        return self

    def _ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    @property
    def redis(self) -> Any:
        return Redis(unix_socket_path=str(self.data.resolve() / "store" / "store.sock"))

    def authenticate(self) -> "Deployment":
        """Makes an API key, and sends it from now on."""
        made = subprocess.run(
            [sys.executable, "-m", "server.keys", "--data", str(self.data), "create", "tests"], check=True, capture_output=True, text=True
        )
        self.http.headers["Authorization"] = f"Bearer {made.stdout.strip()}"
        return self

    def store_pid(self) -> int:
        return int(self.redis.info("server")["process_id"])

    def plan(self, job_id: str) -> dict[str, int]:
        """Which algorithms the job's first attempt chose."""
        path = self.data / "jobs" / job_id / "plan.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def worker(self, queue: str = "cpu") -> dict[str, Any]:
        """The live worker of a queue."""
        found: dict[str, Any] = wait_for(
            lambda: next((w for w in self.get("/v1/workers")["data"] if w["queue"] == queue), None), what=f"a {queue} worker"
        )
        return found

    # -- requests

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def upload(self, content: bytes, name: str, wait: bool = True, **options: str) -> dict[str, Any]:
        answer = self.http.post("/v1/datasets", params={"name": name, **options}, content=content)
        assert answer.status_code in (200, 201), answer.text
        record: dict[str, Any] = answer.json()
        if wait:
            record = wait_for(lambda: (r := self.get(f"/v1/datasets/{record['id']}"))["state"] != "validating" and r, what="validation")
        return record

    def digits(self) -> str:
        """The id of the example's dataset."""
        record = self.upload((EXAMPLES / "digits.zip").read_bytes(), "digits.zip")
        assert record["state"] == "ready", record
        return str(record["id"])

    def submit(self, spec: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json=spec)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.get(f"/v1/jobs/{job_id}"))

    def wait_state(self, job_id: str, *states: str, timeout_s: float = 60.0) -> dict[str, Any]:
        job: dict[str, Any] = wait_for(lambda: (j := self.job(job_id))["state"] in states and j, timeout_s, f"{job_id} in {states}")
        return job

    def wait_checkpoint(self, job_id: str) -> None:
        """Until the job has a checkpoint to go on from: it then is within a later epoch."""
        wait_for(lambda: self.get(f"/v1/jobs/{job_id}/checkpoints")["data"], what="a first checkpoint")

    def events(self, job_id: str, after: int = 0) -> list[dict[str, Any]]:
        """The whole log so far, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(f"/v1/jobs/{job_id}/events", after=found[-1]["seq"] if found else after, limit=1000)
            found += page["data"]
            if not page["has_more"]:
                return found

    def stream(self, job_id: str, headers: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Server-sent events until the stream ends."""
        with self.http.stream(
            "GET", f"/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream", **(headers or {})}, timeout=60
        ) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def example(which: str, dataset: str, **changes: Any) -> dict[str, Any]:
    """An example's spec on an uploaded dataset."""
    spec: dict[str, Any] = json.loads((EXAMPLES / f"{which}.json").read_text())
    spec["data"]["dataset"] = dataset
    return {**spec, **changes}


def png(size: tuple[int, int] = (8, 8), mode: str = "L", seed: int = 0) -> bytes:
    """A small image of noise."""
    channels = {"L": 1, "RGB": 3}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels).save(out, "PNG")
    return out.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()

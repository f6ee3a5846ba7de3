"""Predictions over HTTP beside a plain FastAPI server around PyTorch: one caller's latency, the throughput of a hundred, memory with many models."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console

EXAMPLES = Path(__file__).parents[1] / "examples"
CALLERS = 100
REACH_RATIO, REACH_MS = 1.5, 30.0
MODELS = 50


def _wait(condition: Any, what: str, timeout_s: float = 120.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} took more than {timeout_s:.0f} s")
        time.sleep(0.05)
    return found


def _answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code < 500
    except httpx.TransportError:
        return False


@contextmanager
def _started(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(40)


def _trained(http: httpx.Client) -> str:
    """The id of a job that has trained the convolutional example."""
    dataset = http.post("/v1/datasets?name=digits.zip", content=(EXAMPLES / "digits.zip").read_bytes()).json()["id"]
    _wait(lambda: http.get(f"/v1/datasets/{dataset}").json()["state"] == "ready", "validation")
    spec = json.loads((EXAMPLES / "digits-cnn.json").read_text())
    spec["data"]["dataset"] = dataset
    job = str(http.post("/v1/jobs", json={**spec, "epochs": 3}).json()["id"])
    _wait(lambda: http.get(f"/v1/jobs/{job}").json()["state"] == "succeeded", "training")
    return job


def _images(n: int) -> list[bytes]:
    with zipfile.ZipFile(EXAMPLES / "digits.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")]
        return [archive.read(name) for name in names[:: len(names) // n][:n]]


async def _caller(url: str, bodies: list[bytes], taken: list[float]) -> None:
    """Sends one request after the other on one connection, and notes how many seconds each took."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for body in bodies:
        began = time.perf_counter()
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{url} answered {answer.splitlines()[0].decode()}")
        await reader.readexactly(int(answer.partition(b"content-length: ")[2].partition(b"\r")[0]))
        taken.append(time.perf_counter() - began)
    writer.close()


async def _together(url: str, callers: int, each: int, images: list[bytes]) -> tuple[float, list[float]]:
    """Requests a second that so many callers get, and the seconds that each of their requests took."""
    taken: list[float] = []
    bodies = [[images[(i * each + k) % len(images)] for k in range(each)] for i in range(callers)]
    began = time.perf_counter()
    await asyncio.gather(*(_caller(url, b, taken) for b in bodies))
    return callers * each / (time.perf_counter() - began), taken


def _measured(urls: dict[str, str], rounds: int) -> dict[str, dict[str, float]]:
    """Both servers in turns: the median latency of one caller in ms, and the median throughput of a hundred in requests a second."""
    images = _images(100)
    found: dict[str, dict[str, list[float]]] = {name: {"latency_ms": [], "per_s": []} for name in urls}
    for url in urls.values():  # warm
        asyncio.run(_together(url, CALLERS, 5, images))
    for _ in range(rounds):
        for name, url in urls.items():
            _, taken = asyncio.run(_together(url, 1, 100, images))
            found[name]["latency_ms"].append(1000 * median(taken))
            found[name]["per_s"].append(asyncio.run(_together(url, CALLERS, 20, images))[0])
    return {name: {k: round(median(v), 2) for k, v in values.items()} for name, values in found.items()}


def _resident_mib(parent: int) -> float:
    """Main memory of the process that holds the models, a child of the server."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            is_child = f"PPid:\t{parent}\n" in (path.parent / "status").read_text()
            if is_child and b"worker.predictor" in path.read_bytes():
                return int(next(x for x in (path.parent / "status").read_text().splitlines() if x.startswith("VmRSS")).split()[1]) / 1024
        except OSError:
            continue
    raise RuntimeError("the server has no process that predicts")


def _memory(http: httpx.Client, job: str, parent: int) -> dict[str, float]:
    """MiB with one model, and after 50 have been used."""
    image, first = _images(1)[0], _resident_mib(parent)
    for i in range(MODELS):
        http.post("/v1/models", json={"name": f"copy{i}", "job": job}).raise_for_status()
        http.post(f"/v1/jobs/copy{i}/predict", content=image).raise_for_status()
    return {"memory_one_mib": round(first, 1), "memory_many_mib": round(_resident_mib(parent), 1)}


def run(peers: list[str], rounds: int) -> list[dict[str, Any]]:
    """The row, printed."""
    with tempfile.TemporaryDirectory() as folder, _started(["-m", "server", "--data", folder, "--port", "0"], {}) as server:
        address = _wait(lambda: (Path(folder) / "address").exists() and (Path(folder) / "address").read_text(), "the server")
        with httpx.Client(base_url=address, timeout=60) as http:
            job = _trained(http)
            weights = Path(folder) / "weights.safetensors"
            weights.write_bytes(http.get(f"/v1/jobs/{job}/checkpoints/best").content)
            urls = {"ours": f"{address}/v1/jobs/{job}/predict"}
            if "torch" in peers:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    port = free.getsockname()[1]
                command = ["-m", "uvicorn", "benchmarks.predict_peer:app", "--port", str(port), "--log-level", "warning"]
                with _started(command, {"PREDICT_WEIGHTS": str(weights)}):
                    _wait(lambda: _answers(f"http://127.0.0.1:{port}/docs"), "PyTorch's server")
                    found = _measured({**urls, "torch": f"http://127.0.0.1:{port}/predict"}, rounds)
            else:
                found = _measured(urls, rounds)
            row: dict[str, Any] = {"id": "predict", "callers": CALLERS, **found, **_memory(http, job, server.pid)}
    console = Console()
    console.print(
        f"one caller: {row['ours']['latency_ms']} ms (reach {REACH_MS}); {CALLERS} callers: {row['ours']['per_s']} predictions a second"
    )
    if "torch" in row:
        row["ratio"] = round(row["ours"]["per_s"] / row["torch"]["per_s"], 2)
        console.print(
            f"PyTorch: {row['torch']['latency_ms']} ms, {row['torch']['per_s']} a second: ratio {row['ratio']} (reach {REACH_RATIO})"
        )
    console.print(f"memory of the models' process: {row['memory_one_mib']} MiB with one model, {row['memory_many_mib']} MiB after {MODELS}")
    return [row]

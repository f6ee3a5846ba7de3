"""The service as tools for agents (Model Context Protocol), made from the server's OpenAPI document. Needs the extra ``mcp``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
from fastmcp import FastMCP
from fastmcp.server.providers.openapi import MCPType, RouteMap

from client import Client
from client.call import address, credentials
from client.errors import Unreachable
from server.models import JsonObject

_TIMEOUT_S = 90.0
"""Longer than the longest long poll."""
_LEFT_OUT = (
    ("POST", r"^/v1/datasets$"),  # the body is a file: upload_dataset sends one of this machine
    ("GET", r"^/v1/jobs/\{job_id\}/checkpoints/\{step\}$"),  # so is the answer: download_model
    ("GET", r"^/v1/events$"),  # a stream without end
    ("GET", r"^/(healthz|readyz)$"),
)
INSTRUCTIONS = """\
Trains neural networks described as JSON. upload_dataset sends a file of this machine and waits until it is validated; its report says what was
recognised. check_spec finds every problem of a spec at once, each with its JSON pointer, and prints the layers and the largest batch. create_job
queues the spec. list_events with after=last_seq and wait=30 returns what is new as soon as there is something; the last event has the type done.
get_job has state, results and error; get_metrics with max_points=200 the curves; get_logs the output. download_model saves the trained model."""


def connect(server: str | None, key: str | None) -> FastMCP[Any]:
    """The tools of a server. Raises Unreachable, ValueError for a server that is something else."""
    url, headers = address(server), credentials(key)
    try:
        answer = httpx2.get(f"{url}/openapi.json", headers=headers)
        document = answer.raise_for_status().json()
        if "create_job" not in answer.text:
            raise ValueError("no create_job in its OpenAPI document")
    except httpx2.TransportError as error:
        raise Unreachable(url, error) from error
    except (httpx2.HTTPStatusError, ValueError) as error:
        raise ValueError(f"{url} is no Epochline server: {error}") from None
    client = httpx2.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT_S)
    excluded = [RouteMap(methods=[method], pattern=pattern, mcp_type=MCPType.EXCLUDE) for method, pattern in _LEFT_OUT]  # type: ignore[list-item]
    bridge: FastMCP[Any] = FastMCP.from_openapi(document, client, name="epochline", route_maps=excluded, instructions=INSTRUCTIONS)
    _add_files(bridge, server, key)
    return bridge


def _add_files(bridge: FastMCP[Any], server: str | None, key: str | None) -> None:
    """The tools that read and write files of this machine."""

    @bridge.tool
    async def upload_dataset(path: str, name: str | None = None, target: str | None = None) -> JsonObject:
        """Uploads a .zip, .npz, .csv or .tsv file or a folder of images, and waits until it is validated. ``target`` is the column to predict."""

        def upload() -> JsonObject:
            with Client(server, key) as client:
                sent = client.datasets.upload(Path(path).expanduser(), name=name, target=target)
                return client.datasets.wait_ready(sent.id).model_dump(mode="json")

        return await asyncio.to_thread(upload)

    @bridge.tool
    async def download_model(job_id: str, path: str, step: str = "best") -> JsonObject:
        """Saves a trained model as safetensors, with PyTorch's names. ``step``: a checkpoint's number, ``latest`` or ``best``."""

        def download() -> JsonObject:
            with Client(server, key) as client:
                saved = client.jobs.get(job_id).download(step, Path(path).expanduser())
                return {"job": job_id, "path": str(saved), "size_bytes": saved.stat().st_size}

        return await asyncio.to_thread(download)


def tools(bridge: FastMCP[Any]) -> list[JsonObject]:
    """The names and descriptions of the tools."""
    found = asyncio.run(bridge.list_tools())
    return [{"name": t.name, "description": t.description or "", "parameters": t.parameters} for t in found]


def serve(bridge: FastMCP[Any]) -> None:
    """Speaks over standard input and output until the input ends."""
    bridge.run(transport="stdio", show_banner=False, log_level="ERROR")

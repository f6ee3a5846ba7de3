"""An agent with the MCP server, and one that follows llms.txt, train a model."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.service.deployment import EXAMPLES, Deployment, wait_for

SPEC: dict[str, Any] = {
    "name": "by an agent", "epochs": 2, "model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 10}],
    "loss": {"type": "CrossEntropyLoss"}, "metrics": ["accuracy"], "optimizer": {"type": "Adam", "lr": 0.01},
}  # fmt: skip


async def _train(address: str, saved: Path) -> None:
    fastmcp = pytest.importorskip("fastmcp")
    transport = fastmcp.client.transports.StdioTransport(sys.executable, ["-m", "client.cli", "--server", address, "mcp"])
    async with fastmcp.Client(transport) as agent:
        names = {tool.name for tool in await agent.list_tools()}
        assert {"upload_dataset", "check_spec", "create_job", "list_events", "get_job", "get_metrics", "get_logs", "cancel_job"} <= names
        assert not {"create_dataset", "stream_events", "download_checkpoint"} & names

        async def call(tool: str, **arguments: Any) -> Any:
            return (await agent.call_tool(tool, arguments)).structured_content

        dataset = await call("upload_dataset", path=str(EXAMPLES / "digits.zip"))
        assert dataset["state"] == "ready"
        data = {"dataset": dataset["id"], "batch_size": 64}
        with pytest.raises(fastmcp.exceptions.ToolError, match="/epochs"):
            await call("check_spec", **{**SPEC, "epochs": 0, "data": data})
        assert (await call("check_spec", **SPEC, data=data))["largest_batch"] > 1
        job = await call("create_job", **SPEC, data=data)
        assert job["spec"]["epochs"] == 2
        seen, done = 0, False
        while not done:
            found = await call("list_events", job_id=job["id"], after=seen, wait=30)
            seen = found.get("last_seq") or seen
            done = any(e["type"] == "done" for e in found["data"])
        assert (await call("get_job", job_id=job["id"]))["state"] == "succeeded"
        assert (await call("get_metrics", job_id=job["id"], max_points=20))["complete"]
        await call("download_model", job_id=job["id"], path=str(saved))
        assert saved.stat().st_size > 1000


def test_an_agent_trains_a_model_by_mcp(service: Deployment, tmp_path: Path) -> None:
    asyncio.run(_train(str(service.http.base_url), tmp_path / "m.safetensors"))


def test_mcp_lists_its_tools(epochline: Run) -> None:
    pytest.importorskip("fastmcp")
    tools = {t["name"]: t for t in epochline("mcp", "--json").json["data"]}
    assert "epochs" in tools["create_job"]["parameters"]["properties"]


def test_what_llms_txt_says_is_true(service: Deployment) -> None:
    """Follows it, with the addresses that it gives."""
    http, base = service.http, str(service.http.base_url).rstrip("/")
    text = http.get("/llms.txt").text
    assert "{server}" not in text
    assert all(http.get(url).status_code == 200 for url in re.findall(r"http://\S+(?:openapi\.json|/v1/schema)", text))
    paths = http.get("/openapi.json").json()["paths"]
    for method, address in re.findall(r"`(GET|POST|PATCH|DELETE) (?:http://[^/`]+)?(/v1/[^`?\s]*)", text):
        name = "{job_id}" if "/jobs/" in address else "{dataset_id}"
        path = re.sub(r"\{\w+\}", name, address).replace("/checkpoints/best", "/checkpoints/{step}")
        assert method.lower() in paths[path], (method, address)
    spec = json.loads("{" + text.split("\n{", 1)[1].split("\n\n")[0])
    dataset = http.post(f"{base}/v1/datasets?name=digits.zip", content=(EXAMPLES / "digits.zip").read_bytes()).json()["id"]
    wait_for(lambda: http.get(f"/v1/datasets/{dataset}").json()["state"] == "ready")
    wrong = http.post("/v1/jobs/validate", json={**spec, "epochs": 0, "loss": {"type": "x"}})
    assert wrong.status_code == 422 and len(wrong.json()["errors"]) >= 2
    spec["data"]["dataset"] = dataset
    checked = http.post("/v1/jobs/validate", json=spec)
    assert checked.status_code == 200 and checked.json()["layers"] and checked.json()["largest_batch"]
    job = http.post("/v1/jobs", json=spec, headers={"Idempotency-Key": "llms"}).json()["id"]
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != "done":
        events += http.get(f"/v1/jobs/{job}/events", params={"after": events[-1]["seq"] if events else 0, "wait": 30}).json()["data"]
    record = http.get(f"/v1/jobs/{job}").json()
    assert record["state"] == "succeeded" and record["results"] and record["error"] is None
    assert http.get(f"/v1/jobs/{job}/metrics?max_points=200").status_code == http.get(f"/v1/jobs/{job}/logs?tail=50").status_code == 200
    assert len(http.get(f"/v1/jobs/{job}/checkpoints/best").content) > 1000

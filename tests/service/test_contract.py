"""The API's document says what the server does: on every route, with and without API keys."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.service.deployment import Deployment, example

HERE = Path(__file__).parent


@pytest.fixture(scope="module", params=["no-auth", "auth"])
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of its own, with and without keys: what is sent to it at random stays behind."""
    d = Deployment(tmp_path_factory.mktemp("contract"), f"--{request.param}").start()
    if request.param == "auth":
        made = subprocess.run(
            [sys.executable, "-m", "server.keys", "--data", str(d.data), "create", "contract"], check=True, capture_output=True, text=True
        )
        d.http.headers["Authorization"] = f"Bearer {made.stdout.strip()}"
    yield d
    d.stop()


def prepared(d: Deployment) -> tuple[dict[str, str], dict[str, Any]]:
    """Things to ask for: a job with results, jobs and datasets to delete. And a spec that is right, of a job that no worker takes."""
    digits = d.digits()
    job = d.submit(example("digits-mlp", digits, epochs=1))["id"]
    d.wait_state(job, "succeeded")
    spec = example("digits-mlp", digits, device="cuda")
    ended = [d.submit(spec)["id"] for _ in range(8)]
    for e in ended:
        d.http.post(f"/v1/jobs/{e}/cancel")
    spare = [d.upload(b"a,y\n1,0\n2,%d\n" % i, "spare.csv", wait=False)["id"] for i in range(8)]
    return {"JOB": job, "ENDED": '", "'.join(ended), "DATASET": digits, "SPARE": '", "'.join(spare), "NAME": "digits.zip"}, spec


def test_every_answer_is_documented(deployment: Deployment, tmp_path: Path) -> None:
    values, spec = prepared(deployment)
    config = re.sub(r"\$([A-Z]+)", lambda m: values[m[1]], (HERE / "contract.toml").read_text())
    (tmp_path / "contract.toml").write_text(config)
    key = deployment.http.headers.get("Authorization")
    run = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "--config-file", tmp_path / "contract.toml", "run", f"{deployment.http.base_url}/openapi.json",
            "--checks", "all", "--max-examples", os.environ.get("CONTRACT_EXAMPLES", "10"), *(["-H", f"Authorization: {key}"] if key else []),
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.service.contract_hooks", "CONTRACT_SPEC": json.dumps(spec)},
        cwd=HERE.parents[1], capture_output=True, text=True,
    )  # fmt: skip
    print(run.stdout[-20_000:])
    assert run.returncode == 0, run.stdout[-20_000:]

"""The API's document says what the server does: on every route, with and without API keys."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.service.deployment import EXAMPLES, Deployment, example

HERE = Path(__file__).parent
PHASES = {"no-auth": "examples,fuzzing", "auth": "examples,coverage,fuzzing,stateful"}
"""With keys off all that differs is that none is asked for: it gets what is quick."""


def script(name: str) -> Path:
    return Path(sys.executable).with_name(name)


@pytest.fixture(scope="module", params=list(PHASES))
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A server of its own: what is sent to it at random stays behind."""
    d = Deployment(tmp_path_factory.mktemp("contract"), f"--{request.param}").start()
    if request.param == "auth":
        d.authenticate()
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


@pytest.mark.timeout(600)
def test_every_answer_is_documented(deployment: Deployment, tmp_path: Path) -> None:
    values, spec = prepared(deployment)
    config = re.sub(r"\$([A-Z]+)", lambda m: values[m[1]], (HERE / "contract.toml").read_text())
    (tmp_path / "contract.toml").write_text(config)
    key = deployment.http.headers.get("Authorization")
    run = subprocess.run(
        [
            script("schemathesis"), "--config-file", tmp_path / "contract.toml", "run", f"{deployment.http.base_url}/openapi.json",
            "--checks", "all", "--phases", PHASES["auth" if key else "no-auth"], "--max-examples", "3",
            *(["-H", f"Authorization: {key}"] if key else []),
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.service.contract_hooks", "CONTRACT_SPEC": json.dumps(spec)},
        cwd=HERE.parents[1], capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-20_000:]


def test_the_document_is_valid_and_its_names_are_good(deployment: Deployment) -> None:
    document = deployment.get("/openapi.json")
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())
    for name, schema in document["components"]["schemas"].items():
        for shown in schema.get("examples", []):
            Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]}).validate(shown)
    secured = "Authorization" in deployment.http.headers
    assert ("securitySchemes" in document["components"]) == secured
    open_to_all = {"get_health", "get_readiness", "get_schema", "sign_in", "sign_out"}
    names = set()
    for operations in document["paths"].values():
        for operation in operations.values():
            name = operation["operationId"]
            names.add(name)
            assert operation["summary"] and operation["description"] and operation["tags"], name
            assert all("description" in p for p in operation.get("parameters", [])), name
            assert ("security" in operation) == (secured and name not in open_to_all), name
            assert ("401" in operation["responses"]) == (secured and name not in open_to_all - {"sign_in"}), name
            for status, answer in operation["responses"].items():
                assert status < "400" or list(answer["content"]) == ["application/problem+json"], name
                assert "application/json" not in answer.get("content", {}) or answer["content"]["application/json"]["schema"], name
    assert all(
        re.fullmatch(
            r"(get|list|create|update|delete|set|check|download|stream|cancel|stop|pause|resume|extend|predict|roll_back|sign|suggest)(_[a-z]+)*",
            n,
        )
        for n in names
    )
    assert all(s.get("description") or "enum" in s or n == "JsonValue" for n, s in document["components"]["schemas"].items())


@pytest.mark.parametrize("deployment", ["auth"], indirect=True)
def test_a_generated_client_submits_and_watches_a_job(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the classes and functions that openapi-python-client makes of the document, and nothing else."""
    (tmp_path / "openapi.json").write_text(json.dumps(deployment.get("/openapi.json")))
    (tmp_path / "config.yaml").write_text("post_hooks: []\npackage_name_override: generated\n")
    command: list[str | Path] = [
        script("openapi-python-client"),
        "generate",
        "--path",
        "openapi.json",
        "--config",
        "config.yaml",
        "--meta",
        "none",
        "--output-path",
        "generated",
    ]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "will not be generated" not in said and "Unable to process" not in said
    assert set(re.findall(r"WARNING parsing (\S+ \S+)", said)) <= {
        "POST /v1/jobs/{job_id}/predict"
    }  # the generator does not know image/png and text/csv
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.partition(".")[0] == "generated"]:
        monkeypatch.delitem(sys.modules, name)

    def load(name: str) -> Any:
        return importlib.import_module(f"generated.{name}")

    key = deployment.http.headers["Authorization"].removeprefix("Bearer ")
    with load("client").AuthenticatedClient(str(deployment.http.base_url), key) as client:
        _submit_and_watch(load, client)


def _submit_and_watch(load: Callable[[str], Any], client: Any) -> None:
    with (EXAMPLES / "digits.zip").open("rb") as file:
        dataset = load("api.datasets.create_dataset").sync(client=client, body=load("types").File(file), name="digits.zip")
    while dataset.state == "validating":
        dataset = load("api.datasets.get_dataset").sync(dataset.id, client=client)
    spec = load("models").JobSpec.from_dict(example("digits-mlp", dataset.id, epochs=2))
    job = load("api.jobs.create_job").sync(client=client, body=spec, label=["by=generated"])
    seen: list[Any] = []
    while not seen or seen[-1].type_ != "done":
        page = load("api.events.list_events").sync(job.id, client=client, after=seen[-1].seq if seen else 0, wait=10)
        seen += page.data
    done = load("api.jobs.get_job").sync(job.id, client=client)
    assert done.state == "succeeded" and done.labels.to_dict() == {"by": "generated"}
    assert seen[-1].points == done.points == sum(e.type_ == "metrics" for e in seen)
    problem = load("api.jobs.get_job").sync("job_nope", client=client)
    assert isinstance(problem, load("models").Problem) and problem.status == 404

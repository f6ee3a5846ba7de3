"""Every command as a real process against a real server: what it does, what it prints, and that ``--json`` parses by the API's models."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from client.cli import main
from client.documents import Deleted, Diagnosis, Saved
from server.models import (
    Checkpoint,
    CheckResult,
    DatasetInfo,
    DoneEvent,
    Event,
    Items,
    JobDetail,
    JobSummary,
    LogLines,
    MetricsEvent,
    Page,
    Problem,
    SpecExample,
    Suggestion,
    Worker,
)
from server.printed import ApiKey, Serving
from tests.cli.commands import EPOCHLINE
from tests.cli.conftest import Run
from tests.service.deployment import EXAMPLES, Deployment, example

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
DIGITS = str(EXAMPLES / "digits-mlp.json")


def ended(epochline: Run, job: str, state: str) -> JobDetail:
    """A job that has ended, and how."""
    found = JobDetail(**epochline("wait", job, "--json").json)
    assert found.state == state
    return found


READING: list[tuple[str, Any]] = [
    ("jobs --json", Page[JobSummary]),
    ("jobs list --state succeeded --name NA --sort finished --after 2020-01-01 --limit 1 --json", Page[JobSummary]),
    ("jobs show JOB --json", JobDetail),
    ("wait JOB --exit-status --json", JobDetail),
    ("logs JOB --level info --tail 5 --json", LogLines),
    ("checkpoints JOB --json", Items[Checkpoint]),
    ("datasets --json", Page[DatasetInfo]),
    ("datasets show DATASET --json", DatasetInfo),
    ("workers --json", Items[Worker]),
    (f"check {DIGITS} --dataset DATASET --json", CheckResult),
    (f"check {DIGITS} --json", CheckResult),
    (f"check {DIGITS} --input 1x8x8 --json", CheckResult),
    ("suggest DATASET --json", Suggestion),
    ("examples --json", Items[SpecExample]),
    ("examples compare --json", SpecExample),
    ("cancel JOB --json", JobDetail),
    ("stop JOB --json", JobDetail),
    ("pause JOB --json", JobDetail),
    ("resume JOB --json", JobDetail),
]


@pytest.mark.parametrize(("command", "model"), READING, ids=[c.replace(str(EXAMPLES), "") for c, _ in READING])
def test_json_parses_by_the_models(epochline: Run, job: str, digits: str, command: str, model: type[BaseModel]) -> None:
    arguments = command.replace("JOB", job).replace("DATASET", digits).split()
    done = epochline(*arguments)
    assert done.code == 0 and not done.err, done
    assert done.out.isascii() and done.out.count("\n") == 1
    model.model_validate_json(done.out)
    plain = epochline(*(a for a in arguments if a != "--json"))
    assert plain.code == 0 and plain.out.strip(), plain
    assert re.search(r"\x1b", plain.out) is None


@pytest.fixture(scope="session")
def digits(service: Deployment) -> str:
    return service.digits()


def test_a_dataset_and_a_job_from_beginning_to_end(epochline: Run, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(name))
    dataset = DatasetInfo(**epochline("datasets", "upload", str(folder), "--label", "kind=pets", "--json").json)
    assert dataset.state == "ready" and dataset.report and dataset.report.classes == ["cat", "dog"] and dataset.labels == {"kind": "pets"}
    changed = DatasetInfo(
        **epochline("datasets", "update", dataset.id, "--name", "pets", "--label", "a=b", "--unlabel", "kind", "--json").json
    )
    assert changed.name == "pets" and changed.labels == {"a": "b"}
    (tmp_path / "s.toml").write_text(
        'epochs = 1\nloss = {type = "CrossEntropyLoss"}\noptimizer = {type = "SGD", lr = 0.1}\ndata = {validation = 0}\n'
        '[[model]]\ntype = "Flatten"\n[[model]]\ntype = "Linear"\nout_features = 2\n'
    )
    arguments = (
        "submit",
        str(tmp_path / "s.toml"),
        "--dataset",
        dataset.id,
        "--name",
        "mine",
        "--label",
        "x=y",
        "--idempotency-key",
        "once",
    )
    first, again = (JobDetail(**epochline(*arguments, "--json").json) for _ in range(2))
    assert first.id == again.id and first.name == "mine" and first.labels == {"x": "y"}
    ended(epochline, first.id, "succeeded")
    assert JobDetail(**epochline("jobs", "update", first.id, "--name", "yours", "--label", "z=", "--json").json).labels == {
        "x": "y",
        "z": "",
    }
    assert [j["id"] for j in epochline("jobs", "--label", "x=y", "--dataset", dataset.id, "--json").json["data"]] == [first.id]
    assert Deleted(**epochline("jobs", "delete", first.id, "--json").json).id == first.id
    assert Deleted(**epochline("datasets", "delete", dataset.id, "--json").json).id == dataset.id
    gone = epochline("jobs", "show", first.id, "--json")
    assert gone.code == 1 and Problem(**gone.json).status == 404 and "there is no job" in gone.err


def picture(name: str) -> bytes:
    from tests.data.archives import picture as made

    return made(name)


def test_events_are_lines_of_json(epochline: Run, job: str) -> None:
    for arguments in (("watch", job, "--json"), ("logs", job, "-f", "--json")):
        done = epochline(*arguments)
        assert done.code == 0, done
        events = [EVENT.validate_python(line) for line in done.lines]
        if arguments[0] == "watch":
            assert isinstance(events[-1], DoneEvent) and sum(isinstance(e, MetricsEvent) for e in events) == events[-1].points


def test_submit_with_watch_is_the_job_and_its_events(epochline: Run) -> None:
    job, *events = epochline("submit", DIGITS, "--watch", "--json").lines
    assert JobDetail(**job).state == "queued" and EVENT.validate_python(events[-1]).type == "done"


def test_pull_and_train_write_the_same_files(epochline: Run, job: str, tmp_path: Path) -> None:
    model = Saved(**epochline("pull", job, "--out", str(tmp_path / "m.safetensors"), "--json").json)
    assert (tmp_path / "m.safetensors").stat().st_size > 10_000 and model.files == ["m.safetensors"]
    pulled = Saved(**epochline("pull", job, "--all", "--out", str(tmp_path / "pulled"), "--json").json)
    spec = (tmp_path / "s.json").resolve()
    spec.write_text((tmp_path / "pulled" / "spec.json").read_text())
    trained = epochline("train", str(spec), "--data", str(EXAMPLES / "digits.zip"), "--out", str(tmp_path / "trained"), "--json")
    assert trained.code == 0 and [EVENT.validate_python(line) for line in trained.lines][-1].type == "done"
    assert sorted(p.name for p in (tmp_path / "trained").iterdir()) == pulled.files
    here, there = (list(csv.reader((tmp_path / n / "history.csv").read_text().splitlines())) for n in ("trained", "pulled"))
    assert here[0] == there[0] and len(here) == len(there) and [r[:4] for r in here] == [r[:4] for r in there]
    last = [(tmp_path / n / "events.jsonl").read_text().splitlines()[-1] for n in ("trained", "pulled")]
    assert all(isinstance(EVENT.validate_json(line), DoneEvent) for line in last)


def test_how_a_job_ended_is_the_exit_code(epochline: Run, service: Deployment, digits: str) -> None:
    long = service.submit(example("digits-mlp", digits, epochs=100_000))["id"]
    late = epochline("wait", long, "--timeout", "0.1", "--exit-status")
    assert late.code == 5 and "is still" in late.err
    assert epochline("stop", long).code == 0
    assert epochline("wait", long, "--exit-status").code == 3 and epochline("watch", long).code == 3 and epochline("wait", long).code == 0
    spec = example("digits-mlp", digits, device="cuda")
    queued = service.submit(spec)["id"]
    assert epochline("cancel", queued).code == 0 and epochline("wait", queued, "--exit-status").code == 4
    failing = service.submit(example("digits-mlp", digits, optimizer={"type": "SGD", "lr": 1e30}))["id"]
    assert epochline("wait", failing, "--exit-status").code == 1
    watched = epochline("watch", failing)
    assert watched.code == 1 and "the job failed" in watched.err and "/optimizer" in watched.err


def test_serve_keys_and_worker_speak_json(epochline: Run, service: Deployment) -> None:
    """The processes of the service, started as users start them."""
    keys = (EPOCHLINE, "keys", "--data", str(service.data))
    made = ApiKey.model_validate_json(subprocess.check_output([*keys, "create", "alice", "--json"]))
    assert made.name == "alice" and made.key
    assert [k.name for k in Items[ApiKey].model_validate_json(subprocess.check_output([*keys, "list", "--json"])).data] == ["alice"]
    assert len(Items[ApiKey].model_validate_json(subprocess.check_output([*keys, "revoke", "alice", "--json"])).data) == 1


def test_serve_prints_its_address_and_logs_as_json(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [EPOCHLINE, "serve", "--data", str(tmp_path), "--port", "0", "--workers", "0", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        serving = Serving.model_validate_json(server.stdout.readline())
        import httpx

        assert httpx.get(f"{serving.address}/v1/jobs").status_code == 200
    finally:
        server.terminate()
        _, err = server.communicate(timeout=30)
    assert '"path": "/v1/jobs"' in err and '"status": 200' in err


def test_doctor_finds_what_there_is(epochline: Run, service: Deployment) -> None:
    done = epochline("doctor", "--data", str(service.data), "--json")
    diagnosis = Diagnosis(**done.json)
    found = {f.name: f for f in diagnosis.findings}
    assert done.code == 0 and diagnosis.ok and {"epochline", "Python", "kernels", "machine", "GPU", "store", "data", "server"} <= set(found)
    assert found["store"].status == "ok" and found["server"].status == "ok" and "fsync" in found["data"].detail
    broken = Diagnosis(**epochline("doctor", "--data", "/proc/none", "--json", EPOCHLINE_KERNELS="numpy").json)
    found = {f.name: f for f in broken.findings}
    assert not broken.ok and found["data"].status == "error" and found["kernels"].status == "warning"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_ids_are_completed_from_the_server(epochline: Run, job: str, shell: str) -> None:
    assert "_EPOCHLINE_COMPLETE" in epochline("completion", shell).out
    if shell == "fish":
        return
    words = {"COMP_WORDS": "epochline jobs show job_", "COMP_CWORD": "3"}
    assert job in epochline(**words, _EPOCHLINE_COMPLETE=f"{shell}_complete").out


def test_schema(epochline: Run) -> None:
    assert epochline("schema", "--json").json["properties"]["epochs"] == epochline("schema").json["properties"]["epochs"]


def _all_commands(group: Any = main, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in getattr(group, "commands", {}).items():
        found += _all_commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", _all_commands(), ids=" ".join)
def test_h_explains_every_command(epochline: Run, path: tuple[str, ...]) -> None:
    for flag in ("-h", "--help")[: 1 + (path in ((), ("serve",)))]:
        done = epochline(*path, flag)
        assert done.code == 0 and done.out.startswith(f"Usage: epochline {' '.join(path)}".rstrip()), done
        assert not path or path[-1] in ("keys", "datasets", "jobs", "models", "weights") or "--json" in done.out

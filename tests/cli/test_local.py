"""What needs no server: runs that end early keep what there is, and whatever goes wrong is a line, not a traceback."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from client import local
from client.specfile import SpecFileError
from tests.cli.commands import Commands
from tests.service.deployment import EXAMPLES

FILES = {"events.jsonl", "history.csv", "loss.png", "report.html", "report.json", "results.json", "spec.json"}


def spec(path: Path, **changes: object) -> str:
    value = {**json.loads((EXAMPLES / "digits-mlp.json").read_text()), **changes}
    path.write_text(json.dumps(value))
    return str(path)


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))


def test_ctrl_c_keeps_the_history(commands: Commands, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ("train", spec(tmp_path / "s.json", epochs=100_000), "--data", str(EXAMPLES / "digits.zip"), "--out", str(out))
    done = commands.run(*arguments, interrupt_when=lambda o, e: "epoch   3" in o)
    assert done.code == 130 and "Saved in" in done.out and "Interrupted" in done.err and "Traceback" not in done.err
    assert {p.name for p in out.iterdir()} == FILES | {"model.safetensors", "last.safetensors"}
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert events[-1]["type"] == "done" and events[-2]["state"] == events[-1]["state"] == "stopped"
    assert events[-1]["points"] == len(rows(out)) > 60 and [e["seq"] for e in events] == list(range(1, len(events) + 1))


def test_divergence_keeps_the_history(commands: Commands, tmp_path: Path) -> None:
    out = tmp_path / "run"
    wrong = spec(tmp_path / "s.json", optimizer={"type": "SGD", "lr": 1e30})
    done = commands.run("train", wrong, "--data", str(EXAMPLES / "digits.zip"), "--out", str(out))
    assert done.code == 1 and "the loss became" in done.err and "Traceback" not in done.err
    assert {p.name for p in out.iterdir()} >= FILES - {"loss.png", "report.html", "report.json"} and rows(out)
    assert json.loads((out / "events.jsonl").read_text().splitlines()[-2])["state"] == "failed"


WRONG = [
    (("train", "MLP", "--device", "cuda"), 1, "the device 'cuda' cannot be used"),
    (("train", "MLP", "--device", "gpu"), 1, "the device 'gpu' cannot be used"),
    (("train", "MLP", "--out", "/proc/none"), 1, "/proc/none: "),
    (("train", "MLP", "--data", "nowhere.zip"), 1, "nowhere.zip does not exist"),
    (("train", "MLP", "--data", "README.md"), 1, "expected a folder of image folders, or a file that ends in"),
    (("train", "nowhere.json"), 1, "nowhere.json: cannot be read: No such file"),
    (("train", "docs"), 1, "docs: cannot be read: Is a directory"),
    (("check", "examples/digits.zip"), 1, "expected a spec as JSON, YAML or TOML"),
    (("check", "MLP", "--input", "8x"), 2, "expected a shape such as 1x8x8"),
    (("jobs", "--state", "gone"), 2, "'gone' is not one of 'queued'"),
    (("jobs", "--label", "x"), 2, "expected NAME=VALUE"),
    (("nonsense",), 2, "No such command 'nonsense'"),
    (("jobs",), 1, "cannot be reached"),
    (("watch", "job_x"), 1, "cannot be reached"),
    (("submit", "MLP"), 1, "cannot be reached"),
    (("datasets", "upload", "examples/digits.zip"), 1, "cannot be reached"),
    (("datasets", "upload", "MLP"), 1, "or a file that ends in .zip"),
    (("mcp",), 1, "cannot be reached"),
    (("--server", "nonsense", "jobs"), 1, "expected the server's address as http://HOST:PORT"),
    (("--key", "é", "jobs"), 1, "API key"),
    (("serve", "--data", "/proc/none"), 1, "the data folder /proc/none cannot be written"),
    (("serve", "--redis", "nonsense", "--data", "/tmp"), 2, "--redis"),
    (("worker", "--redis", "nonsense", "--data", "/tmp"), 2, "--redis"),
    (("worker", "--redis", "redis://127.0.0.1:9", "--device", "cuda:7"), 2, "--device"),
    (("keys", "--redis", "redis://:secret@127.0.0.1:9", "list"), 1, "cannot be reached"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), WRONG, ids=[" ".join(a) for a, _, _ in WRONG])
def test_what_goes_wrong_is_said_in_a_line(commands: Commands, arguments: tuple[str, ...], code: int, text: str) -> None:
    mlp = "examples/digits-mlp.json"
    done = commands.run(*(mlp if a == "MLP" else a for a in arguments), EPOCHLINE_SERVER="http://127.0.0.1:9")
    assert done.code == code and text in done.err and "secret" not in done.err, done
    for unwanted in ("Traceback", "Internal error", "stamina", "Error: Error"):
        assert unwanted not in done.err + done.out
    assert len(done.err.splitlines()) <= 5 and not done.out


def test_an_error_nobody_foresaw_is_no_traceback_either(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from client.cli import main

    monkeypatch.setattr("client.terminal.Terminal.document", lambda *_: 1 / 0)
    shown = CliRunner().invoke(main, ["schema"])
    assert shown.exit_code == 1 and "Internal error: ZeroDivisionError" in shown.stderr and "Traceback" not in shown.stderr
    assert "Traceback" in CliRunner().invoke(main, ["schema"], env={"EPOCHLINE_DEBUG": "1"}).stderr


def test_paths_may_be_text(tmp_path: Path) -> None:
    with pytest.raises(SpecFileError, match=r"s\.json:1:45: expected an integer at least 1"):
        local.train(spec(tmp_path / "s.json", epochs=0), local.Setting(out=str(tmp_path)), None)  # type: ignore[arg-type]

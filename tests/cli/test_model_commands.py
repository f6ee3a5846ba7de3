"""The commands of finished models: trying one, its report, its formats, training it further."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from client.answers import bar, predictions, report
from client.documents import Deleted, Saved
from client.terminal import Terminal
from server.models import JobDetail, ModelInfo, Page, Prediction, Predictions, ReportEvent, WeightsInfo
from tests.cli.conftest import Run
from tests.service.deployment import Deployment, example, png


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i in range(3):
        (folder / f"{i}.png").write_bytes(png(seed=i))
    return folder


def test_a_model_is_tried(epochline: Run, job: str, files: Path, tmp_path: Path) -> None:
    one = epochline("predict", job, str(files / "0.png"), "--explain", "--out", str(tmp_path / "heat"), COLUMNS="70")
    assert one.code == 0 and "█" in one.out and "where the model looked" in one.out and one.out.count("%") >= 10, one
    assert [p.name for p in (tmp_path / "heat").iterdir()] == ["0-0-saliency.png"]
    found = Predictions(**epochline("predict", job, str(files), "--json").json)
    assert found.job == job and [p.name for p in found.data] == ["0.png", "1.png", "2.png"]
    assert found.data[0].label and found.data[0].label in one.out
    several = epochline("predict", job, *(str(files / f"{i}.png") for i in range(3)), COLUMNS="60")
    assert several.code == 0 and len(several.out.splitlines()) == 4 and all(cell_len(x.rstrip()) <= 60 for x in several.out.splitlines())
    (tmp_path / "bad.png").write_bytes(b"nothing")
    mixed = epochline("predict", job, str(files / "0.png"), str(tmp_path / "bad.png"))
    assert mixed.code == 1 and "error: " in mixed.out
    missing = epochline("predict", job, str(tmp_path / "none.png"))
    assert missing.code == 1 and "No such file" in missing.err
    assert epochline("predict", job).code == 2


def test_what_is_predicted_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[31m\nred\u202e"
    answer = Prediction(name=evil, label=evil, probability=0.9, probabilities={evil: 0.9, "b": 0.1})
    predictions(Terminal(), [answer])
    predictions(Terminal(), [answer, Prediction(error=evil), Prediction(numbers=[1.0, 2.0]), Prediction(labels=[evil])])
    values = {
        "task": "classes", "samples": 3, "classes": [evil, "b"], "confusion_matrix": [[1, 1], [0, 1]],
        "per_class": [{"class": evil, "support": 2, "recall": 0.5}], "worst": [{"id": 7, "true": evil, "predicted": "b"}],
    }  # fmt: skip
    event = {"seq": 1, "attempt": 1, "time": 0.0, "step": 4, "epoch": 2, "split": "val", "variant": evil, "report": values}
    report(Terminal(), ReportEvent.model_validate(event))
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\u202e" not in out and "\nred" not in out and "most wrong" in out
    predictions(Terminal(), [Prediction(numbers=[1.5]), Prediction(numbers=[2.0])])
    assert "probability" not in capsys.readouterr().out
    assert bar(1.0) == "█" * 30 and bar(0.0).strip() == "" and len(bar(0.37)) == 30


@pytest.mark.parametrize("columns", [40, 100])
def test_a_report_fits_the_terminal(epochline: Run, job: str, columns: int) -> None:
    shown = epochline("report", job, "--epoch", "1", COLUMNS=str(columns))
    assert shown.code == 0 and "epoch 1" in shown.out and "most wrong" in shown.out and "recall" in shown.out, shown
    assert all(cell_len(line.rstrip()) <= columns for line in shown.out.splitlines()), shown.out
    found = ReportEvent(**epochline("report", job, "--json").json)
    assert found.epoch == 2 and epochline("report", job, "--split", "test").code == 1


def test_formats_are_pulled(epochline: Run, job: str, tmp_path: Path) -> None:
    saved = Saved(**epochline("pull", job, "--format", "card", "--json", cwd=tmp_path).json)
    assert saved.files == [f"{job}.md"] and "## Use" in (tmp_path / f"{job}.md").read_text()
    assert epochline("pull", job, "--all", "--format", "onnx").code == 2


def test_models_are_named_promoted_and_deleted(epochline: Run, job: str, files: Path, tmp_path: Path) -> None:
    def model(*arguments: str) -> ModelInfo:
        return ModelInfo(**epochline("models", *arguments, "--json").json)

    model("create", "mine", job, "--step", "latest")
    assert model("create", "mine", job, "--alias", "live").aliases == {"live": 2}
    assert model("promote", "mine", "live", "1").aliases == {"live": 1} and model("rollback", "mine", "live").aliases == {"live": 2}
    listed, shown = epochline("models", COLUMNS="80").out, epochline("models", "show", "mine").out
    assert "live=2" in listed and job in shown and "version 2 is the newest" in shown
    assert Page[ModelInfo](**epochline("models", "--json").json).data[0] == model("show", "mine")
    assert Predictions(**epochline("predict", "mine@live", str(files / "0.png"), "--json").json).job == "mine@live"
    assert epochline("pull", "mine@live", cwd=tmp_path).code == 0 and (tmp_path / "mine@live.safetensors").exists()
    words = {"COMP_WORDS": "epochline predict mine", "COMP_CWORD": "2"}
    assert "mine@live" in epochline(**words, _EPOCHLINE_COMPLETE="bash_complete").out
    assert model("delete", "mine", "--alias", "live").aliases == {}
    assert Deleted(**epochline("models", "delete", "mine", "--json").json).id == "mine"
    gone = epochline("models", "show", "mine")
    assert gone.code == 1 and "there is no model" in gone.err


def test_weights_are_uploaded_and_deleted(epochline: Run, job: str, tmp_path: Path) -> None:
    epochline("pull", job, "--out", str(tmp_path / "w.safetensors"))
    sent = WeightsInfo(**epochline("weights", "upload", str(tmp_path / "w.safetensors"), "--json").json)
    assert sent.name == "w.safetensors" and sent.id in epochline("weights").out
    assert Page[WeightsInfo](**epochline("weights", "--json").json).data[0] == sent
    assert Deleted(**epochline("weights", "delete", sent.id, "--json").json).id == sent.id
    assert epochline("weights", "delete", sent.id).code == 1


def test_specs_to_begin_with(epochline: Run, service: Deployment, tmp_path: Path) -> None:
    done = epochline("suggest", service.digits(), "--out", str(tmp_path / "s.json"))
    assert done.code == 0 and "task: classification" in done.err
    assert epochline("check", str(tmp_path / "s.json")).code == 0
    refused = epochline("suggest", service.digits(), "--task", "language_model")
    assert refused.code == 1 and "language_model" in refused.err
    assert '"model"' in epochline("examples", "compare").out
    unknown = epochline("examples", "none")
    assert unknown.code == 1 and "compare" in unknown.err and epochline("examples", "compare", "--out", "x.yaml").code == 2


def test_a_job_is_extended(epochline: Run, service: Deployment) -> None:
    made = service.submit(example("digits-mlp", service.digits(), epochs=1))["id"]
    service.wait_state(made, "succeeded")
    first, *events = epochline("extend", made, "--epochs", "2", "--watch", "--json").lines
    assert JobDetail(**first).spec["epochs"] == 3 and events[-1]["type"] == "done" and events[-1]["state"] == "succeeded"
    assert {e["epoch"] for e in events if e["type"] == "metrics"} == {1, 2, 3}
    assert epochline("extend", made).code == 2

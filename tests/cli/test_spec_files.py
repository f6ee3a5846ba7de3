"""What is wrong with a spec's file is told with its line, its column and a caret under it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from client.cli import main
from client.specfile import read
from client.specfile.json_reader import read_json
from client.specfile.toml_reader import read_toml
from client.specfile.yaml_reader import read_yaml
from tests.cli.conftest import Run
from tests.service.deployment import EXAMPLES

JSON = """{
  "name": "a", "epochs": 2,
  "model": [
    {"type": "Flatten"},
    {"type": "Linear", "out_features": 10}
  ],
  "loss": {"type": "CrossEntropyLoss"},
  "metrics": ["accuracy"],
  "optimizer": {"type": "Adam", "lr": 0.01},
  "data": {"dataset": "digits.zip", "batch_size": 32}
}
"""
YAML = """\
name: a
epochs: 2
model:
  - type: Flatten
  - {type: Linear, out_features: 10}
loss: {type: CrossEntropyLoss}
metrics: [accuracy]
optimizer:
  type: Adam
  lr: 1e-2
data:
  dataset: digits.zip
"""
TOML = """\
name = "a"
epochs = 2
metrics = ["accuracy"]
loss = {type = "CrossEntropyLoss"}
[optimizer]
type = "Adam"
lr = 1e-2
[data]
dataset = "digits.zip"
[[model]]
type = "Flatten"
[[model]]  # the second
type = "Linear"
out_features = 10
"""
TEXTS = {"json": JSON, "yaml": YAML, "toml": TOML}
# what is replaced by what; what the caret is under (its first occurrence in the line), the line, and a part of the message
WRONG: list[tuple[str, str, str, str, int, str]] = [
    ("json", '"epochs": 2', '"epochs": 0', "0", 2, "at least 1"),
    ("json", '"name": "a"', f'"name": "{"n" * 201}"', f'"{"n" * 201}"', 2, "of at most 200 characters, got 201"),
    ("json", '"Linear"', '"Linaer"', '"Linaer"', 5, "did you mean 'Linear'?"),
    ("json", '"out_features": 10', '"out_features": 10.5', "10.5", 5, "expected an integer"),
    ("json", '"out_features": 10', '"bias": true', "{", 5, "out_features is missing"),
    ("json", '"out_features": 10', '"out_feature": 10, "out_features": 10', '"out_feature"', 5, "unknown key 'out_feature'"),
    ("json", '["accuracy"]', '["accuracy", "f2"]', '"f2"', 8, "expected one of"),
    ("json", '"lr": 0.01', '"lr": "fast"', '"fast"', 9, "expected a number"),
    ("json", '"lr": 0.01', '"lr": 0.01, "lr": 0.1', '"lr": 0.1}', 9, "stands twice"),
    ("json", '"batch_size": 32', '"batch_size": 32,', ",}", 10, "no comma before '}'"),
    ("json", '"Flatten"}', '"Flatten"', "{", 5, "expected a key in double quotes"),
    ("json", "0.01", "NaN", "NaN", 9, "JSON has no such number"),
    ("json", '"digits.zip"', '"nowhere.zip"', '"nowhere.zip"', 10, "does not exist"),
    ("json", '"type": "Flatten"', '"type": "Flatten", "start_dim": 0', "{", 4, "samples of a batch apart"),
    ("json", '"out_features": 10', '"out_features": 3', "{", 5, "10 classes"),
    ("yaml", "epochs: 2", "epochs: two", "two", 2, "expected an integer"),
    ("yaml", "lr: 1e-2", "lr: 1e-2\n  lr: 3", "lr", 11, "stands twice"),
    ("yaml", "  type: Adam", "\ttype: Adam", "\t", 9, "not with tabs"),
    ("yaml", "dataset: digits.zip", "dataset: digits.zip\n  batch_sise: 3", "batch_sise", 13, "did you mean 'batch_size'?"),
    ("yaml", "[accuracy]", "[accuracy, no]", "no", 7, "got 'no'"),
    ("toml", "epochs = 2", "epochs = 1979-05-27", "1979-05-27", 2, "nothing that a spec can have"),
    ("toml", "lr = 1e-2", "lr = 1e-2\nlr = 2", "\n", 8, "cannot overwrite"),
    ("toml", "out_features = 10", "out_features = 'ten'", "'ten'", 14, "expected an integer"),
    ("toml", 'type = "Linear"\n', "", "[[model]]", 12, "type is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "old", "new", "under", "line", "text"), WRONG, ids=[f"{w[0]}: {w[2][:30]!r}" for w in WRONG])
def test_line_column_and_caret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, old: str, new: str, under: str, line: int, text: str
) -> None:
    (tmp_path / "digits.zip").symlink_to(EXAMPLES / "digits.zip")
    assert TEXTS[kind].count(old) == 1
    wrong = TEXTS[kind].replace(old, new)
    monkeypatch.chdir(tmp_path)
    file = Path(f"spec.{kind}")
    file.write_text(wrong)
    column = (wrong.split("\n")[line - 1] + "\n").index(under) + 1
    for width in ("60", "200"):
        shown = CliRunner().invoke(main, ["check", str(file)], env={"COLUMNS": width})
        assert shown.exit_code == 1, shown.output
        flat = " ".join(shown.stderr.split())
        assert text in flat and f"spec.{kind}:{line}:{column}:" in shown.stderr, shown.stderr
        rows = shown.stderr.splitlines()
        at = next(i for i, row in enumerate(rows) if row.startswith(f"{line:>5} | "))
        caret = rows[at + 1].index("^")
        meant = wrong.split("\n")[line - 1][column - 1 :][:1].replace("\t", " ")
        assert rows[at][caret : caret + 1].strip() == meant.strip() and all(cell_len(row) <= int(width) for row in rows), shown.stderr


@pytest.mark.parametrize("kind", TEXTS)
def test_the_three_kinds_of_file_say_the_same(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"spec.{kind}"
    file.write_text("\ufeff" + TEXTS[kind].replace("\n", "\r\n"), encoding="utf-8", newline="")
    value = read(file).value
    value["data"].setdefault("batch_size", 32)
    assert value == json.loads(JSON)


def test_places_are_those_of_the_values() -> None:
    for path in EXAMPLES.glob("*.json"):
        text = path.read_text()
        found, as_yaml = read_json(text), read_yaml(text)
        assert found.value == json.loads(text) == as_yaml.value and found.places.values == as_yaml.places.values
    found = read_toml(TOML)
    assert (
        TOML[slice(*found.places.values["/model/1/out_features"])] == "10" and TOML[slice(*found.places.keys["/data/dataset"])] == "dataset"
    )


def test_plain_words_of_yaml_mean_what_version_1_2_says() -> None:
    text = "a: 1e-3\nb: no\nc: 0x10\nd: 012\ne: 2020-01-01\nf: ~\ng: 1:30\nh: on\ni: true"
    assert read_yaml(text).value == {
        "a": 0.001,
        "b": "no",
        "c": 16,
        "d": 12,
        "e": "2020-01-01",
        "f": None,
        "g": "1:30",
        "h": "on",
        "i": True,
    }


def test_both_places_of_a_key_that_stands_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.json").write_text('{"epochs": 1,\n "epochs": 2}')
    shown = CliRunner().invoke(main, ["check", "s.json"]).stderr
    assert (
        "s.json:2:2: the key 'epochs' stands twice" in shown
        and "s.json:1:2: it stands here already" in shown
        and shown.count("^^^^^^^^") == 2
    )


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [*x]",
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{c}: &{c} [*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p}]\n" for p, c in zip("abcdef", "bcdefg", strict=True)),
    ],
)
def test_aliases_cannot_exhaust_memory(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    assert CliRunner().invoke(main, ["check", str(tmp_path / "s.yaml")]).exit_code == 1


@pytest.mark.parametrize("name", ["s.json", "s.yaml", "s.toml"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 1500, b"PK\x03\x04\x00", b"null", b"\x00", b"- 1\n- [", b'"\xed\xa0\x80"'])
def test_no_content_is_a_traceback(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    shown = CliRunner().invoke(main, ["check", str(tmp_path / name)])
    assert shown.exit_code == 1 and "Internal error" not in shown.stderr and name in shown.stderr


def test_what_the_server_refuses_is_shown_in_the_file(epochline: Run, job: str, service: object, tmp_path: Path) -> None:
    """The dataset has ten classes, which only the server knows."""
    dataset = epochline("jobs", "show", job, "--json").json["dataset"]
    text = YAML.replace("digits.zip", dataset).replace("out_features: 10", "out_features: 3")
    (tmp_path / "s.yaml").write_text(text)
    for command in ("submit", "check"):
        shown = epochline(command, str(tmp_path / "s.yaml"))
        assert shown.code == 1 and "s.yaml:5:5: /model/1: " in shown.err and "\n        | " not in shown.err and "^^^^" in shown.err, (
            shown.err
        )
    faults = epochline("submit", str(tmp_path / "s.yaml"), "--json").json
    assert faults["status"] == 422 and faults["errors"][0]["line"] == 5 and faults["errors"][0]["column"] == 5

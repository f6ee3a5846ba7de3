"""What both clients do with finished models: predictions, reports, names, formats; weights and specs to begin with."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from client import ApiError, Client, Job
from client.samples import Sample, requests, samples
from server.models import DatasetInfo, Prediction
from tests.service.clients import KINDS, connected
from tests.service.deployment import EXAMPLES, Deployment, example, png

TABLE = "a,b,label\n" + "".join(f"{i % 7},{i % 5},{'xy'[i % 7 > 3]}\n" for i in range(60))


@pytest.fixture(scope="module")
def trained(service: Deployment, digits: str) -> str:
    job_id = str(service.submit(example("digits-mlp", digits, epochs=2))["id"])
    assert service.wait_state(job_id, "succeeded", "failed")["state"] == "succeeded"
    return job_id


@pytest.fixture(scope="module", params=KINDS)
def client(request: pytest.FixtureRequest, service: Deployment) -> Iterator[Client]:
    with connected(request.param, str(service.http.base_url)) as found:
        yield found


@pytest.fixture
def job(client: Client, trained: str) -> Job:
    return client.jobs.get(trained)


@pytest.fixture(scope="module")
def table(client: Client) -> DatasetInfo:
    return client.datasets.upload(TABLE.encode(), name="table.csv")


def images() -> dict[str, bytes]:
    """Some files of the example, by name."""
    with zipfile.ZipFile(EXAMPLES / "digits.zip") as archive:
        return {n: archive.read(n) for n in [n for n in archive.namelist() if n.endswith(".png")][::300]}


def bare(found: list[Prediction]) -> list[Prediction]:
    return [p.model_copy(update={"name": None}) for p in found]


def test_an_image_is_the_same_whatever_it_is_in_a_program(job: Job, tmp_path: Path) -> None:
    files = images()
    paths = [tmp_path / n.replace("/", "-") for n in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    pictures = [Image.open(io.BytesIO(c)) for c in files.values()]
    expected = job.predict([*files.values()])
    assert len(expected) == len(files) and all(p.label and p.probability and p.name is None for p in expected)
    by_path = job.predict(paths)
    assert [p.name for p in by_path] == [str(p) for p in paths] and bare(by_path) == expected
    assert job.predict(pictures) == expected and job.predict([np.asarray(p) for p in pictures]) == expected
    assert job.predict(np.stack([np.asarray(p) for p in pictures])) == expected
    folder = job.predict(tmp_path)
    assert {p.name: p.label for p in folder} == {path.name: p.label for path, p in zip(paths, expected, strict=True)}
    assert job.predict(str(paths[0]), step="latest")[0].name == str(paths[0])


def test_one_that_cannot_be_read(job: Job) -> None:
    mixed = job.predict([png(), b"nothing", {"a": 1}])
    assert mixed[0].label and mixed[1].error and mixed[2].error
    with pytest.raises(ApiError) as caught:
        job.predict(b"nothing")
    assert caught.value.status == 422
    with pytest.raises(ApiError, match="got text"):
        job.predict("/etc/hostname.that.is.not.here")
    with pytest.raises(ValueError, match="got int"):
        job.predict(7)  # type: ignore[arg-type]


def test_many_samples_are_several_requests(job: Job) -> None:
    found = job.predict(np.zeros((1_001, 8, 8), np.uint8))
    assert len(found) == 1_001 and found[0] == found[-1]
    parts = requests([Sample(b"1"), Sample(b"22"), Sample([1]), Sample(b"333"), Sample(b"4")], most=2, most_bytes=3)
    assert [[s.value for s in p] for p in parts] == [[b"1", b"22"], [[1]], [b"333"], [b"4"]]


def test_what_files_and_texts_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"image")
    (folder / "b.txt").write_text("\ufeffa text")
    (folder / "c.tsv").write_text("a\tb\n1\t2\n")
    assert samples("mixed") == [Sample(b"image", "a.png"), Sample("a text", "b.txt"), Sample({"a": "1", "b": "2"})]
    assert samples(["good", "mixed/b.txt"]) == [Sample("good"), Sample("a text", "mixed/b.txt")]
    assert samples([Sample("mixed/b.txt"), [1, 2]]) == [Sample("mixed/b.txt"), Sample([1, 2])] and samples((1.5, 2)) == [Sample([1.5, 2])]
    assert samples("x" * 9000) == [Sample("x" * 9000)] and samples([]) == []
    for bad, words in (({"a": {1}}, "cannot be sent as JSON"), ([float("inf")], "cannot be sent as JSON")):
        with pytest.raises(ValueError, match=words):
            list(requests(samples(bad)))
    with pytest.raises(ValueError, match=r"expected an array \(N, \.\.\)"):
        samples(np.zeros(3))
    with pytest.raises(FileNotFoundError):
        samples(Path("none.png"))


def test_where_a_model_looked(job: Job) -> None:
    found = job.predict(png(), explain=True)[0]
    assert found.saliency_png and Image.open(io.BytesIO(base64.b64decode(found.saliency_png))).size == (8, 8)


class Frame:
    """A data frame, as far as predictions look at it."""

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return [{"a": np.int64(1), "b": 2.0}, {"a": 6, "b": float("nan")}]


def test_a_spec_is_suggested_and_its_rows_are_predicted(client: Client, table: DatasetInfo, tmp_path: Path) -> None:
    assert len(client.specs.examples()) > 8
    found = client.specs.suggest(table)
    assert found.task == "classification" and found == client.specs.suggest(table.id, "classification")
    with pytest.raises(ApiError) as caught:
        client.specs.suggest(table, "language_model")
    assert caught.value.errors[0].pointer == "/task"
    job = client.jobs.create({**found.spec, "epochs": 2}, wait=True)
    assert job.state == "succeeded", job.info.error
    expected = job.predict([{"a": 1, "b": 2}, {"a": 6, "b": None}])
    assert {p.label for p in expected} <= {"x", "y"} and job.predict(Frame()) == expected
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "rows.json").write_text('{"inputs": [{"a": 1, "b": 2}]}')
    (tmp_path / "rows.jsonl").write_text('{"a": 1, "b": 2}\n')
    for name in ("rows.csv", "rows.json", "rows.jsonl"):
        assert job.predict(tmp_path / name) == expected[:1], name
    sample = client.datasets.sample(table.id, 0)
    assert isinstance(sample, dict) and sample["index"] == 0


def test_reports_and_samples(client: Client, job: Job) -> None:
    last = job.report()
    assert last.epoch == 2 and last == job.report(2, "val") and job.report(1).epoch == 1
    worst: Any = last.report["worst"]
    sample = client.datasets.sample(job.info.dataset, worst[0]["id"])
    assert isinstance(sample, bytes) and Image.open(io.BytesIO(sample)).size == (8, 8)
    with pytest.raises(ApiError, match="there is no report"):
        job.report(split="test")


def test_models_have_names(client: Client, job: Job, tmp_path: Path) -> None:
    name = f"digits-{'sync' if type(job).__name__ == 'Job' else 'async'}"
    client.models.create(name, job.id, "latest")
    made = client.models.create(name, job.id, aliases=["live"])
    assert [v.number for v in made.versions] == [1, 2] and made == client.models.get(name) and made.aliases == {"live": 2}
    assert made.id in [m.id for m in client.models.list()]
    assert client.models.point(name, "live", 1).aliases == {"live": 1} and client.models.roll_back(name, "live").aliases == {"live": 2}
    assert client.models.predict(f"{name}@live", png()) == job.predict(png()) == client.predict(name, [png()]).data
    assert client.predict(job.id, png(), step="latest").step == job.info.progress.step  # type: ignore[union-attr]
    path = client.models.download(f"{name}@live", tmp_path / "m.safetensors")
    assert path.read_bytes() == job.download("best", tmp_path / "j.safetensors").read_bytes()
    assert client.models.delete_alias(name, "live").aliases == {}
    client.models.delete(name)
    with pytest.raises(ApiError, match="there is no model"):
        client.models.get(name)


def test_formats(job: Job, tmp_path: Path) -> None:
    card = job.download(path=tmp_path / "m.md", format="card")
    assert "## Use" in card.read_text()
    assert zipfile.is_zipfile(job.download(path=tmp_path / "m.pt", format="torch"))
    with pytest.raises(ValueError, match="expected a format among"):
        job.download(format="tflite")  # type: ignore[arg-type]


def test_weights_are_uploaded(client: Client, job: Job, tmp_path: Path) -> None:
    path = job.download(path=tmp_path / "mine.safetensors")
    told: list[tuple[int, int]] = []
    found = client.weights.upload(path, progress=lambda n, total: told.append((n, total)))
    assert found.name and told[-1] == (found.size_bytes, found.size_bytes) and found.parameters > 100
    assert client.weights.upload(path.read_bytes()).id == found.id in [w.id for w in client.weights.list()]
    client.weights.delete(found.id)
    with pytest.raises(ApiError) as caught:
        client.weights.delete(found.id)
    assert caught.value.status == 404
    with pytest.raises(ApiError):
        client.weights.upload(b"nothing", name="x.safetensors")

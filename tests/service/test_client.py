"""Every method of both clients against a real server."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import engine
from client import ApiError, Client, DatasetRejected, Job
from engine.data import open_source
from server.models import DatasetInfo
from tests.service.clients import KINDS, connected
from tests.service.deployment import EXAMPLES, Deployment, example, png, zipped

ROOT = EXAMPLES.parent
X = np.arange(40 * 6, dtype=np.float32).reshape(40, 6) % 7
Y = np.arange(40) % 3
LINEAR: dict[str, Any] = {
    "model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 3}], "loss": {"type": "CrossEntropyLoss"}, "epochs": 2,
    "optimizer": {"type": "SGD", "lr": 0.01}, "metrics": ["accuracy", "confusion_matrix"], "data": {"batch_size": 8, "validation": 0.2},
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def client(request: pytest.FixtureRequest, service: Deployment) -> Iterator[Client]:
    with connected(request.param, str(service.http.base_url)) as found:
        yield found


@pytest.fixture(scope="module")
def arrays(client: Client) -> DatasetInfo:
    return client.datasets.wait_ready(client.datasets.upload((X, Y), labels={"kind": "arrays"}).id)


@pytest.fixture(scope="module")
def job(client: Client, arrays: DatasetInfo) -> Job:
    """A job that has ended."""
    return client.jobs.create({**LINEAR, "name": "linear"}, arrays, labels={"team": "a"}, wait=True)


class Table:
    """A data frame, as far as an upload looks at it."""

    def to_csv(self, path: Path, *, index: bool) -> None:
        assert not index
        path.write_text("a,b,label\n" + "".join(f"{i},{i % 5},{'xyz'[i % 3]}\n" for i in range(30)))


def test_what_can_be_uploaded(client: Client, tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(png(seed=len(name)))
    with_splits = {"x_train": X, "y_train": Y, "x_val": X[:9], "y_val": Y[:9]}
    told: list[tuple[int, int]] = []
    sources: list[tuple[Any, dict[str, Any], int, str]] = [
        (EXAMPLES / "digits.zip", {"progress": lambda n, total: told.append((n, total))}, 1797, "digits.zip"),
        (str(tmp_path / "pets"), {}, 3, "pets.zip"),
        (zipped({f"{c}/{i}.png": png(seed=i) for c in "ab" for i in range(3)}), {"name": "letters.zip"}, 6, "letters.zip"),
        ({"x": X[:8], "y": Y[:8]}, {"name": "mine"}, 8, "mine"),
        (with_splits, {}, 49, "arrays.npz"),
        (Table(), {"target": "b"}, 30, "table.csv"),
    ]
    for source, options, samples, name in sources:
        found = client.datasets.wait_ready(client.datasets.upload(source, **options).id)
        assert found.report and (found.report.samples, found.name) == (samples, name), name
    size = (EXAMPLES / "digits.zip").stat().st_size
    assert told[-1] == (size, size) and found.report and found.report.target and found.report.target["name"] == "b"


def test_the_same_arrays_are_the_same_dataset(client: Client, arrays: DatasetInfo, service: Deployment) -> None:
    assert client.datasets.upload({"y": Y, "x": X}).id == arrays.id
    assert client.datasets.upload((X, Y[::-1])).id != arrays.id
    source = open_source(service.data / "datasets" / arrays.id / "prepared")
    assert source.arrays is not None
    np.testing.assert_array_equal(source.arrays, X)


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("nowhere.zip", {}, "nowhere.zip does not exist"), (b"abc", {}, "bytes do not say what they are"), (7, {}, "got int"),
        ((X, Y, Y), {}, "two arrays, the samples and their targets, got 3"), ({"x": X, "y": [None, {}]}, {}, "array y: expected numbers"),
        (Path(__file__), {}, "a file that ends in .zip"),
    ],
)  # fmt: skip
def test_what_cannot_be_uploaded(source: Any, options: dict[str, Any], words: str, client: Client) -> None:
    with pytest.raises(ValueError, match=words):
        client.datasets.upload(source, **options)


def test_a_dataset_that_cannot_be_trained_on(client: Client) -> None:
    dataset = client.datasets.upload(zipped({"cat/1.png": b"no image", "dog/1.png": b"neither"}), name="broken.zip")
    with pytest.raises(DatasetRejected) as caught:
        client.datasets.wait_ready(dataset.id)
    assert caught.value.status == 422 and {f.pointer for f in caught.value.errors} == {"dataset", "cat/1.png", "dog/1.png"}
    assert caught.value.dataset.report and caught.value.dataset.report.refused_count == 2


def test_datasets_are_found_changed_and_deleted(client: Client, arrays: DatasetInfo) -> None:
    made = [client.datasets.upload({"x": X + i + 1, "y": Y}, name=f"pagé {i}", labels={"n": str(i)}).id for i in range(3)]
    assert [d.id for d in client.datasets.list(name="PAGÉ")] == made[::-1]
    assert [d.id for d in client.datasets.list(name="pagé", limit=2)] == made[:0:-1]
    assert [d.id for d in client.datasets.list(labels={"n": "1"})] == [made[1]] and arrays.labels == {"kind": "arrays"}
    assert client.datasets.update(made[0], name="other").name == "other"
    assert client.datasets.update(made[0], labels={"a": "b"}).labels == {"a": "b"} and client.datasets.get(made[0]).name == "other"
    for dataset in made:
        client.datasets.delete(dataset)
    assert not list(client.datasets.list(labels={"n": "1"}))
    with pytest.raises(ApiError) as caught:
        client.datasets.get(made[0])
    assert caught.value.status == 404 and caught.value.problem.request_id and made[0] in str(caught.value)


def test_specs_are_checked(client: Client, arrays: DatasetInfo) -> None:
    found = client.jobs.check(LINEAR, arrays)
    assert found.parameters == 21 and found.layers[-1].pointer == "/model/1" and found.spec["data"]["dataset"] == arrays.id
    assert client.jobs.check(LINEAR, input="2x3").input == [2, 3]
    with pytest.raises(ApiError) as caught:
        client.jobs.check({**LINEAR, "epochs": 0, "model": [{"type": "Linear"}]}, arrays)
    assert {f.pointer for f in caught.value.errors} == {"/epochs", "/model/0/out_features"} and "\n" in str(caught.value)
    with pytest.raises(ValueError, match="cannot be sent as JSON"):
        client.jobs.check({**LINEAR, "seed": {1, 2}})


def test_jobs_are_found_changed_and_deleted(client: Client, arrays: DatasetInfo, job: Job) -> None:
    found = [j.id for j in client.jobs.list(dataset=arrays, labels={"team": "a"}, state="succeeded", name="LIN", sort="-finished")]
    assert found[0] == job.id and len([*client.jobs.list(limit=1)]) == 1
    assert not list(client.jobs.list(created_after=job.info.created + 1e5))
    sent = client.datasets.upload({"x": X + 100, "y": Y})  # is not validated yet
    first, again = (client.jobs.create(LINEAR, sent, idempotency_key=f"{id(client)}") for _ in range(2))
    assert first.id == again.id and first.wait(60).state == "succeeded"
    assert first.update(name="renamed", labels={"x": "y"}).name == "renamed" and client.jobs.get(first.id).info.labels == {"x": "y"}
    first.delete()
    with pytest.raises(ApiError, match="there is no job"):
        first.refresh()
    assert [w.queue for w in client.workers.list()].count("cpu") == 1


def test_requests_act_on_a_running_job(client: Client, digits: str) -> None:
    job = client.jobs.create(example("digits-mlp", digits, epochs=4000))
    with pytest.raises(TimeoutError, match="is still"):
        job.wait(0.01)
    with closing(job.stream()) as events:
        next(e for e in events if e.type == "metrics")
    with pytest.raises(ApiError, match="cancel it first") as caught:
        job.delete()
    assert caught.value.status == 409 and job.pause().state in ("pausing", "paused")
    assert job.resume().state in ("queued", "starting", "running") and job.stop().state in ("stopping", "stopped")
    assert job.wait(60).state == "stopped"
    waiting = client.jobs.create(example("digits-mlp", digits, epochs=4000))
    waiting.cancel()
    assert waiting.wait(60).state == "cancelled" and [*waiting.stream()][-1].type == "done"


def test_the_stream_and_the_history_are_the_log(client: Client, job: Job, service: Deployment) -> None:
    events = list(job.stream())
    assert [e.model_dump(mode="json", exclude_none=True) for e in events] == service.events(job.id)
    points = [e for e in events if e.type == "metrics"]
    history = job.history()
    assert len(history) == len(points) == 10 and list(history["seq"]) == [p.seq for p in points]
    val = history.select("val")
    assert val["accuracy"].dtype == np.float64 and list(val.step) == [4, 8] and set(val.split) == {"val"}
    assert np.isnan(history["accuracy"][0]) and history["confusion_matrix"][0] is None
    assert np.asarray(val["confusion_matrix"][0]).shape == (3, 3) and "lr" not in val.values
    with pytest.raises(KeyError, match="no column 'f1': there are seq, step"):
        history["f1"]
    assert set(job.history("loss", "train").values) == {"loss"} and len(job.history(max_points=2)) < 10


def test_the_history_as_a_data_frame(client: Client, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=dict))
    frame = job.history().to_pandas()
    assert {"step", "split", "loss", "accuracy"} <= frame.keys() and len(frame["loss"]) == 10


def test_logs_and_checkpoints(client: Client, job: Job) -> None:
    assert [line.message for line in job.logs(tail=1)] and not job.logs(level="error")
    assert [c.step for c in job.checkpoints()] == [4, 8]


def test_the_model_computes_what_was_trained(client: Client, job: Job, tmp_path: Path) -> None:
    told: list[int] = []
    path = job.download("latest", tmp_path / "model.safetensors", progress=lambda n, total: told.append(total - n))
    weights = job.state_dict("latest")
    assert told[-1] == 0 and path.stat().st_size > 84 and [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert {n: a.shape for n, a in weights.items()} == {"1.weight": (3, 6), "1.bias": (3,)}
    before = engine.get_rng_state()
    module = job.model(8)
    assert engine.get_rng_state() == before and not module.training
    np.testing.assert_allclose(module(engine.from_numpy(X)).detach().numpy(), X @ weights["1.weight"].T + weights["1.bias"], rtol=1e-5)
    with pytest.raises(ApiError, match="there is no checkpoint"):
        job.download(7, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"no checkpoint 7: expected best, latest, or one of the steps \(4, 8\)"):
        job.model(7)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_model_of_a_variant(client: Client, arrays: DatasetInfo) -> None:
    wide = [{"type": "Flatten"}, {"type": "Linear", "out_features": 5}, {"type": "Linear", "out_features": 3}]
    job = client.jobs.create({**LINEAR, "compare": [{"name": "narrow"}, {"name": "wide", "model": wide}]}, arrays, wait=True)
    assert job.state == "succeeded", job.info.error
    assert [c.variant for c in job.checkpoints()][-1] == "wide" and len(list(job.model("latest").parameters())) == 4
    assert set(job.history().variant) == {"narrow", "wide"} and len(job.history().select("train", "wide")) == 8


def test_a_job_shows_itself(client: Client, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    handle = types.SimpleNamespace(update=shown.append)
    display = types.SimpleNamespace(display=lambda thing, display_id: shown.append(thing) or handle)  # type: ignore[func-returns-value]
    ipython = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(kernel=1), display=display)
    job.update(name="<script>")
    assert "&lt;script&gt;" in job._repr_html_() and "<script>" not in job._repr_html_() and "succeeded" in repr(job)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    job.watch()
    assert len(shown) >= 2 and "<polyline" in shown[-1]._repr_html_() and "succeeded" in shown[-1]._repr_html_()


@pytest.mark.parametrize("page", ["README.md", "docs/client.md"])
def test_the_documented_example_works_as_pasted(
    page: str, service: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = next(c for c in (ROOT / page).read_text().split("```python\n")[1:] if "import Client" in c).split("```")[0]
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("EPOCHLINE_SERVER", str(service.http.base_url))
    names: dict[str, Any] = {}
    exec(code.replace('"http://127.0.0.1:8000"', ""), names)
    assert len(capsys.readouterr().out.splitlines()) > 12
    assert len(names["model"](engine.zeros(1, 1, 8, 8))[0]) == 10


def test_a_server_that_is_none_of_ours(client: Client) -> None:
    answers = {"/v1/workers": httpx.Response(200, text="<html>hello"), "/v1/jobs/job_1": httpx.Response(418, text="teapot")}
    with Client("http://elsewhere", transport=httpx.MockTransport(lambda r: answers[r.url.path])) as other:
        with pytest.raises(ApiError, match="is it an Epochline server"):
            other.workers.list()
        with pytest.raises(ApiError, match="418"):
            other.jobs.get("job_1")


def test_the_server_and_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []
    monkeypatch.setenv("EPOCHLINE_SERVER", "http://there:9/")
    monkeypatch.setenv("EPOCHLINE_KEY", "secret\n")
    with Client(transport=httpx.MockTransport(lambda r: seen.append(r) or httpx.Response(200, json={"data": []}))) as client:  # type: ignore[func-returns-value]
        client.workers.list()
    assert str(seen[0].url) == "http://there:9/v1/workers" and seen[0].headers["authorization"] == "Bearer secret"
    with pytest.raises(ValueError, match="expected the server's address"):
        Client("there:9")

"""A finished model is tried over HTTP, and answers as its job's evaluation did."""

from __future__ import annotations

import base64
import csv
import io
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine
from tests.service.deployment import EXAMPLES, Deployment, example, kill, png, zipped


@pytest.fixture(scope="module")
def digits_job(service: Deployment, digits: str) -> str:
    job = service.submit(example("digits-cnn", digits, epochs=3))
    assert service.wait_state(job["id"], "succeeded", "failed")["state"] == "succeeded"
    return str(job["id"])


def images() -> dict[str, bytes]:
    """The first files of each class of the example, by name."""
    with zipfile.ZipFile(EXAMPLES / "digits.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".png")]
        return {n: archive.read(n) for n in names[:: len(names) // 60]}


def asked(d: Deployment, job: str, **request: Any) -> list[dict[str, Any]]:
    answer = d.http.post(f"/v1/jobs/{job}/predict", **request)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def test_every_way_to_send_images_has_the_answers_of_the_engine(service: Deployment, digits_job: str, tmp_path: Path) -> None:
    model_file = tmp_path / "model.safetensors"
    model_file.write_bytes(service.http.get(f"/v1/jobs/{digits_job}/checkpoints/best").content)
    model, files = engine.load_model(model_file), images()
    expected = {n: model.predict(content).as_dict() for n, content in files.items()}
    single = {n: asked(service, digits_job, content=c)[0] for n, c in list(files.items())[:3]}
    assert single == {n: expected[n] for n in single}
    form = asked(service, digits_job, files=[("file", (n, c)) for n, c in files.items()])
    packed = asked(service, digits_job, content=zipped(files), headers={"Content-Type": "application/zip"})
    assert {p.pop("name"): p for p in form} == expected == {p.pop("name"): p for p in packed}
    assert np.mean([p["label"] == Path(n).parent.name for n, p in expected.items()]) > 0.8


def test_callers_at_once_are_answered_right(service: Deployment, digits_job: str) -> None:
    files = images()
    one_by_one = {n: asked(service, digits_job, content=c)[0] for n, c in files.items()}
    with ThreadPoolExecutor(20) as pool:
        together = dict(zip(files, pool.map(lambda c: asked(service, digits_job, content=c)[0], files.values()), strict=True))
    assert together == one_by_one


def test_where_a_model_looked(service: Deployment, digits_job: str) -> None:
    answer = service.http.post(f"/v1/jobs/{digits_job}/predict?explain=gradients", content=next(iter(images().values())))
    heat = Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["saliency_png"])))
    assert heat.size == (8, 8) and heat.getextrema()[1] == 255


def test_rows_of_a_table(service: Deployment) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"colour": c, "size": round(float(s), 2), "price": round(float(3 * s + (c == "red")), 3)}
        for c, s in zip(rng.choice(["red", "blue"], 200), rng.random(200))
    ]
    text = io.StringIO()
    table = csv.DictWriter(text, ["colour", "size", "price"])
    table.writeheader()
    table.writerows(rows)
    dataset = service.upload(text.getvalue().encode(), "prices.csv", target="price")
    spec = {
        "epochs": 60, "model": [{"type": "Linear", "out_features": 1}], "loss": {"type": "MSELoss"}, "optimizer": {"type": "Adam", "lr": 0.05},
        "data": {"dataset": dataset["id"], "batch_size": 20},
    }  # fmt: skip
    job = service.wait_state(service.submit(spec)["id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job["error"]
    given = [{k: r[k] for k in ("colour", "size")} for r in rows[:5]]
    by_json = asked(service, job["id"], json={"inputs": given})
    assert [p["numbers"][0] for p in by_json] == pytest.approx([r["price"] for r in rows[:5]], abs=0.3)
    lines = "colour,size\n" + "".join(f"{r['colour']},{r['size']}\n" for r in given)
    assert asked(service, job["id"], content=lines, headers={"Content-Type": "text/csv"}) == by_json


@pytest.mark.parametrize(
    ("request_", "status", "why"),
    [
        ({"content": b""}, 422, "no sample"),
        ({"content": b"not an image"}, 422, "image"),
        ({"json": {"inputs": 3}}, 422, "inputs"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "not JSON"),
        ({"content": b"PK\x03\x04 broken", "headers": {"Content-Type": "application/zip"}}, 422, "zip"),
        ({"content": b"x", "headers": {"Content-Type": "text/html"}}, 415, "text/html"),
        ({"json": {"inputs": [[1, 2]] * 1001}}, 413, "1000"),
        ({"content": png((8, 8)), "params": {"step": "99"}}, 404, "99"),
    ],
)
def test_what_cannot_be_predicted(service: Deployment, digits_job: str, request_: dict[str, Any], status: int, why: str) -> None:
    answer = service.http.post(f"/v1/jobs/{digits_job}/predict", **request_)
    assert answer.status_code == status and why in answer.json()["detail"], answer.text


def test_one_bad_file_of_several_is_told_by_itself(service: Deployment, digits_job: str) -> None:
    found = asked(service, digits_job, files=[("a", ("good.png", png())), ("b", ("bad.png", b"nothing"))])
    assert "label" in found[0] and "error" in found[1] and found[1]["name"] == "bad.png"


def test_json_has_pixels_and_names_no_file_of_the_server(service: Deployment, digits_job: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    answer = service.http.post(f"/v1/jobs/{digits_job}/predict", json={"inputs": [str(tmp_path / "secret.png")]})
    assert answer.status_code == 422 and "got text" in answer.json()["detail"]
    pixels = np.asarray(Image.open(io.BytesIO(png()))).tolist()
    assert asked(service, digits_job, json={"inputs": [pixels]}) == asked(service, digits_job, content=png())
    refused = service.http.post(f"/v1/jobs/{digits_job}/predict", json={"inputs": [[[256]]]})
    assert refused.status_code == 422 and "from 0 to 255" in refused.json()["detail"]


def test_predictions_go_on_when_their_process_dies(service: Deployment, digits_job: str) -> None:
    before = asked(service, digits_job, content=png())
    children = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"worker.predictor" in _read(p) and _is_child(p, service)]
    assert len(children) == 1
    kill(int(children[0].parent.name))
    deadline = time.monotonic() + 30
    while (answer := service.http.post(f"/v1/jobs/{digits_job}/predict", content=png())).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer.status_code == 200 and answer.json()["data"] == before


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _is_child(path: Path, service: Deployment) -> bool:
    assert service.process is not None
    return f"PPid:\t{service.process.pid}\n".encode() in _read(path.parent / "status")

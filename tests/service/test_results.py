"""What a job leaves behind: its best and last models, what they mean, and how it failed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from tests.service.deployment import Deployment, png, zipped
from tests.service.test_clients import run

NET = [{"type": "Linear", "out_features": 32}, {"type": "ReLU"}, {"type": "Linear", "out_features": 2}]


def noise() -> bytes:
    """Classes that cannot be learnt, so that a network overfits."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 30)).astype(np.float32)
    out = io.BytesIO()
    np.savez(out, x=x, y=(x[:, 0] + 2 * rng.normal(size=60) > 0).astype(np.int64))
    return out.getvalue()


def spec(dataset: str, **changes: Any) -> dict[str, Any]:
    return {
        "epochs": 10, "model": NET, "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "Adam", "lr": 0.01},
        "data": {"dataset": dataset, "batch_size": 16, "validation": 0.4}, **changes,
    }  # fmt: skip


def finished(service: Deployment, **changes: Any) -> dict[str, Any]:
    body = spec(service.upload(noise(), "noise.npz")["id"], **changes)
    return service.wait_state(service.submit(body)["id"], "succeeded", "failed")


def saved(service: Deployment, job: dict[str, Any]) -> list[dict[str, Any]]:
    return list(service.get(f"/v1/jobs/{job['id']}/checkpoints")["data"])


def test_the_best_of_each_variant_and_the_last_are_kept(service: Deployment) -> None:
    variants = [{"name": "overfits", "seed": 1}, {"name": "poor", "optimizer": {"type": "SGD", "lr": 1e-5}}]
    job = finished(service, compare=variants, checkpoint={"keep": 1, "every_epochs": 4}, metrics=["accuracy", "confusion_matrix"])
    kept = {c["step"] for c in saved(service, job)}
    results = job["results"]
    assert {b["step"] for b in results["bests"]} | {results["last_step"], 30} <= kept and results["best_step"] in kept
    rows = service.get(f"/v1/jobs/{job['id']}/metrics", split="val")["data"]
    for best in results["bests"]:
        losses = {r["epoch"]: r["values"]["loss"] for r in rows if r["variant"] == best["variant"]}
        assert best["epoch"] == min(losses, key=lambda e: losses[e]) and best["val_loss"] == min(losses.values())
    assert np.sum(rows[0]["values"]["confusion_matrix"]) == 24 and rows[0]["samples_per_s"] > 0
    table = service.http.get(f"/v1/jobs/{job['id']}/metrics", params={"format": "csv", "split": "val"}).text
    assert "accuracy,confusion_matrix,loss" in table and '"[[' in table


def test_the_last_model_is_there_after_early_stopping(service: Deployment) -> None:
    job = finished(service, epochs=60, early_stopping={"patience": 3}, checkpoint={"every_epochs": 50})
    assert job["results"]["variants"][0]["epochs"] < 50 and job["progress"]["fraction"] == 1
    assert job["results"]["last_step"] == job["progress"]["step"] == saved(service, job)[-1]["step"]


def test_classes_input_and_transform_outlive_the_dataset(service: Deployment, tmp_path: Path) -> None:
    files = {f"{'zebra' if i % 2 else 'ant'}/{i}.png": png(seed=i) for i in range(16)}
    record = service.upload(zipped(files), "animals.zip")
    body = spec(record["id"], model=[{"type": "Flatten"}, *NET], epochs=1)
    body["data"]["transform"] = [{"type": "Normalize", "mean": [0.5], "std": [0.25]}]
    job = service.wait_state(service.submit(body)["id"], "succeeded", "failed")
    service.http.delete(f"/v1/datasets/{record['id']}")
    card = service.job(job["id"])["model"]
    assert card["classes"] == ["ant", "zebra"] and card["input"] == [1, 8, 8] and card["transform"][0]["mean"] == [0.5]
    (tmp_path / "m.safetensors").write_bytes(service.http.get(f"/v1/jobs/{job['id']}/checkpoints/best").content)
    with safe_open(tmp_path / "m.safetensors", "numpy") as file:
        known = file.metadata()
    assert {k: json.loads(known[k]) for k in card} == card


def test_divergence_names_step_layer_and_checkpoint(service: Deployment) -> None:
    job = finished(service, optimizer={"type": "SGD", "lr": 0.01}, epochs=300, scheduler={"type": "ExponentialLR", "gamma": 1.5})
    error = job["error"]
    assert job["state"] == "failed" and error["code"] == "diverged" and error["pointer"] == "/optimizer"
    assert error["step"] >= job["progress"]["step"] and error["layer"]
    assert error["checkpoint"] in [c["step"] for c in saved(service, job)] and f"step {error['checkpoint']}" in error["message"]
    assert job["results"]["best_step"] is not None


def test_a_variant_that_diverges_ends_alone(service: Deployment) -> None:
    variants = [{"name": "sound", "seed": 1}, {"name": "wild", "optimizer": {"type": "SGD", "lr": 1e30}}]
    job = finished(service, compare=variants)
    assert job["state"] == "succeeded" and job["progress"]["fraction"] == 1
    sound, wild = job["results"]["variants"]
    assert sound["epochs"] == 10 and "error" not in sound and wild["error"]["pointer"] == "/compare/1/optimizer"
    assert [e["variant"] for e in service.events(job["id"]) if e.get("level") == "error"] == ["wild"]


def test_a_local_run_keeps_what_the_service_keeps(tmp_path: Path) -> None:
    (tmp_path / "noise.npz").write_bytes(noise())
    variants = [
        {"name": "a b", "seed": 1},
        {"name": "a-b", "seed": 2},
        {"name": ".." + "x" * 190, "optimizer": {"type": "SGD", "lr": 1e30}},
    ]
    (tmp_path / "s.json").write_text(json.dumps(spec("noise.npz")))
    run("train", "s.json", "--out", "one", cwd=tmp_path)
    assert {p.name for p in (tmp_path / "one").glob("*.safetensors")} == {"model.safetensors", "last.safetensors"}
    results = json.loads((tmp_path / "one" / "results.json").read_text())
    assert results["bests"][0]["epoch"] < 10 and results["model"]["classes"] == ["0", "1"]
    (tmp_path / "s.json").write_text(json.dumps(spec("noise.npz", compare=variants, epochs=2)))
    shown = run("train", "s.json", "--out", "three", cwd=tmp_path)
    assert "ends: the loss became" in shown
    names = {p.name for p in (tmp_path / "three").glob("*.safetensors")}
    assert names == {f"{kind}-a-b-{i}.safetensors" for kind in ("model", "last") for i in (0, 1)}
    (tmp_path / "s.json").write_text(json.dumps(spec("noise.npz", optimizer={"type": "SGD", "lr": 1e30})))
    assert "not finite" in run("train", "s.json", "--out", "wild", cwd=tmp_path, code=1)
    assert (tmp_path / "wild" / "history.csv").exists()

"""The command, the README's curl flow, API keys, and the page in a real browser."""

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.service.deployment import EXAMPLES, Deployment, example, wait_for

ROOT = EXAMPLES.parent
EPOCHLINE = str(Path(sys.executable).with_name("epochline"))


def run(*arguments: str, cwd: Path | None = None, code: int = 0) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}  # lines of a pipe are not cut
    done = subprocess.run([EPOCHLINE, *arguments], capture_output=True, text=True, cwd=cwd, timeout=100, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_train_compares_four_optimizers_and_draws_them(tmp_path: Path) -> None:
    shown = run("train", str(EXAMPLES / "optimizers.json"), "--out", str(tmp_path))
    assert "Adam" in shown and "Saved in" in shown
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert len(rows) == 4 * 12 * 32
    results = {r["variant"]: r["train_loss"] for r in json.loads((tmp_path / "results.json").read_text())["variants"]}
    assert results["Adam"] < results["SGD"] and results["RMSprop"] < results["SGD"] and results["Momentum"] < results["SGD"]
    with Image.open(tmp_path / "loss.png") as image:
        assert image.size[0] > 800 and len(image.convert("RGB").getcolors(1 << 20) or []) > 50
    assert {p.name for p in tmp_path.glob("model-*")} == {f"model-{n}.safetensors" for n in ("SGD", "Momentum", "RMSprop", "Adam")}


def test_check_prints_the_table_or_every_problem(tmp_path: Path) -> None:
    table = run("check", str(EXAMPLES / "digits-cnn.json"))
    assert "Conv2d" in table and "16x8x8" in table and "9,962" in table.replace("total", "")
    spec = example("digits-cnn", "digits.zip", epochs=0)
    spec["model"][8]["in_features"] = 7
    (tmp_path / "bad.json").write_text(json.dumps(spec))
    assert "/epochs" in run("check", str(tmp_path / "bad.json"), "--data", str(EXAMPLES / "digits.zip"), code=1)
    (tmp_path / "bad.json").write_text("{")
    assert "bad.json:1:2: " in run("train", str(tmp_path / "bad.json"), code=1)
    assert "does not exist" in run("train", str(EXAMPLES / "digits-mlp.json"), "--data", "nowhere.zip", code=1)


def test_submit_watch_jobs_pull_cancel(service: Deployment, tmp_path: Path) -> None:
    server = ("--server", str(service.http.base_url))
    shown = run(*server, "submit", str(EXAMPLES / "digits-mlp.json"), "--watch", "--picture", str(tmp_path / "loss.png"))
    assert (
        "1,797 samples, 10 classes" in shown and "epoch  12" in shown and "val_accuracy 0.9" in shown and (tmp_path / "loss.png").exists()
    )
    job = re.search(r"job (job_\w+) is", shown)
    assert job and job[1] in run(*server, "jobs")
    assert "final:" in run(*server, "watch", job[1])
    run(*server, "pull", job[1], "--out", str(tmp_path / "m.safetensors"))
    assert (tmp_path / "m.safetensors").stat().st_size > 10_000
    assert "succeeded" in run(*server, "cancel", job[1])
    assert "there is no job" in run(*server, "watch", "job_nope", code=1)
    assert "cannot be reached" in run("--server", "http://127.0.0.1:9", "jobs", code=1)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_curl_flow_works_as_pasted(service: Deployment, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    flow = text.split("## Use it with curl")[1].split("```sh\n")[1].split("```")[0]
    script = flow.replace("http://127.0.0.1:8000", str(service.http.base_url).rstrip("/")).replace("/tmp/", f"{tmp_path}/")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "event: done" in done.stdout and "step,epoch,split,variant,accuracy,loss" in done.stdout
    assert (tmp_path / "model.safetensors").stat().st_size > 10_000


def test_the_readmes_library_example_learns() -> None:
    code = (ROOT / "README.md").read_text().split("or as a library:")[1].split("```python\n")[1].split("```")[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert float(done.stdout) < 0.05


def test_the_readmes_spec_is_one(service: Deployment, digits: str) -> None:
    spec = json.loads((ROOT / "README.md").read_text().split("```json\n")[1].split("```")[0])
    spec["data"]["dataset"] = digits
    answer = service.http.post("/v1/jobs/validate", json=spec)
    assert answer.status_code == 200, answer.text


def test_keys_are_asked_for(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, "--auth", "--workers", "0").start()
    try:
        address = str(deployment.http.base_url)
        refused = httpx.get(f"{address}/v1/jobs")
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        key = run("keys", "--data", str(tmp_path), "create", "alice").strip()
        assert httpx.get(f"{address}/v1/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert httpx.get(f"{address}/v1/jobs", headers={"Authorization": f"Bearer {key}x"}).status_code == 401
        assert key.encode() not in b"".join(deployment.redis.hgetall("apikeys").values()) and "alice" in run(
            "keys", "--data", str(tmp_path), "list"
        )
        run("--server", address, "--key", key, "jobs")
        run("keys", "--data", str(tmp_path), "revoke", "alice")
        assert httpx.get(f"{address}/v1/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    finally:
        deployment.stop()


def test_two_servers_do_not_share_a_folder(service: Deployment) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "server", "--data", str(service.data), "--port", "0"], capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1 and "another server is using" in second.stderr


def test_a_users_own_modules_are_not_taken_for_ours(tmp_path: Path) -> None:
    """The current folder has a ``server.py``, a ``worker.py`` and an ``engine/`` of the user's."""
    for name in ("server.py", "worker.py", "client.py", "engine/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('this is the user's own')")
    deployment = Deployment(tmp_path / "data", command=[EPOCHLINE, "serve"], cwd=tmp_path).start()
    try:
        job = deployment.submit(example("digits-mlp", deployment.digits(), epochs=1))
        assert deployment.wait_state(job["id"], "succeeded", "failed")["state"] == "succeeded"
    finally:
        deployment.stop()
    assert "handwritten digits" not in run("check", str(EXAMPLES / "digits-mlp.json"), cwd=tmp_path)
    assert "queue" in run("worker", "--help", cwd=tmp_path)


def test_it_serves_on_an_ipv6_address(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    deployment = Deployment(tmp_path, "--host", "::1", "--workers", "0").start()
    try:
        assert str(deployment.http.base_url).startswith("http://[::1]:")
        assert "id" in run("--server", str(deployment.http.base_url), "jobs")
    finally:
        deployment.stop()


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def test_the_page_lists_jobs_and_draws_the_loss(service: Deployment, digits: str, tmp_path: Path) -> None:
    job: dict[str, Any] = service.submit(example("digits-mlp", digits, name="drawn in a browser"))
    service.wait_state(job["id"], "succeeded")
    for name in ("page.js", "style.css", "vendor/uPlot.iife.min.js", "vendor/uPlot.min.css"):
        assert service.http.get(f"/page/{name}").status_code == 200
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    profile, picture = tmp_path / "profile", tmp_path / "page.png"
    shared = [chromium(), *options, f"--user-data-dir={profile}", "--virtual-time-budget=4000", "--window-size=1200,900"]
    address = f"{service.http.base_url}#{job['id']}"
    dom = subprocess.run([*shared, "--dump-dom", address], capture_output=True, text=True, timeout=60).stdout
    assert "drawn in a browser" in dom and "u-legend" in dom and "succeeded" in dom and "step 276 of 276" in dom
    subprocess.run([*shared, f"--screenshot={picture}", address], capture_output=True, timeout=60)
    wait_for(picture.exists)
    time.sleep(0.2)
    with Image.open(picture) as image:
        colours: Any = image.convert("RGB").getcolors(1 << 22) or []
        blue = sum(n for n, colour in colours if abs(colour[0] - 0x1F) < 30 and abs(colour[1] - 0x6F) < 30 and colour[2] > 200)
    assert blue > 200  # the training curve is there

"""The page with API keys on: signed in once, it works; nobody else gets in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.browser import opened
from tests.service.deployment import Deployment, example


def keys(d: Deployment, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "server.keys", "--data", str(d.data), *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, str]]:
    """A server with keys on, and a key."""
    deployment = Deployment(tmp_path_factory.mktemp("guarded"), "--auth").start()
    key = keys(deployment, "create", "alice")
    deployment.http.headers["Authorization"] = f"Bearer {key}"
    yield deployment, key
    deployment.stop()


def test_a_session_stands_for_its_key_until_it_is_revoked(guarded: tuple[Deployment, str]) -> None:
    d, _ = guarded
    key = keys(d, "create", "bob")
    address = str(d.http.base_url)
    with httpx.Client(base_url=address) as http:
        assert http.get("/v1/session").status_code == 401
        assert http.post("/v1/session", json={"key": key + "x"}).status_code == 401 and not http.cookies
        signed = http.post("/v1/session", json={"key": key})
        cookie = signed.headers["set-cookie"].lower()
        assert signed.status_code == 204 and "httponly" in cookie and "samesite=strict" in cookie and key.lower() not in cookie
        assert http.get("/v1/session").json() == {"keys": True, "owner": "bob"}
        assert http.get("/v1/jobs").status_code == 200
        assert http.get("/v1/jobs", headers={"Origin": "http://elsewhere.example"}).status_code == 401
        assert http.get("/v1/jobs", headers={"Authorization": "Bearer wrong"}).status_code == 401
        stolen = dict(http.cookies)
        assert http.delete("/v1/session").status_code == 204 and http.get("/v1/jobs").status_code == 401
        assert httpx.get(f"{address}/v1/jobs", cookies=stolen).status_code == 401  # signed out is signed out
        http.post("/v1/session", json={"key": key})
        assert http.get("/v1/jobs").status_code == 200
        keys(d, "revoke", "bob")
        assert http.get("/v1/jobs").status_code == 401


def test_the_page_works_with_keys_on(guarded: tuple[Deployment, str], tmp_path: Path) -> None:
    d, key = guarded
    job = d.submit(example("digits-mlp", d.digits(), name="behind a key", epochs=40))
    with opened(tmp_path / "profile") as browser:
        browser.go(str(d.http.base_url))
        browser.wait("document.querySelector('#sign-in') && !document.querySelector('#sign-in').hidden")
        assert browser.run("document.querySelector('main').hidden")
        sign_in = "document.querySelector('#key').value = '{}'; document.querySelector('#sign-in').requestSubmit()"
        browser.run(sign_in.format("wrong"))
        browser.wait("document.querySelector('#sign-in-error').textContent.includes('no such API key')")
        browser.run(sign_in.format(key))
        browser.wait("document.body.textContent.includes('behind a key')")
        browser.wait(
            "document.querySelector('.u-legend') && document.querySelector('#state').textContent === 'succeeded'"
        )  # live, by its stream
        assert browser.run("document.cookie") == "" and not browser.run("JSON.stringify({...localStorage, ...sessionStorage})").strip("{}")
        browser.go(f"{d.http.base_url}#{job['id']}")
        browser.wait("document.querySelector('#sign-in').hidden && document.body.textContent.includes('behind a key')")
        assert not [m for m in browser.messages if "Content Security Policy" in m or m.startswith("exception")], browser.messages
        browser.screenshot(tmp_path / "page.png")
        browser.run("document.querySelector('#sign-out').click()")
        browser.wait("!document.querySelector('#sign-in').hidden")

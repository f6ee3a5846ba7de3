"""Swagger UI and the page in a browser: under a strict content security policy, with nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.browser import Browser, opened
from tests.service.deployment import Deployment


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with opened(tmp_path / "profile") as b:
        yield b


def test_swagger_ui_shows_every_operation_and_sends_the_key(browser: Browser, tmp_path: Path) -> None:
    d = Deployment(tmp_path / "data", "--auth", "--workers", "0").start().authenticate()
    try:
        browser.go(f"{d.http.base_url}/docs")
        operations = sum(map(len, d.get("/openapi.json")["paths"].values()))
        browser.wait(f"document.querySelectorAll('.opblock').length == {operations}")
        browser.run("document.querySelector('button.authorize').click()")
        browser.wait("!!document.querySelector('.auth-container input')")
        key = d.http.headers["Authorization"].removeprefix("Bearer ")
        browser.run(f"""(() => {{
            const field = document.querySelector('.auth-container input');
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, {json.dumps(key)});
            field.dispatchEvent(new Event('input', {{bubbles: true}}));
        }})()""")
        browser.run("document.querySelector('.auth-btn-wrapper .authorize').click()")
        browser.run("document.querySelector('.auth-btn-wrapper .btn-done').click()")
        browser.run("document.querySelector('#operations-system-list_workers .opblock-summary-control').click()")
        browser.wait("!!document.querySelector('#operations-system-list_workers .execute')")
        browser.run("document.querySelector('#operations-system-list_workers .execute').click()")
        answer = browser.wait(
            "document.querySelector('#operations-system-list_workers .live-responses-table tbody .response-col_status')?.innerText"
        )
        assert answer.split()[0] == "200"
        assert not [m for m in browser.messages if not m.startswith("info")], browser.messages
    finally:
        d.stop()


def test_the_policy_holds_on_the_page(service: Deployment, browser: Browser) -> None:
    policy = service.http.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    browser.go(str(service.http.base_url))
    browser.wait("document.querySelector('#workers').textContent")
    assert not [c for c in browser.messages if "Content Security Policy" in c]
    browser.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.injected = 1'}))")
    browser.wait("true")
    assert browser.run("window.injected") is None and any("Content Security Policy" in c for c in browser.messages)

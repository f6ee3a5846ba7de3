"""Swagger UI and the page in a browser: under a strict content security policy, with nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.browser import Browser
from tests.service.deployment import Deployment


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    b = Browser(tmp_path / "profile")
    yield b
    b.close()


def test_swagger_ui_shows_every_operation_and_sends_the_key(browser: Browser, tmp_path: Path) -> None:
    d = Deployment(tmp_path / "data", "--auth", "--workers", "0").start().authenticate()
    try:
        browser.open(f"{d.http.base_url}/docs")
        operations = sum(map(len, d.get("/openapi.json")["paths"].values()))
        browser.wait_for(f"document.querySelectorAll('.opblock').length == {operations}")
        browser.evaluate("document.querySelector('button.authorize').click()")
        browser.wait_for("!!document.querySelector('.auth-container input')")
        key = d.http.headers["Authorization"].removeprefix("Bearer ")
        browser.evaluate(f"""(() => {{
            const field = document.querySelector('.auth-container input');
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, {json.dumps(key)});
            field.dispatchEvent(new Event('input', {{bubbles: true}}));
        }})()""")
        browser.evaluate("document.querySelector('.auth-btn-wrapper .authorize').click()")
        browser.evaluate("document.querySelector('.auth-btn-wrapper .btn-done').click()")
        browser.evaluate("document.querySelector('#operations-system-list_workers .opblock-summary-control').click()")
        browser.wait_for("!!document.querySelector('#operations-system-list_workers .execute')")
        browser.evaluate("document.querySelector('#operations-system-list_workers .execute').click()")
        answer = browser.wait_for(
            "document.querySelector('#operations-system-list_workers .live-responses-table tbody .response-col_status')?.innerText"
        )
        assert answer.split()[0] == "200"
        assert browser.complaints == []
    finally:
        d.stop()


def test_the_policy_holds_on_the_page(service: Deployment, browser: Browser) -> None:
    policy = service.http.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    browser.open(str(service.http.base_url))
    browser.wait_for("document.querySelector('#workers').textContent")
    assert not [c for c in browser.complaints if "Content Security Policy" in c]
    browser.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.injected = 1'}))")
    browser.wait_for("true")
    assert browser.evaluate("window.injected") is None and any("Content Security Policy" in c for c in browser.complaints)

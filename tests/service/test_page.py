"""The page in a real browser: a model is tried by a file and by a drawing."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path

import pytest

from tests.service.browser import Browser, opened
from tests.service.deployment import EXAMPLES, Deployment, example


@pytest.fixture(scope="module")
def trained(service: Deployment, digits: str) -> str:
    job = service.submit(example("digits-cnn", digits, name="to be tried", epochs=4))
    assert service.wait_state(job["id"], "succeeded", "failed")["state"] == "succeeded"
    return str(job["id"])


def chosen(browser: Browser, content: bytes) -> str:
    """What the page says of an image that is chosen in its file field."""
    data = json.dumps(base64.b64encode(content).decode())
    browser.run(
        f"""(() => {{
          const bytes = Uint8Array.from(atob({data}), (c) => c.charCodeAt(0));
          const files = new DataTransfer();
          files.items.add(new File([bytes], "x.png"));
          document.querySelector("#answer").replaceChildren();
          document.querySelector("#try-file").files = files.files;
          document.querySelector("#try-file").dispatchEvent(new Event("change"));
        }})()"""
    )
    return str(browser.wait("document.querySelector('#answer .bar .name')?.textContent"))


def test_a_model_is_tried_in_the_browser(service: Deployment, trained: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(EXAMPLES / "digits.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".png")][::400]
        files = {n: archive.read(n) for n in names}
    with opened(tmp_path / "profile", (1200, 1500)) as browser:
        browser.go(f"{service.http.base_url}#{trained}")
        browser.wait("document.querySelector('#try') && !document.querySelector('#try').hidden")
        for content in files.values():
            answer = service.http.post(f"/v1/jobs/{trained}/predict", content=content).json()["data"][0]
            assert chosen(browser, content) == answer["label"]
        browser.run("document.querySelector('#try-explain').checked = true")
        for kind, x, y in (("mousePressed", 80, 20), ("mouseMoved", 80, 80), ("mouseMoved", 80, 140), ("mouseReleased", 80, 140)):
            browser.pointer(kind, "#pad", x, y)
        browser.wait("document.querySelector('#answer figure img')?.naturalWidth === 8")
        browser.screenshot(tmp_path / "try.png")
        assert not [m for m in browser.messages if "Content Security Policy" in m or m.startswith("exception")], browser.messages

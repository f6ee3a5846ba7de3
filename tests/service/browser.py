"""A real browser for tests: Chromium, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--remote-debugging-port=0",
)  # fmt: skip


class Browser:
    """One tab. ``messages`` are what the page wrote to the console, and what it was refused by the content security policy."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self.messages: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: Any) -> None:
        params = message.get("params", {})
        if message.get("method") == "Log.entryAdded":
            self.messages.append(f"{params['entry']['level']}: {params['entry']['text']}")
        elif message.get("method") == "Runtime.exceptionThrown":
            self.messages.append(f"exception: {params['exceptionDetails'].get('exception', {}).get('description', params)}")

    def go(self, address: str) -> None:
        """Opens a page."""
        self._call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """What an expression is worth in the page; a promise is waited for."""
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, timeout_s: float = 60.0) -> Any:
        """What an expression is worth once it is true."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(AssertionError):  # the page is not there yet
                if found := self.run(script):
                    return found
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {script}; {self.messages}"
            time.sleep(0.05)

    def pointer(self, kind: str, selector: str, x: float, y: float) -> None:
        """Moves, presses or releases the mouse (``mouseMoved``, ..) at a place within an element, in pixels."""
        script = f"(() => {{ const e = document.querySelector('{selector}'); e.scrollIntoView(); const r = e.getBoundingClientRect(); return [r.x, r.y]; }})()"
        left, top = self.run(script)
        pressed = kind != "mouseReleased"
        self._call("Input.dispatchMouseEvent", type=kind, x=left + x, y=top + y, button="left", buttons=int(pressed), clickCount=1)

    def screenshot(self, path: Path) -> Path:
        """A picture of the page as a PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))
        return path


@contextlib.contextmanager
def opened(profile: Path, size: tuple[int, int] = (1200, 900)) -> Iterator[Browser]:
    """A browser with a profile of its own. Skips the test where there is no Chromium."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.skip("no Chromium on this machine")
    command = [binary, *_OPTIONS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file, deadline = profile / "DevToolsActivePort", time.monotonic() + 60
        while not (port_file.exists() and "\n" in port_file.read_text()):
            assert time.monotonic() < deadline and process.poll() is None, "Chromium does not start"
            time.sleep(0.05)
        tabs = httpx.get(f"http://127.0.0.1:{port_file.read_text().split()[0]}/json").json()
        address = next(t["webSocketDebuggerUrl"] for t in tabs if t["type"] == "page")
        with connect(address, max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(20)

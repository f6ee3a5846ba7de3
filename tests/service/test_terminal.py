"""What others named things is shown on a terminal as it is, and steers nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from client.draw import History, chart, line, picture
from client.terminal import printable
from server.models import MetricsEvent
from tests.service.deployment import Deployment, example
from tests.service.test_clients import EPOCHLINE

POINT = MetricsEvent(seq=1, time=0, attempt=1, step=1, epoch=1, split="train", values={"loss": 0.5})


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "\x1b[2J", "a\rb", "a\nb", "\u202eevil", "\x9b31m", "\u2028"])
def test_no_character_steers_the_terminal(text: str) -> None:
    assert not set(printable(text)) & set("\x1b\x07\r\n\u202e\x9b\u2028")


def test_other_characters_stay() -> None:
    text = "naïve 名 [bold] $x_1$ 🙂"
    assert printable(text) == text


def test_the_chart_of_a_variant_of_any_name(tmp_path: Path) -> None:
    history, name = History(), "v\x1b[31m [/x] cost $x^$"
    history.add(POINT.model_copy(update={"variant": name}))
    for shown in (chart(history, name, 80, 20), line(history, "running")):
        assert "\x1b[31m [" not in shown and "cost $x^$" in shown
    picture(history, name, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").stat().st_size > 1000


def run(service: Deployment, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "EPOCHLINE_SERVER": str(service.http.base_url), "COLUMNS": "160", **environment}
    return subprocess.run([EPOCHLINE, *arguments], capture_output=True, env=env, timeout=100)


@pytest.mark.parametrize("name", ["data [/tmp/x]", "[bold]best[/bold]", "good ✓"])
def test_jobs_and_watch_show_a_name_as_it_is(service: Deployment, digits: str, name: str) -> None:
    job = service.submit(example("digits-mlp", digits, name=name, epochs=1))
    service.wait_state(job["id"], "succeeded")
    for arguments in (("jobs", "--limit", "1"), ("watch", job["id"])):
        utf8, ascii_only = (run(service, *arguments, PYTHONIOENCODING=e) for e in ("utf-8", "ascii"))
        assert utf8.returncode == ascii_only.returncode == 0, utf8.stderr + ascii_only.stderr
        assert name in utf8.stdout.decode() and name.replace("✓", "?") in ascii_only.stdout.decode("ascii")

"""What reaches the terminal: as wide as it is, in colour only where that is wanted, and nothing of it steers."""

from __future__ import annotations

import ast
import os
import pty
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from client.terminal import Column, Terminal
from tests.cli.commands import EPOCHLINE, ROOT
from tests.cli.conftest import Run
from tests.service.deployment import EXAMPLES, Deployment, example, wait_for

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CNN = str(EXAMPLES / "digits-cnn.json")


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_lines_fit_and_ids_are_whole(epochline: Run, job: str, columns: int) -> None:
    info = epochline("jobs", "show", job, "--json").json
    for arguments in (("jobs",), ("datasets",), ("jobs", "show", job), ("check", CNN), ("watch", job), ("checkpoints", job)):
        shown = epochline(*arguments, COLUMNS=str(columns))
        assert shown.code == 0 and all(cell_len(line.rstrip()) <= columns for line in shown.out.splitlines()), shown.out
        assert "\x1b" not in shown.out
        if arguments == ("jobs",):
            assert info["id"] in shown.out and "succeeded" in shown.out and ("naïve [red] 名" if columns == 200 else "naïve [") in shown.out
        if arguments == ("datasets",):
            assert info["dataset"] in shown.out
        if arguments[0] == "check":
            assert "9,962" in shown.out and "largest batch" in shown.out and ("activations" in shown.out or columns == 60)
        if arguments[0] == "watch":
            assert "epoch   2/2  100%" in shown.out and "val loss" in shown.out


def test_a_pipe_gets_whole_lines(epochline: Run, job: str) -> None:
    assert "naïve [red] 名" in epochline("jobs").out and max(map(len, epochline("check", CNN).out.splitlines())) > 60


def on_terminal(service: Deployment, *arguments: str, columns: int, interrupt: Any = None, **environment: str) -> tuple[int, str]:
    """The exit code of a command on a terminal of its own, and what was written there."""
    ours, theirs = pty.openpty()
    env = {
        **os.environ,
        "EPOCHLINE_SERVER": str(service.http.base_url),
        "COLUMNS": str(columns),
        "LINES": "30",
        "TERM": "xterm-256color",
        **environment,
    }
    process = subprocess.Popen([EPOCHLINE, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    found = bytearray()

    def read() -> None:
        try:
            while piece := os.read(ours, 4096):
                found.extend(piece)
        except OSError:  # the other side has closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    if interrupt is not None:
        wait_for(lambda: interrupt(found.decode(errors="replace")), what="something to interrupt")
        process.send_signal(signal.SIGINT)
    code = process.wait(100)
    reader.join()
    os.close(ours)
    return code, found.decode(errors="replace")


def test_a_live_chart_on_a_narrow_terminal_with_and_without_colour(service: Deployment, job: str) -> None:
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        code, shown = on_terminal(service, "watch", job, columns=60, **environment)
        colours = re.findall(r"\x1b\[(?:3[1-8]|9[0-7]|38;[0-9;]+)m", shown)
        lines = [ESCAPE.sub("", line).rstrip() for line in re.split(r"[\r\n]+", shown)]
        assert code == 0 and bool(colours) is coloured, shown[-2000:]
        assert all(cell_len(line) <= 60 for line in lines), max(lines, key=cell_len)
        assert any("epoch   2/2  100%" in line for line in lines) and "naïve [red] 名" in shown


def test_ctrl_c_detaches_and_says_how_to_come_back(service: Deployment, epochline: Run) -> None:
    spec = example("digits-mlp", service.digits(), epochs=100_000)
    job = service.submit(spec)["id"]
    code, shown = on_terminal(service, "watch", job, columns=80, interrupt=lambda text: "ETA" in text)
    assert code == 130 and f"epochline watch {job}" in shown and "Traceback" not in shown
    assert service.job(job)["state"] in ("starting", "running")
    epochline("cancel", job)


def test_submit_watch_says_that_there_is_no_worker(service: Deployment, epochline: Run, tmp_path: Path) -> None:
    spec = (
        (EXAMPLES / "digits-mlp.json").read_text().replace('"epochs"', '"device": "cuda", "epochs"').replace("digits.zip", service.digits())
    )
    (tmp_path / "s.json").write_text(spec)
    done = epochline("submit", str(tmp_path / "s.json"), "--watch", interrupt_when=lambda out, err: "no worker takes" in err)
    assert done.code == 130 and "epochline worker --device cuda:0" in done.err and "Detached" in done.err
    job = re.findall(r"job_\w+", done.out)[0]
    assert f"epochline watch {job}" in done.err
    epochline("cancel", job)


def test_a_table_leaves_out_what_has_no_room(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    columns, row = (Column("id", fixed=True), Column("name"), Column("last")), ["job_0123456789abcdefghij", "[b]n\x1b[2Jame " * 3, "x" * 30]
    for width, kept in ((40, ["id", "name"]), (60, ["id", "name", "last"])):
        monkeypatch.setenv("COLUMNS", str(width))
        Terminal().table(columns, [row])
        shown = capsys.readouterr().out
        assert shown.split("\n")[0].split() == kept and row[0] in shown and "\x1b" not in shown and "[b]n" in shown


def test_all_output_passes_one_place() -> None:
    """Nothing in the command prints by itself."""
    found = []
    for path in [
        ROOT / "client" / "cli.py",
        *(ROOT / "client" / "commands").glob("*.py"),
        ROOT / "client" / "local.py",
        ROOT / "client" / "screen.py",
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "click.echo",
                "click.secho",
                "sys.stdout.write",
                "Console",
            ):
                found.append(f"{path.name}:{node.lineno}")
    assert not found

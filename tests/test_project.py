"""The project itself: its files, its compose file, its commands, its README."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def tracked(*patterns: str) -> list[Path]:
    return [
        p
        for pattern in patterns
        for top in ("client", "engine", "server", "worker", "tests", "scripts", "examples")
        for p in (ROOT / top).rglob(pattern)
    ]


def test_the_compose_file_fits_the_schema() -> None:
    subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"],
        check=True,
        capture_output=True,
    )


def test_the_compose_commands_fit_the_command_line() -> None:
    """Every ``epochline`` command of the compose file and the Dockerfile parses, up to where it would start."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert set(services) == {"redis", "server", "worker", "worker-gpu"} and services["worker-gpu"]["profiles"] == ["gpu"]
    commands = [s["command"] for s in services.values()] + [
        yaml.safe_load(c) for c in re.findall(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.M)
    ]
    ours = [c for c in commands if c[0] == "epochline"]
    assert len(ours) == 6
    for command in ours:
        module = {"serve": "server", "worker": "worker"}[command[1]]
        script = f"import sys; from {module}.__main__ import main; main.make_context('x', sys.argv[1:])"
        subprocess.run(
            [sys.executable, "-c", script, *command[2:]], check=True, env={"EPOCHLINE_REDIS_URL": "redis://x", "EPOCHLINE_DATA": "/data"}
        )
    targets = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.M))
    assert {s["build"]["target"] for s in services.values() if "build" in s} <= targets


def test_no_file_is_longer_than_400_lines() -> None:
    assert not [p for p in tracked("*.py", "*.js", "*.css") if "vendor" not in p.parts and len(p.read_text().splitlines()) > 400]


def test_cupy_is_imported_in_one_place() -> None:
    importing = [
        p.relative_to(ROOT)
        for p in tracked("*.py")
        if p.is_relative_to(ROOT / "engine") and re.search(r"^\s*(import|from) cupy|import_module\(.cupy", p.read_text(), re.M)
    ]
    assert importing == [Path("engine/backend/__init__.py")]


def test_the_server_starts_without_cupy_and_the_engine_without_pydantic() -> None:
    for module, absent in (("server.app", "cupy"), ("engine", "pydantic"), ("engine", "PIL"), ("worker.run", "fastapi")):
        subprocess.run([sys.executable, "-c", f"import sys, {module}; sys.exit({absent!r} in sys.modules)"], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    "command", ["--help", "--version", "serve --help", "worker --help", "keys --help", "train --help", "submit --help"]
)
def test_commands_explain_themselves(command: str) -> None:
    subprocess.run([Path(sys.executable).with_name("epochline"), *command.split()], check=True, capture_output=True, cwd=ROOT)


def test_keys_cannot_be_off_where_others_can_reach() -> None:
    refused = subprocess.run([sys.executable, "-m", "server", "--host", "0.0.0.0", "--no-auth"], capture_output=True, text=True, cwd=ROOT)
    assert refused.returncode == 2 and "keys cannot be off" in refused.stderr


def test_links_in_the_documents_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "examples" / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"

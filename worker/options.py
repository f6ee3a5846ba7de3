"""What the commands that start a process of the service have in common: options, and clear words where one cannot start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import click
from redis.exceptions import RedisError

from worker.deployment import TRANSIENT, Redis, connect
from worker.logs import FORMAT

LogFormat = Literal["console", "json"]
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


_JSON = "epochline.json"


def _use(ctx: click.Context, param: click.Parameter, value: LogFormat) -> LogFormat:
    value = "json" if ctx.meta.get(_JSON) else value
    os.environ[FORMAT] = value  # of the processes that this one starts, too
    return value


def _as_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.meta[_JSON] = value
    return value


json_option = click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_as_json, help="Print JSON; of log lines, too.")


log_format_option = click.option(
    "--log-format", type=click.Choice(["console", "json"]), envvar=FORMAT, default="console", show_default=True, callback=_use,
    help="Lines to standard error, for people or as JSON.",
)  # fmt: skip


def command_name() -> str | None:
    """What the user has typed, where this process stands in for a command of ``epochline``."""
    return os.environ.pop("EPOCHLINE_COMMAND", None)


def writable(folder: Path) -> Path:
    """The folder, made if need be. Raises ClickException for one that cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise click.ClickException(f"the data folder {folder} cannot be written: {error.strerror}; choose another with --data") from None
    return folder


def reachable(url: str, patience_s: float) -> Redis:
    """A client of a Redis that answers. Raises BadParameter for an address that is none, ClickException where nobody answers there."""
    try:
        client = connect(url, patience_s)
    except ValueError as error:
        raise click.BadParameter(f"{without_password(url)!r}: {error}", param_hint="--redis") from None
    try:
        _first_answer(client, url, patience_s)
    except (RedisError, OSError) as error:
        raise click.ClickException(f"Redis at {without_password(url)} cannot be reached: {error}") from None
    return client


def _first_answer(client: Redis, url: str, patience_s: float) -> None:
    """Waits for one, and says so where it takes long."""
    try:
        with connect(url, min(1.0, patience_s)) as first:
            first.ping()
    except TRANSIENT:
        click.echo(f"waiting for Redis at {without_password(url)}, for up to {patience_s:.0f} s", err=True)
        client.ping()


def without_password(url: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))

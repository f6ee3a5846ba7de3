"""``python -m server``: the service, with the embedded store and workers unless they run elsewhere."""

from __future__ import annotations

import fcntl
import ipaddress
import logging
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import click
import uvicorn

from server.app import create_app
from server.printed import Serving
from worker.deployment import Deployment
from worker.embedded import Store
from worker.logs import configure, logger
from worker.options import HELP, LogFormat, command_name, json_option, log_format_option, reachable, writable
from worker.processes import die_with_parent, end, start, started_by

_log = logger("serve")
_REDIS_S = 5.0
"""How long a Redis that runs elsewhere may take to answer before the server gives up."""
RESTART_S = 1.0
"""How long to wait after a worker died, so that one that cannot live does not keep the machine busy."""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Supervisor(threading.Thread):
    """The embedded store and the workers: starts them, and starts again what dies."""

    def __init__(self, deployment: Deployment, store: Store | None, workers: int) -> None:
        super().__init__(daemon=True, name="supervisor")
        self.deployment, self.store = deployment, store
        self._commands = [["-m", "worker", "--queue", "train"]] * workers + [["-m", "worker", "--queue", "data"]] * (workers > 0)
        self._children: list[subprocess.Popen[bytes] | None] = [None] * len(self._commands)
        self._closing = threading.Event()
        self.started = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            if self.store is not None:
                self.store.start()
        except Exception as error:
            self.failure = error
        self.started.set()
        pause = 0.0
        while self.failure is None and not self._closing.wait(pause):
            pause = 0.2
            if self.store is not None and not self.store.alive:
                _log.warning("the embedded store has died; starting it again")
                self.store.start()
            for i, child in enumerate(self._children):
                if child is None or child.poll() is not None:
                    if child is not None:
                        _log.warning("a worker has ended; starting another", code=child.returncode)
                        pause = RESTART_S
                    self._children[i] = start(self._commands[i], self.deployment.environment())

        self._end_children()

    def _end_children(self) -> None:
        """In this thread: the children are killed as soon as the thread that started them is no more."""
        for child in self._children:
            if child is not None:
                child.terminate()
        for child in self._children:
            if child is not None:
                end(child, 25)
        if self.store is not None:
            self.store.stop()

    def close(self) -> None:
        self._closing.set()
        self.join()


def _leave(*_: object) -> None:
    raise SystemExit(0)


@click.command(context_settings=HELP)
@click.option(
    "--redis",
    "redis_url",
    envvar="EPOCHLINE_REDIS_URL",
    help="A Redis or Valkey that runs elsewhere; without it an embedded one is started.",
)
@click.option(
    "--workers", type=click.IntRange(0), default=None, help="CPU workers to start beside the server; 1 with the embedded store, else 0."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    envvar="EPOCHLINE_DATA",
    show_default=True,
    help="Folder of datasets, checkpoints and the embedded store.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes one that is free.")
@click.option(
    "--auth/--no-auth", default=None, help="Require API keys; on by default except on a loopback address, where alone it can be off."
)
@json_option
@log_format_option
@click.option("--access-log/--no-access-log", default=None, help="A line for each request; by default with --log-format json only.")
def main(
    redis_url: str | None, workers: int | None, data: Path, host: str, port: int, auth: bool | None, log_format: LogFormat,
    access_log: bool | None, as_json: bool,
) -> None:  # fmt: skip
    """Serves the REST API and the page."""
    configure("server")
    shown = log_format == "json" if access_log is None else access_log
    logging.getLogger("epochline.access").setLevel(logging.INFO if shown else logging.WARNING)
    parent = started_by()
    if parent is not None:
        die_with_parent(parent)
    if auth is False and not _is_loopback(host):
        raise click.BadParameter(
            f"keys cannot be off on {host}, which others can reach; use --host 127.0.0.1, or leave --no-auth out", param_hint="--no-auth"
        )
    lock = (writable(data) / "serve.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise click.ClickException(f"another server is using the folder {data}") from None
    if redis_url:
        reachable(redis_url, _REDIS_S).close()
    store = None if redis_url else Store(data / "store")
    deployment = Deployment(redis_url or (store.url if store else ""), data)
    os.environ.update({k: v for k, v in deployment.environment().items() if k.startswith("EPOCHLINE_")})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # uvicorn raises the signal again once it has shut down
    supervisor = Supervisor(deployment, store, workers if workers is not None else 1 if store else 0)
    supervisor.start()
    supervisor.started.wait()
    if supervisor.failure is not None:
        raise click.ClickException(str(supervisor.failure))
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, reuse_port=False)
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        (data / "address").write_text(address)
        serving = Serving(address=address, data=str(data.resolve()))
        click.echo(serving.model_dump_json() if as_json else f"Epochline is serving at {address}  (data in {serving.data})")
        app = create_app(deployment, not _is_loopback(host) if auth is None else auth)
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3)
        uvicorn.Server(config).run(sockets=[listener])
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
    finally:
        supervisor.close()


if __name__ == "__main__":
    main(prog_name=command_name())

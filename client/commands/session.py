"""What a command is given: the terminal, and the client for the server that the options name."""

from __future__ import annotations

from typing import Any

import click

from client import Client
from client.terminal import Terminal


class Session:
    """One run of the ``epochline`` command."""

    def __init__(self, server: str | None, key: str | None) -> None:
        self.server, self.key, self.terminal = server, key, Terminal()

    def client(self, **more: Any) -> Client:
        """A client, to be used with ``with``."""
        return Client(self.server, self.key, **more)


pass_session = click.make_pass_decorator(Session)

"""What the commands of the service print with ``--json``."""

from __future__ import annotations

from server.models import Model, Seconds


class ApiKey(Model):
    """An API key as ``epochline keys`` prints it; the key itself only when it is made."""

    name: str
    created: Seconds
    key: str | None = None


class Serving(Model):
    """What ``epochline serve`` prints once it serves."""

    address: str
    data: str

"""The Python client of the service, and the ``epochline`` command."""

from client.api import ApiError, Client

__all__ = ["ApiError", "Client"]

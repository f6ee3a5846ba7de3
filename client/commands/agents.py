"""``epochline mcp``: the service for agents, by the Model Context Protocol."""

from __future__ import annotations

import click

from client.commands.failures import Failure
from client.commands.options import json_option
from client.commands.session import Session, pass_session


@click.command("mcp")
@json_option
@pass_session
def mcp(session: Session) -> None:
    """Serves an agent over standard input and output (MCP): it can check a spec, upload, submit, watch and read results.

    Its tools are made from the server's OpenAPI document, so that they are those of the server that --server names. Needs the extra: pip
    install 'epochline[mcp]'. With --json the tools are listed instead.
    """
    try:
        from client import bridge  # the only place that needs the extra
    except ModuleNotFoundError as error:
        if error.name != "fastmcp":
            raise
        raise Failure("fastmcp is not installed: pip install 'epochline[mcp]'") from None
    server = bridge.connect(session.server, session.key)
    if session.terminal.json:
        session.terminal.emit({"data": bridge.tools(server)})
    else:
        bridge.serve(server)

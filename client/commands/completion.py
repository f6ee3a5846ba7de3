"""``epochline completion``: what a shell needs to complete commands, options and ids."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from client.commands.options import json_option
from client.commands.session import Session, pass_session


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
@json_option
@click.pass_context
@pass_session
def completion(session: Session, ctx: click.Context, shell: str) -> None:
    """Prints the completion script of SHELL. Ids of jobs and datasets are completed, too: the shell asks the server.

    \b
    bash: add to ~/.bashrc: eval "$(epochline completion bash)"
    zsh:  add to ~/.zshrc: eval "$(epochline completion zsh)"
    fish: epochline completion fish > ~/.config/fish/completions/epochline.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    source = kind(ctx.find_root().command, {}, "epochline", "_EPOCHLINE_COMPLETE").source()
    session.terminal.emit({"shell": shell, "script": source})
    if not session.terminal.json:
        session.terminal.script(source)

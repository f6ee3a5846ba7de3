"""The ``epochline`` command."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import click

from client.commands import agents, completion, datasets, doctor, follow, jobs, machines, models, predict, pull, specs, submit, training
from client.commands.failures import INTERRUPTED, REFUSED, report
from client.commands.session import Session
from client.terminal import replace_unencodable


class _Commands(click.Group):
    """Turns what users can cause into a message and an exit code: 1 refused or failed, 2 wrong use, 130 interrupted."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)
        except Exception as error:
            report(ctx.find_object(Session) or Session(None, None), error)
            ctx.exit(REFUSED)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong use, 130 interrupted; `watch` and `wait` have more.",
)  # fmt: skip
@click.option(
    "--server",
    envvar="EPOCHLINE_SERVER",
    default="http://127.0.0.1:8000",
    show_default=True,
    show_envvar=True,
    help="Address of the service.",
)
@click.option("--key", envvar="EPOCHLINE_KEY", show_envvar=True, help="API key, where the service asks for one.")
@click.version_option(package_name="epochline")
@click.pass_context
def main(ctx: click.Context, server: str, key: str | None) -> None:
    """Trains neural networks described as JSON, YAML or TOML, here or on a server."""
    replace_unencodable()
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries log is nothing that a user of the command has asked for
    warnings.simplefilter("ignore")
    ctx.obj = Session(server, key)


for _command in (
    submit.submit, submit.check, training.train, follow.watch, follow.wait, follow.logs, follow.extend, jobs.jobs, *jobs.requests,
    pull.pull, pull.checkpoints, predict.predict, predict.report, models.models, models.weights, specs.suggest, specs.examples, datasets.datasets, machines.workers, *machines.processes, doctor.doctor, training.schema, agents.mcp,
    completion.completion,
):  # fmt: skip
    main.add_command(_command)


if __name__ == "__main__":
    main()

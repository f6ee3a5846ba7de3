"""Groups of commands that are named after things: without a verb they list them."""

from __future__ import annotations

import click


class ListingGroup(click.Group):
    """``epochline jobs --state running`` is ``epochline jobs list --state running``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names and args[0].startswith("-")):
            args = ["list", *args]
        return super().parse_args(ctx, args)

"""``python -m server.keys``: API keys, of which the store keeps only the digest."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel
from redis.exceptions import RedisError

from server.models import Items
from server.printed import ApiKey
from worker import keys
from worker.deployment import Redis, connect
from worker.embedded import Store
from worker.options import HELP, command_name, without_password

json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")


@click.group(context_settings=HELP)
@click.option(
    "--redis",
    "redis_url",
    envvar="EPOCHLINE_REDIS_URL",
    help="The server's Redis; without it the embedded store of a server that runs here.",
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data"), envvar="EPOCHLINE_DATA", show_default=True)
@click.pass_context
def main(ctx: click.Context, redis_url: str | None, data: Path) -> None:
    """Makes, lists and revokes API keys."""
    url = redis_url or Store(data / "store").url
    try:
        ctx.obj = connect(url, patience_s=1)
        ctx.obj.ping()
    except ValueError as error:
        raise click.BadParameter(f"{without_password(url)!r}: {error}", param_hint="--redis") from None
    except (RedisError, OSError) as error:
        where = without_password(url) if redis_url else f"the embedded store of {data}"
        raise click.ClickException(f"{where} cannot be reached: {error}; is the server running?") from None


def _keys(redis: Redis) -> Iterator[tuple[str, ApiKey]]:
    """Every key by its digest."""
    for hashed, record in redis.hgetall(keys.API_KEYS).items():
        yield hashed, ApiKey(**json.loads(record))


def _print(document: BaseModel, text: str, as_json: bool) -> None:
    click.echo(json.dumps(document.model_dump(mode="json")) if as_json else text)


@main.command()
@click.argument("name")
@json_option
@click.pass_obj
def create(redis: Redis, name: str, as_json: bool) -> None:
    """Makes a key for NAME and prints it, once."""
    if not name.isprintable() or not 0 < len(name) <= 200:
        raise click.BadParameter("expected 1 to 200 printable characters", param_hint="NAME")
    made = ApiKey(name=name, created=time.time(), key=f"ek_{secrets.token_urlsafe(32)}")
    redis.hset(keys.API_KEYS, keys.digest(str(made.key)), json.dumps({"name": made.name, "created": made.created}))
    _print(made, str(made.key), as_json)


@main.command("list")
@json_option
@click.pass_obj
def listing(redis: Redis, as_json: bool) -> None:
    """Lists the names that have keys."""
    found = sorted((key for _, key in _keys(redis)), key=lambda k: (k.name, k.created))
    lines = (f"{_shown(k.name)}  (made {time.strftime('%Y-%m-%d', time.gmtime(k.created))})" for k in found)
    if found or as_json:
        _print(Items(data=found), "\n".join(lines), as_json)


def _shown(name: str) -> str:
    """A name without what would steer a terminal: older versions took any."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


@main.command()
@click.argument("name")
@json_option
@click.pass_obj
def revoke(redis: Redis, name: str, as_json: bool) -> None:
    """Revokes all keys of NAME."""
    mine = {hashed: key for hashed, key in _keys(redis) if key.name == name}
    if not mine:
        raise click.ClickException(f"{name} has no key")
    redis.hdel(keys.API_KEYS, *mine)
    _print(Items(data=list(mine.values())), f"{len(mine)} key(s) of {name} revoked", as_json)


if __name__ == "__main__":
    main(prog_name=command_name())

"""``python -m server.keys``: API keys, of which the store keeps only the digest."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

import click
from redis.exceptions import RedisError

from worker import keys
from worker.deployment import Redis, connect
from worker.embedded import Store


@click.group()
@click.option(
    "--redis", "redis_url", envvar="EPOCHLINE_REDIS_URL", help="The store; without it the embedded one of a server that is running."
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path("data"), envvar="EPOCHLINE_DATA", show_default=True)
@click.pass_context
def main(ctx: click.Context, redis_url: str | None, data: Path) -> None:
    """Makes and lists API keys."""
    ctx.obj = connect(redis_url or Store(data / "store").url, patience_s=1)
    try:
        ctx.obj.ping()
    except RedisError as error:
        raise click.ClickException(f"the store cannot be reached: {error}; is the server running?") from None


@main.command()
@click.argument("name")
@click.pass_obj
def create(redis: Redis, name: str) -> None:
    """Makes a key for NAME and prints it, once."""
    key = f"ek_{secrets.token_urlsafe(32)}"
    redis.hset(keys.API_KEYS, keys.digest(key), json.dumps({"name": name, "created": time.time()}))
    click.echo(key)


@main.command("list")
@click.pass_obj
def listing(redis: Redis) -> None:
    """Lists the names that have keys."""
    for found in sorted((json.loads(v) for v in redis.hvals(keys.API_KEYS)), key=lambda k: str(k["name"])):
        click.echo(f"{found['name']}  (made {time.strftime('%Y-%m-%d', time.gmtime(found['created']))})")


@main.command()
@click.argument("name")
@click.pass_obj
def revoke(redis: Redis, name: str) -> None:
    """Takes away all keys of NAME."""
    mine = [d for d, v in redis.hgetall(keys.API_KEYS).items() if json.loads(v)["name"] == name]
    if not mine:
        raise click.ClickException(f"{name} has no key")
    redis.hdel(keys.API_KEYS, *mine)
    click.echo(f"{len(mine)} key(s) of {name} taken away")


if __name__ == "__main__":
    main()

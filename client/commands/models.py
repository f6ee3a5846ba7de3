"""``epochline models``: names, versions and aliases of models; ``epochline weights``: files that jobs start from."""

from __future__ import annotations

import time
from pathlib import Path

import click

from client.commands.groups import ListingGroup
from client.commands.options import JOB, NAME, PATH, WEIGHTS, json_option, yes
from client.commands.session import Session, pass_session
from client.documents import Deleted
from client.terminal import Column, Terminal, size
from server.models import ModelInfo, WeightsInfo, page

_MODELS = (
    Column("name", fixed=True), Column("versions", right=True), Column("newest of"), Column("aliases", least=10), Column("created", right=True),
)  # fmt: skip
_VERSIONS = (
    Column("version", right=True, fixed=True),
    Column("job", fixed=True),
    Column("step", right=True),
    Column("created", right=True),
)
_WEIGHTS = (
    Column("id", fixed=True), Column("name"), Column("parameters", right=True), Column("size", right=True), Column("created", right=True),
)  # fmt: skip
name_argument = click.argument("name", type=NAME)
limit_option = click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
sure_option = click.option("--yes", "sure", is_flag=True, help="Do not ask.")


def _when(seconds: float) -> str:
    return time.strftime("%m-%d %H:%M", time.localtime(seconds))


@click.group("models", cls=ListingGroup)
def models() -> None:
    """Names models, and moves their aliases; lists them where nothing else is said. NAME, NAME@ALIAS and NAME@NUMBER stand for a job in predict and pull."""


@models.command("list")
@limit_option
@json_option
@pass_session
def listing(session: Session, limit: int) -> None:
    """Lists named models, newest first."""
    with session.client() as client:
        rows = list(client.models.list(limit=limit + 1))
    session.terminal.emit(page(rows[:limit], len(rows) > limit))
    session.terminal.table(_MODELS, [_row(m) for m in rows[:limit]])


def _row(m: ModelInfo) -> list[str]:
    return [m.id, str(len(m.versions)), m.versions[-1].job if m.versions else "", _aliases(m), _when(m.created)]


def _aliases(m: ModelInfo) -> str:
    return "  ".join(f"{alias}={number}" for alias, number in m.aliases.items())


def _tell(terminal: Terminal, m: ModelInfo) -> None:
    """A model in a line."""
    terminal.emit(m)
    newest = f"version {m.versions[-1].number} is the newest" if m.versions else "it has no version"
    terminal.say(f"model {m.id}: {newest}" + (f"; aliases {_aliases(m)}" if m.aliases else ""))


@models.command("show")
@name_argument
@json_option
@pass_session
def show(session: Session, name: str) -> None:
    """Shows the versions and the aliases of a model."""
    with session.client() as client:
        found = client.models.get(name)
    _tell(session.terminal, found)
    session.terminal.table(_VERSIONS, [[str(v.number), v.job, str(v.step), _when(v.created)] for v in found.versions])


@models.command("create")
@click.argument("name")
@click.argument("job_id", metavar="JOB", type=JOB)
@click.option("--step", default="best", show_default=True, help="A checkpoint's number, latest, or best.")
@click.option("--alias", "aliases", multiple=True, help="An alias that names this version from now on; may be given several times.")
@json_option
@pass_session
def create(session: Session, name: str, job_id: str, step: str, aliases: tuple[str, ...]) -> None:
    """Makes a job's model the next version of NAME, a copy that outlives the job."""
    with session.client() as client:
        _tell(session.terminal, client.models.create(name, job_id, step, aliases))


@models.command("promote")
@name_argument
@click.argument("alias")
@click.argument("version", type=click.IntRange(1))
@json_option
@pass_session
def promote(session: Session, name: str, alias: str, version: int) -> None:
    """Has ALIAS name a version of a model; what it named before is kept, for rollback."""
    with session.client() as client:
        _tell(session.terminal, client.models.point(name, alias, version))


@models.command("rollback")
@name_argument
@click.argument("alias")
@json_option
@pass_session
def rollback(session: Session, name: str, alias: str) -> None:
    """Has ALIAS name what it named before."""
    with session.client() as client:
        _tell(session.terminal, client.models.roll_back(name, alias))


@models.command("delete")
@name_argument
@click.option("--alias", help="Take only this alias away; the versions stay.")
@sure_option
@json_option
@pass_session
def delete(session: Session, name: str, alias: str | None, sure: bool) -> None:
    """Deletes a model with all its versions; the jobs stay."""
    if alias is not None:
        with session.client() as client:
            _tell(session.terminal, client.models.delete_alias(name, alias))
        return
    yes(f"Delete the model {name} with all its versions?", sure)
    with session.client() as client:
        client.models.delete(name)
    session.terminal.emit(Deleted(id=name))
    session.terminal.say(f"model {name} is deleted")


# -- weights


@click.group("weights", cls=ListingGroup)
def weights() -> None:
    """Uploads, lists and deletes weights that jobs start from; lists them where nothing else is said."""


@weights.command("list")
@limit_option
@json_option
@pass_session
def weights_list(session: Session, limit: int) -> None:
    """Lists uploaded weights, newest first."""
    with session.client() as client:
        rows = list(client.weights.list(limit=limit + 1))
    session.terminal.emit(page(rows[:limit], len(rows) > limit))
    session.terminal.table(_WEIGHTS, [_weights_row(w) for w in rows[:limit]])


def _weights_row(w: WeightsInfo) -> list[str]:
    return [w.id, w.name, f"{w.parameters:,}", size(w.size_bytes), _when(w.created)]


@weights.command("upload")
@click.argument("path", type=PATH)
@click.option("--name", help="What to call them; after the file by default.")
@json_option
@pass_session
def upload(session: Session, path: Path, name: str | None) -> None:
    """Uploads PATH, a safetensors file or a state dict that PyTorch saved; a spec starts from it by "init_from": {"weights": ID}."""
    with session.client() as client, session.terminal.progress(f"sending {path.name}", unit="bytes") as bar:
        found = client.weights.upload(path, name, lambda done, total: bar(done=done, total=total))
    session.terminal.emit(found)
    session.terminal.say(f"weights {found.id}: {found.parameters:,} parameters in {found.arrays} arrays")


@weights.command("delete")
@click.argument("weights_id", metavar="WEIGHTS", type=WEIGHTS)
@sure_option
@json_option
@pass_session
def weights_delete(session: Session, weights_id: str, sure: bool) -> None:
    """Deletes uploaded weights; jobs that started from them keep copies."""
    yes(f"Delete the weights {weights_id}?", sure)
    with session.client() as client:
        client.weights.delete(weights_id)
    session.terminal.emit(Deleted(id=weights_id))
    session.terminal.say(f"weights {weights_id} are deleted")

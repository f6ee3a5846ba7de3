"""``epochline predict`` and ``report``: a finished model is tried, and how good it is."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from client import answers
from client.commands.failures import REFUSED
from client.commands.options import PATH, job_argument, json_option, model_argument
from client.commands.session import Session, pass_session
from client.folder import file_name
from client.samples import Sample
from server.models import Prediction


@click.command("predict", epilog="Exit code: 0 all samples were answered, 1 one could not be read.")
@model_argument
@click.argument("files", type=PATH, nargs=-1)
@click.option("--text", "texts", multiple=True, help="A text, of a model of texts; may be given several times.")
@click.option("--step", default="best", show_default=True, help="A checkpoint's number, latest, or best; of a job.")
@click.option("--explain", is_flag=True, help="Where the model looked: drawn for one sample, saved with --out.")
@click.option("--out", type=PATH, help="A folder for masks and heat maps, as PNG.")
@json_option
@pass_session
def predict(
    session: Session, model: str, files: tuple[Path, ...], texts: tuple[str, ...], step: str, explain: bool, out: Path | None
) -> None:
    """Has MODEL, a job or NAME, NAME@ALIAS or NAME@NUMBER, say what it thinks of FILES.

    FILES are images or recordings, .csv, .tsv, .json or .jsonl with rows, .txt with a text, a .zip or a folder of these.
    """
    if not files and not texts:
        raise click.UsageError("expected FILES, or --text")
    with session.client() as client:
        found = client.predict(model, [*files, *map(Sample, texts)], step, explain)
    session.terminal.emit(found)
    answers.predictions(session.terminal, found.data)
    if out is not None:
        saved = _save(found.data, out)
        session.terminal.say(f"saved {saved} pictures in {out}")
    if any(p.error is not None for p in found.data):
        raise SystemExit(REFUSED)


def _save(found: Sequence[Prediction], out: Path) -> int:
    """Writes the pictures among answers; how many there are."""
    out.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, str] = {}
    for i, p in enumerate(found):
        name = file_name(Path(p.name).stem if p.name else "", "sample")
        for kind, picture in (("mask", p.mask_png), ("saliency", p.saliency_png)):
            if picture is not None:
                pictures[f"{i}-{name}-{kind}.png"] = picture
    for name, picture in pictures.items():
        (out / name).write_bytes(base64.b64decode(picture))
    return len(pictures)


@click.command("report")
@job_argument
@click.option("--epoch", type=click.IntRange(1), help="The last that has a report by default.")
@click.option("--split", type=click.Choice(["val", "test"]), help="Only a report of this split.")
@click.option("--variant", help="Only a report of this variant.")
@json_option
@pass_session
def report(session: Session, job_id: str, epoch: int | None, split: Any, variant: str | None) -> None:
    """Shows how good a job's model is: which class is taken for which, each class, and the samples that it gets most wrong."""
    with session.client() as client:
        found = client.jobs.get(job_id).report(epoch, split, variant)
    session.terminal.emit(found)
    answers.report(session.terminal, found)

"""The reports of a local run: the best and the last epoch's of each variant, and the test's, as ``report.json`` and ``report.html``."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from engine.data import Source
from engine.reports import page
from engine.train import EpochEnd, Report
from engine.vision.io import to_pil
from server.models import JsonObject


class Reports:
    """Takes the reports of a run as they come."""

    def __init__(self) -> None:
        self._latest: dict[str | None, Report] = {}
        self._best: dict[str | None, Report] = {}
        self._best_epoch: dict[str | None, int] = {}
        self._test: list[Report] = []

    def add(self, report: Report) -> None:
        if report.split == "test":
            self._test.append(report)
        elif report.epoch == self._best_epoch.get(report.variant):  # it comes late
            self._best[report.variant] = report
        else:
            self._latest[report.variant] = report

    def end(self, epoch: EpochEnd) -> None:
        """Which epoch is the best is known at its end."""
        if epoch.best:
            self._best_epoch[epoch.variant] = epoch.epoch
            self._best.pop(epoch.variant, None)
            latest = self._latest.get(epoch.variant)
            if latest is not None and latest.epoch == epoch.epoch:
                self._best[epoch.variant] = latest

    def all(self) -> list[JsonObject]:
        """The reports to be written, the best first."""
        last = [r for variant, r in self._latest.items() if r is not self._best.get(variant)]
        return [r.as_dict() for r in (*self._test, *self._best.values(), *last)]

    def write(self, out: Path, title: str, source: Source) -> None:
        """Writes both files; nothing where there is no report."""
        write(out, title, self.all(), source)


def write(out: Path, title: str, found: list[JsonObject], source: Source | None) -> None:
    """Writes reports as both files, with pictures where the samples are here; nothing where there is no report."""
    if found:
        (out / "report.json").write_text(json.dumps(found, indent=1) + "\n")
        (out / "report.html").write_text(page(title, found, lambda i: picture(source, i)), encoding="utf-8")


def picture(source: Source | None, i: int) -> str | None:
    """A sample as a PNG in a ``data:`` address; None where samples are no images, or are not here."""
    if source is None or (source.arrays is None and not source.is_image):
        return None
    x = source.raw(i).numpy()
    if x.dtype.name != "uint8" or x.ndim != 3 or len(x) not in (1, 3):
        return None
    image, file = to_pil(x), io.BytesIO()
    image.thumbnail((240, 240))
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

"""The folder of a run on this machine: what the service keeps of a job, as files.

``spec.json``, the spec with every default; ``events.jsonl``, the log, written while it happens; ``history.csv``, its metric points as a table;
``results.json``; the models ``model.safetensors`` (the best) and ``last.safetensors``, of each variant with its name; ``loss.png``; and the reports (``client.reports``).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from client.draw import History, picture
from server.models import Event, JsonObject, MetricsEvent, Spec, event_adapter


def file_name(text: str, otherwise: str) -> str:
    """``text`` as a part of a file's name, without what leads to other folders or is too long."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:80] or otherwise


class RunFolder:
    """Writes a run's files. Raises OSError where that cannot be done, as early as can be."""

    def __init__(self, path: Path, spec: Spec) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._replace("spec.json", json.dumps(spec, indent=2) + "\n")
        self._events = (path / "events.jsonl").open("w", encoding="utf-8")
        self.points: list[MetricsEvent] = []

    def log(self, event: Event) -> None:
        """Adds to the log."""
        self._events.write(event_adapter.dump_json(event, exclude_none=True).decode() + "\n")
        if isinstance(event, MetricsEvent):
            self.points.append(event)
        if not isinstance(event, MetricsEvent) or event.split != "train":
            self._events.flush()

    def close(self, results: JsonObject, history: History, title: str) -> None:
        """Writes what is made of the whole log."""
        self._events.close()
        with (self.path / "history.csv.part").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(table(self.points))
        (self.path / "history.csv.part").replace(self.path / "history.csv")
        self._replace("results.json", json.dumps(results, indent=2) + "\n")
        if history.curves:
            picture(history, title, self.path / "loss.png")

    def _replace(self, name: str, text: str) -> None:
        part = self.path / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(self.path / name)


def table(points: Sequence[MetricsEvent]) -> list[list[Any]]:
    """Metric points as the rows of a table: the one that ``GET /v1/jobs/{id}/metrics?format=csv`` answers with."""
    names = sorted({n for p in points for n in p.values})
    rows: list[list[Any]] = [["step", "epoch", "split", "variant", *names]]
    return rows + [[p.step, p.epoch, p.split, p.variant or "", *(_cell(p.values.get(n, "")) for n in names)] for p in points]


def _cell(value: Any) -> Any:
    """A value as a table has it: what is not a number as JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value

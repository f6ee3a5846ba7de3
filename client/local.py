"""Checking and training a spec on this machine, without server or queue: the same loop, the same log, the same files."""

from __future__ import annotations

import functools
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from client import specfile
from client.content import FORMATS
from client.folder import RunFolder, file_name
from client.pack import pack
from client.reports import Reports
from client.screen import Screen
from client.specfile import SpecFile, SpecFileError
from engine.backend import available_memory, resolve
from engine.check import check_targets, sample_shape, with_outputs
from engine.data import Options, Rejected, Source, ingest, open_source
from engine.spec import Problem, SpecError, Summary, check, resolve_layers, summarize, variants
from engine.state import metadata, save_file
from engine.train import Diverged, Metrics, Report, Run, VariantEnd
from engine.train.run import Record
from server.models import CheckResult, DoneEvent, Event, JobState, LogEvent, MetricsEvent, ReportEvent, Spec, StateEvent, checksum

Progress = Callable[[int, int], None]
"""Is told how much is done, and how much there is."""


def _silent(done: int, total: int) -> None:
    """No progress."""


@contextmanager
def faults_in(file: SpecFile) -> Iterator[None]:
    """Turns what is wrong with a spec into what is wrong with its file. Raises SpecFileError."""
    try:
        yield
    except SpecError as error:
        raise file.error(error.problems) from None


def find_data(spec: Spec, file: Path, data: str | Path | None) -> Path:
    """The data to train on: as given, else what the spec names, relative to its file. Raises SpecError where there is none."""
    name = spec["data"]["dataset"]
    found = Path(data) if data is not None else file.parent / name if name else None
    if found is None:
        raise SpecError([Problem("/data/dataset", "missing", "no data: give --data PATH, or name a file in the spec", "a path")])
    if not found.exists():
        raise SpecError([Problem("/data/dataset", "not_found", f"{found} does not exist", "a path", str(found))])
    return found


def find_weights(file: Path, section: Mapping[str, Any]) -> Path:
    """The file of weights that a spec names, relative to its own file. Raises SpecError where there is none, and for those that a server keeps."""
    if section["weights"] is None:
        key = "job" if section["job"] is not None else "checkpoint"
        detail = f"a {key} is found on the server that has it: for a run here, pull its model and give the file's path as weights"
        raise SpecError([Problem(f"/init_from/{key}", "not_found", detail, "weights", section[key])])
    found: Path = file.parent / section["weights"]
    if not found.is_file():
        raise SpecError([Problem("/init_from/weights", "not_found", f"{found} does not exist", "a path", section["weights"])])
    return found


def prepare(path: Path, folder: Path, options: Options = Options(), progress: Progress = _silent) -> Source:
    """A zip, npz, csv, tsv, jsonl or txt file, or a folder of image folders, as a source of samples in ``folder``. Raises Rejected."""
    if path.is_dir():
        path = pack(path, folder.with_suffix(".zip"))
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        detail = f"{path}: expected a folder of image folders, or a file that ends in {', '.join(FORMATS)}"
        raise SpecError([Problem("/data/dataset", "invalid", detail, None, str(path))])
    ingest(path, folder, form, progress, options)
    return open_source(folder)


def examine(
    file: SpecFile,
    data: str | Path | None,
    options: Options = Options(),
    shape: tuple[int, ...] | None = None,
    progress: Progress = _silent,
) -> CheckResult:
    """A spec checked against its data, or against samples of a ``shape``: what the server's check answers. Raises SpecFileError, Rejected."""
    with faults_in(file), tempfile.TemporaryDirectory() as folder:
        spec, notes = check(file.value), list[str]()
        if shape is None:
            source = prepare(find_data(spec, file.path, data), Path(folder) / "dataset", options, progress)
            spec = with_outputs(spec, source)
            shape, notes = sample_shape(source, spec), _notes(source)
            summaries = check_targets(spec, source, shape, functools.partial(find_weights, file.path))
        else:
            summaries = [summarize(s, shape) for _, s in variants(spec)]
        return _result(spec, shape, summaries, notes)


def _notes(source: Source) -> list[str]:
    report = source.report
    classes = f", {len(report.classes)} classes" if report.classes else ""
    return [f"{report.samples:,} samples{classes}", *report.converted, *(f"warning: {w}" for w in report.warnings)]


def _result(spec: Spec, shape: tuple[int, ...], summaries: list[Summary], notes: list[str]) -> CheckResult:
    memory = available_memory()
    found: dict[str, Any] = {
        **summaries[0].as_dict(), "spec": {**spec, "model": resolve_layers(spec, shape)}, "input": list(shape), "worker_memory_bytes": memory,
        "largest_batch": min(s.largest_batch(memory) for s in summaries), "dataset_notes": notes,
    }  # fmt: skip
    return CheckResult.model_validate(found)


@dataclass(frozen=True)
class Setting:
    """Where and how a run trains."""

    data: str | Path | None = None
    out: str | Path | None = None
    device: str | None = None
    options: Options = field(default_factory=Options)


class Viewer(Protocol):
    """Who watches a run: is told of its stages."""

    def reading(self) -> AbstractContextManager[Progress]:
        """Is entered while the data is read."""

    def showing(self, title: str) -> AbstractContextManager[Screen]:
        """Is entered while the run trains."""

    def saved(self, folder: Path) -> None:
        """Whatever the end of a run that has begun, its files are there now."""


def train(path: str | Path, setting: Setting, viewer: Viewer) -> Path:
    """Trains a spec; the run's folder (see ``client.folder``).

    Raises SpecFileError, Rejected, ValueError for a device that is not there, OSError for a folder that cannot be written, and, after writing
    what there is, Diverged and KeyboardInterrupt.
    """
    file = specfile.read(path)
    with faults_in(file), tempfile.TemporaryDirectory() as work:
        spec = check(file.value)
        title = spec["name"] or file.path.stem
        device = _device(setting.device or ("cpu" if spec["device"] == "auto" else spec["device"]))
        with viewer.reading() as progress:
            source = prepare(find_data(spec, file.path, setting.data), Path(work) / "dataset", setting.options, progress)
        run = Run(spec, source, device, find_weights=functools.partial(find_weights, file.path))
        folder = RunFolder(Path(setting.out or Path("runs") / file_name(title, "run")), spec)
        try:
            with viewer.showing(title) as screen:
                _Local(run, folder, screen).run(title)
        finally:
            viewer.saved(folder.path)
    return folder.path


def _device(name: str) -> Any:
    try:
        return resolve(name)
    except (RuntimeError, ImportError) as error:
        raise ValueError(f"the device {name!r} cannot be used: {error}") from None


class _Local:
    """One run, its folder and its screen."""

    def __init__(self, run: Run, folder: RunFolder, screen: Screen) -> None:
        self._run, self._folder, self._screen = run, folder, screen
        self._seq, self._reports = 0, Reports()
        self._held: list[Report] = []
        screen.epochs, screen.total_steps = run.spec["epochs"], run.total_steps

    def run(self, title: str) -> None:
        """Trains to an end, and writes what there is whatever the end."""
        state, reason = JobState.SUCCEEDED, None
        self._add(StateEvent, state=JobState.RUNNING)
        try:
            with _warnings(self._warn):
                for text in self._run.warnings:
                    self._warn(text)
                for record in self._run:
                    self._take(record)
        except KeyboardInterrupt:
            state, reason = JobState.STOPPED, "interrupted"
            raise
        except Diverged as error:
            state, reason = JobState.FAILED, str(error)
            raise
        except BaseException as error:
            state, reason = JobState.FAILED, f"{type(error).__name__}: {error}"
            raise
        finally:
            points = self._folder.points
            self._add(StateEvent, state=state, reason=reason)
            self._add(
                DoneEvent, state=state, points=len(points), checksum=f"{checksum(p.model_dump(exclude_none=True) for p in points):08x}"
            )
            self._folder.close({**self._run.results(), "model": self._run.card}, self._screen.history, title)
            self._reports.write(self._folder.path, title, self._run.source)

    def _add(self, kind: type[Event], **fields: Any) -> None:
        self._seq += 1
        event = kind(seq=self._seq, time=time.time(), attempt=1, **fields)
        self._folder.log(event)
        self._screen.take(event)

    def _log_reports(self, wanted: bool, epoch: int) -> None:
        """Adds the report of an epoch to the log, if it is ``wanted``. One of an earlier epoch, the best, comes late."""
        held, self._held = self._held, []
        for r in held:
            if wanted or r.epoch != epoch:
                self._add(ReportEvent, step=r.step, epoch=r.epoch, split=r.split, variant=r.variant, report=r.values)

    def _warn(self, text: str) -> None:
        self._add(LogEvent, level="warning", message=text)

    def _take(self, record: Record) -> None:
        """Logs a record, and keeps the models that it tells of."""
        if isinstance(record, Metrics):
            self._add(MetricsEvent, **record.as_event())
        elif isinstance(record, VariantEnd):
            self._add(LogEvent, level="error", message=f"{record.variant} ends: {record.error}", variant=record.variant)
        elif isinstance(record, Report):
            self._reports.add(record)
            self._held.append(record)
            if record.split == "test":
                self._log_reports(True, record.epoch)
        else:
            self._reports.end(record)
            self._log_reports(record.best or record.last, record.epoch)
            self._screen.total_steps = self._run.total_steps
            suffix = "" if record.variant is None else f"-{_of_variant(self._run)}"
            for kind, due in (("model", record.best), ("last", True)):
                if due:
                    path = self._folder.path / f"{kind}{suffix}.safetensors"
                    save_file(self._run.model.state_dict(), path, metadata(self._run.metadata()))


@contextmanager
def _warnings(tell: Callable[[str], None]) -> Iterator[None]:
    """Python's warnings go to ``tell``, each once."""
    told: set[str] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        if str(message) not in told:
            told.add(str(message))
            tell(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


def _of_variant(run: Run) -> str:
    """The name of the variant being trained, as files have it; numbered where two would have the same."""
    names = [file_name(str(name), "variant") for name, _ in run.variants]
    own = names[run.variant_index]
    return own if names.count(own) == 1 else f"{own}-{run.variant_index}"


__all__ = ["Rejected", "Setting", "SpecFileError", "Viewer", "examine", "faults_in", "find_data", "prepare", "train"]

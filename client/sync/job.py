# Made from client/aio/job.py by scripts/build_sync.py: change that, and run it.
"""A job's handle: what it is, what is requested of it, and what it brings."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from safetensors.numpy import load_file

from client import network, notebook
from client.sync.finished import Answers, ModelFormat, download, predict
from client.sync.runtime import Stream, closing, at_once, in_thread, sleep
from client.sync.stream import PATIENCE_S, follow
from client.sync.transport import Transport
from client.call import Call, Progress
from client.curves import Curves
from client.history import History
from client.log import verify
from client.patience import Patience
from client.samples import Samples
from engine.nn.module import Module
from server.models import (
    ENDED,
    Checkpoint,
    Event,
    Items,
    JobDetail,
    JobState,
    Labels,
    LogEvent,
    LogLines,
    Metrics,
    MetricsEvent,
    ReportEvent,
    Request,
    StateEvent,
    Update,
    checksum,
)

_CURVE_POINTS = 2000


class Job:
    """A job on a server. ``job.info`` is what was known of it at the last request; :meth:`refresh` asks again.

    In a notebook a job shows itself as its loss curves, which :meth:`stream`, :meth:`watch` and :meth:`wait` keep up to date.
    """

    def __init__(self, transport: Transport, info: JobDetail) -> None:
        self._transport = transport
        self._path = f"/v1/jobs/{info.id}"
        self._curves, self._cell = Curves(), notebook.Cell()
        self.info = info

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.info.name!r} {self.state}>"

    @property
    def id(self) -> str:
        """The job's id."""
        return self.info.id

    @property
    def state(self) -> JobState:
        """The job's state at the last request."""
        return self.info.state

    def refresh(self) -> JobDetail:
        """Asks the server what the job is now."""
        return self._take(Call("GET", self._path))

    def _take(self, call: Call, patience_s: float | None = None) -> JobDetail:
        self.info = self._transport.call(JobDetail, call, patience_s)
        return self.info

    # -- requests: each may be repeated, and changes nothing where it does not fit the job's state

    def cancel(self) -> JobDetail:
        """Ends the job and removes its checkpoints."""
        return self._request(Request.CANCEL)

    def stop(self) -> JobDetail:
        """Ends the job and keeps its best model."""
        return self._request(Request.STOP)

    def pause(self) -> JobDetail:
        """Has the job saved and leave its worker, until :meth:`resume`."""
        return self._request(Request.PAUSE)

    def resume(self) -> JobDetail:
        """Queues a paused job; it goes on where it was."""
        return self._request(Request.RESUME)

    def _request(self, request: Request) -> JobDetail:
        return self._take(Call("POST", f"{self._path}/{request}"))

    def extend(self, epochs: int) -> JobDetail:
        """Has a job that has ended train ``epochs`` more, from its last checkpoint. Raises ApiError 409 for one that cannot.

        Unlike other requests it is not sent again if its answer is lost, which raises Unreachable: see :meth:`refresh` for what became of it.
        """
        return self._take(Call("POST", f"{self._path}/extend", json={"epochs": epochs}, repeatable=False))

    def update(self, name: str | None = None, labels: Labels | None = None) -> JobDetail:
        """Renames the job, or replaces its labels; what is None stays."""
        return self._take(Call("PATCH", self._path, json=Update(name=name, labels=labels).model_dump(exclude_none=True)))

    def delete(self) -> None:
        """Removes the job with its log and checkpoints. Raises ApiError 409 for a job that has not ended."""
        self._transport.send(Call("DELETE", self._path))

    # -- as it goes

    def stream(self, after: int = 0) -> Stream[Event]:
        """The job's events, live until it has ended: each once, in order, whatever the connection does meanwhile.

        At the end the number of metric points and their checksum are compared with the server's, so that a stream that ends has
        yielded all there is. ``after`` is the sequence number behind which it begins (what is before is read for the checksum).

        Raises HistoryMismatch if the two differ or an event cannot be had; Unreachable if the server is away for two minutes.
        """
        if not after:
            self._curves = Curves()
        with closing(follow(self._transport, self.id, after)) as events:
            for event in events:
                self._show(event)
                yield event

    def _show(self, event: Event) -> None:
        """Keeps the curves, and the notebook's output where there is one."""
        if isinstance(event, MetricsEvent):
            self._curves.add(event)
        if self._cell.is_due(now=isinstance(event, StateEvent)):
            self._cell.update(self._take(Call("GET", self._path), PATIENCE_S), self._curves)

    def watch(self) -> JobDetail:
        """Follows the job to its end, and draws its curves in a notebook. The job as it ended; errors as of :meth:`stream`."""
        self._cell.show(self.info, self._curves)
        with closing(self.stream()) as events:
            for _ in events:
                pass
        self._cell.update(self.refresh(), self._curves)
        return self.info

    def wait(self, timeout_s: float | None = None) -> JobDetail:
        """Waits until the job has ended, however it ends: see ``state`` and ``error`` of what is returned.

        Raises TimeoutError after ``timeout_s`` seconds (the job goes on); Unreachable if the server is away for two minutes.
        """
        deadline, pause = time.monotonic() + (timeout_s if timeout_s is not None else float("inf")), Patience(float("inf"))
        while (self._take(Call("GET", self._path), PATIENCE_S)).state not in ENDED:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.id} is still {self.state} after {timeout_s:g} s")
            if self._cell.is_due():
                self._cell.update(self.info, self._load_curves())
            sleep(min(pause.pause() or 0.0, left))
        return self.info

    # -- what it brings

    def logs(self, tail: int = 1000, level: Literal["debug", "info", "warning", "error"] = "debug") -> Sequence[LogEvent]:
        """The last ``tail`` lines (at most 10,000) of the output of the job's runs, of ``level`` and above."""
        return (self._transport.call(LogLines, Call("GET", f"{self._path}/logs", {"tail": tail, "level": level}))).data

    def history(
        self, name: str | None = None, split: Literal["train", "val", "test"] | None = None, max_points: int | None = None
    ) -> History:
        """The losses and metrics so far, as NumPy arrays.

        Args:
            name: Only this value, such as ``loss``.
            split: Only ``train``, ``val`` or ``test``.
            max_points: Thinned to about so many points a curve, with the lowest and the highest of every stretch.

        Raises HistoryMismatch if the whole history of a job that has ended is not what the server counted and summed.
        """
        found = self._metrics(name, split, max_points)
        if found.complete and all(chosen is None for chosen in (name, split, max_points)):
            points = [p.model_dump(exclude_none=True) for p in found.data]
            verify(self.id, (found.points, found.checksum), len(points), checksum(points))
        return History.of(found.data)

    def _metrics(self, name: str | None, split: str | None, max_points: int | None) -> Metrics:
        return self._transport.call(
            Metrics, Call("GET", f"{self._path}/metrics", {"name": name, "split": split, "max_points": max_points})
        )

    def checkpoints(self) -> Sequence[Checkpoint]:
        """The checkpoints there are, oldest first."""
        return (self._transport.call(Items[Checkpoint], Call("GET", f"{self._path}/checkpoints"))).data

    def report(
        self, epoch: int | None = None, split: Literal["val", "test"] | None = None, variant: str | None = None
    ) -> ReportEvent:
        """How good the model is, and where it fails: the report of an epoch, by default the last that has one.

        Raises ApiError 404 if there is none of this epoch, split and variant.
        """
        params = {"epoch": epoch, "split": split, "variant": variant}
        return self._transport.call(ReportEvent, Call("GET", f"{self._path}/report", params))

    def predict(self, samples: Samples, step: int | str = "best", explain: bool = False) -> Answers:
        """What the model says of samples, which are read as the job's own were; the answers are those of its evaluation.

        Args:
            samples: A path or several (images, recordings, ``.csv``, ``.tsv``, ``.json`` or ``.jsonl`` with rows, ``.txt`` with a text, a
                ``.zip`` or a folder of files); the bytes of a file; an image of Pillow; an array ``(N, ..)``; a row as a dict or a list of
                numbers; a DataFrame; texts; lists of these.
            step: A checkpoint's number, ``latest`` or ``best``.
            explain: Heat maps of where the model looked, too (``saliency_png``).

        An answer for each sample, in their order; of several, one that cannot be read has its ``error``. More than 1,000 are sent as several
        requests. Raises ApiError 404 if there is no such checkpoint, 422 for a single sample that cannot be read; ValueError for what is no
        sample; OSError for a file that cannot be read.
        """
        return (predict(self._transport, self.id, samples, step, explain)).data

    def download(
        self, step: int | str = "best", path: str | Path | None = None, progress: Progress | None = None,
        format: ModelFormat = "safetensors",
    ) -> Path:  # fmt: skip
        """Saves a model, with PyTorch's names. The file appears whole or not at all.

        Args:
            step: A checkpoint's number, ``latest`` or ``best``.
            path: The file to write; by default the job's id with the format's ending, in the current folder.
            progress: Is called with the bytes that are there and those to come (0 where the server does not say).
            format: ``safetensors``; ``torch``, a state dict for ``torch.load``; ``onnx``, with preprocessing and class names inside;
                ``card``, a page in Markdown that says what the model is.

        Raises ApiError 404 if there is no such checkpoint, 409 for a model that has no such form.
        """
        return download(self._transport, self.id, step, path, format, progress)

    def state_dict(self, step: int | str = "best") -> dict[str, NDArray[Any]]:
        """The parameters and buffers of a checkpoint by their names, as NumPy arrays. Arguments and errors as of :meth:`download`."""
        with tempfile.TemporaryDirectory(prefix="epochline-") as folder:
            return load_file(self.download(step, Path(folder) / "model.safetensors"))

    def model(self, step: int | str = "best") -> Module:
        """The trained network as a module of the engine, in eval mode, on the CPU; of a job with ``compare`` the checkpoint's variant.

        Raises ValueError if there is no such checkpoint.
        """
        info, saved = self.refresh(), list(self.checkpoints())
        found = network.checkpoint(saved, step)
        return in_thread(network.network, info, found.variant, self.state_dict(found.step))

    # -- in a notebook

    def _load_curves(self) -> Curves:
        """The curves as the server has them now."""
        self._curves = Curves()
        for point in (self._metrics("loss", None, _CURVE_POINTS)).data:
            self._curves.add(point)
        return self._curves

    def _repr_html_(self) -> str:
        at_once(self.refresh)
        return notebook.html(self.info, at_once(self._load_curves) or self._curves)

    def _ipython_display_(self) -> None:
        at_once(self.refresh)
        if not self._cell.show(self.info, at_once(self._load_curves) or self._curves):
            print(repr(self))


__all__ = ["Job"]

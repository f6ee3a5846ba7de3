"""The process that trains one job: ``python -m worker.run JOB``, or ``--standby`` to import first and be told the job on stdin.

Its exit code says how it ended; whatever it uses of the machine goes with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import traceback
from typing import Any

from engine.backend import resolve
from engine.data import Source, open_source
from engine.kernels.native import set_num_threads
from engine.spec import SpecError, check
from engine.train import Diverged, EpochEnd, Metrics, Run, VariantEnd
from worker import checkpoints, datasets
from worker.connection import Place
from worker.processes import die_with_parent, started_by
from worker.reporter import LOST_LEASE, LostLease, Reporter

ENDED, CRASHED, OUT_OF_MEMORY, DEVICE_ERROR, HANDED_BACK = 0, 1, 3, 4, 6
"""Exit codes, with LOST_LEASE: the job's record tells how it ended; a defect; no memory; a device that must not be used again; the job was
given back to the queue."""


class Failed(Exception):
    """A job that cannot go on, with the code, the reason and the place in the spec that its record is to show."""

    def __init__(self, code: str, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "pointer": pointer}


class _Asked(Exception):
    """Somebody asked for the job to pause, stop or be cancelled, or for this process to end."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class Training:
    """One attempt at a job."""

    def __init__(self, place: Place, job_id: str, device: str) -> None:
        self.place, self.device = place, device
        self.folder = place.job(job_id)
        self.reporter = Reporter(place.connect(), job_id, os.environ.get("EPOCHLINE_WORKER", ""))
        self.handing_back = threading.Event()
        self.saved_step = -1
        self.training: Run | None = None

    def run(self) -> int:
        """Trains to an end; the exit code."""
        record = self.reporter.start()
        try:
            self._train(record)
        except _Asked as asked:
            return self._obey(asked.state)
        except Failed as error:
            self.reporter.finish("failed", error=error.error)
        except SpecError as error:
            self._fail_spec(error)
        except MemoryError as error:
            self.reporter.finish(
                "failed",
                error={
                    "code": "out_of_memory",
                    "message": f"the job needs more memory than there is: {error}",
                    "pointer": "/data/batch_size",
                },
            )
            return OUT_OF_MEMORY
        except Diverged as error:
            self._fail_diverged(error)
        return ENDED

    def _fail_diverged(self, error: Diverged) -> None:
        """The error, with the checkpoint to go on from: the newest whose parameters are numbers."""
        good = checkpoints.last_good(self.folder)
        found = error.as_dict()
        there = "there is no good checkpoint" if good is None else f"the last good checkpoint is that of step {good}"
        self.reporter.finish(
            "failed", error={**found, "message": f"{found['message']}; {there}", "checkpoint": good}, results=self._results()
        )

    def _fail_spec(self, error: SpecError) -> None:
        first = error.problems[0]
        more = [p.as_dict() for p in error.problems]
        self.reporter.finish("failed", error={"code": "invalid_spec", "message": str(error), "pointer": first.pointer, "errors": more})

    def _source(self, record: dict[str, Any]) -> Source:
        held = datasets.get(self.reporter.redis, record["dataset"])
        if held is None:
            raise Failed("dataset_deleted", f"the dataset {record['dataset']} was deleted", "/data/dataset")
        if held["state"] != "ready":
            raise Failed("dataset_not_ready", f"the dataset {record['dataset']} is {held['state']}", "/data/dataset")
        try:
            return open_source(self.place.dataset(record["dataset"]) / datasets.PREPARED)
        except FileNotFoundError:
            raise Failed(
                "dataset_missing", f"the files of dataset {record['dataset']} are not on this worker's storage", "/data/dataset"
            ) from None

    def _train(self, record: dict[str, Any]) -> None:
        spec = check(record["spec"])
        own = checkpoints.plan(self.folder)
        plan = {**checkpoints.plan(self.place.data), **own}  # what other jobs chose before, so that a spec repeats its bits
        planned = len(own)
        run = self.training = Run(spec, self._source(record), resolve(self.device), plan)
        needed, there = max(s.peak_bytes for s in run.summaries), available_memory()
        if self.device == "cpu" and needed > there:
            raise Failed(
                "out_of_memory",
                f"training needs about {needed >> 20} MiB, but the worker has {there >> 20} MiB available",
                "/data/batch_size",
            )
        held = checkpoints.latest(self.folder)
        if held is not None:
            state, facts = held
            run.restore(state)
            self.saved_step = facts["step"]
            self.reporter.resume(facts["points"], facts["step"])
        self.reporter.running(run.total_steps, run.done_steps, run.card)
        for text in run.warnings if held is None else ():
            self.reporter.log(text, level="warning")
        for item in run:
            if len(plan) != planned:  # before anything is told of that was computed by it
                for folder in (self.folder, self.place.data):
                    checkpoints.save_plan(folder, plan)
                planned = len(plan)
            if isinstance(item, VariantEnd):
                self.reporter.log(f"{item.variant} ends: {item.error}", level="error", variant=item.variant)
                continue  # its state is of no use
            if isinstance(item, Metrics):
                self.reporter.metrics(item.as_event(), run.done_steps, item.epoch)
            else:
                self.reporter.total(run.total_steps)
            if isinstance(item, Metrics) and item.split != "train":
                continue  # no state between a validation and the end of its epoch
            self._maybe_save(run, item, spec)
            asked = "handing back" if self.handing_back.is_set() else self.reporter.asked()
            if asked == "cancelling":
                raise _Asked(asked)
            if asked and not run.epoch_is_over:  # else at the end of the epoch, which comes next
                self._save(run, spec, item.epoch, {})
                raise _Asked(asked)
        self.reporter.total(run.total_steps)
        self.reporter.finish("succeeded", results=self._results())

    def _maybe_save(self, run: Run, item: Metrics | EpochEnd, spec: dict[str, Any]) -> None:
        if isinstance(item, EpochEnd) and (item.best or item.last or item.epoch % spec["checkpoint"]["every_epochs"] == 0):
            self._save(run, spec, item.epoch, run.last_values)

    def _save(self, run: Run, spec: dict[str, Any], epoch: int, values: dict[str, Any]) -> None:
        """A checkpoint, with the number of points the log will have by then, so that another attempt repeats none."""
        step = run.done_steps
        if step == self.saved_step:
            return
        self.reporter.flush()
        best = run.best.step if run.best else None
        facts = {
            "step": step, "epoch": epoch, "points": self.reporter.produced, "best": best, "values": values, "variant": run.variant_name,
        }  # fmt: skip
        checkpoints.save(self.folder, step, run.state(), facts, run.card)
        checkpoints.prune(self.folder, spec["checkpoint"]["keep"], [b.step for b in run.bests])
        self.saved_step = step
        self.reporter.saved(step)

    def _results(self) -> dict[str, Any]:
        """What there is to show for the training so far."""
        found = self.training.results() if self.training else {"variants": [], "best_step": None}
        return {**found, "last_step": max(self.saved_step, 0)}

    def _obey(self, state: str) -> int:
        if state == "handing back":
            self.reporter.hand_back()
            return HANDED_BACK
        if state == "pausing":
            self.reporter.pause()
        else:
            results = self._results() if state == "stopping" else None
            self.reporter.finish("cancelled" if state == "cancelling" else "stopped", reason="requested", results=results)
            if state == "cancelling":
                shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        return ENDED


def available_memory() -> int:
    """Bytes of main memory that can be had without swapping."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def execute(job_id: str) -> int:
    """Runs a job; every way to fail ends in a record or in an exit code."""
    training = Training(Place.from_environment(), job_id, os.environ.get("EPOCHLINE_DEVICE", "cpu"))
    signal.signal(signal.SIGTERM, lambda *_: training.handing_back.set())
    try:
        return training.run()
    except LostLease as error:
        print(f"{job_id}: {error}", file=sys.stderr)
        return LOST_LEASE
    except Exception as error:
        traceback.print_exc()
        if type(error).__module__.startswith("cupy"):
            message = f"{type(error).__name__}: {error}"
            memory = type(error).__name__ == "OutOfMemoryError"
            if memory:
                training.reporter.finish("failed", error={"code": "out_of_memory", "message": message, "pointer": "/data/batch_size"})
            return OUT_OF_MEMORY if memory else DEVICE_ERROR
        training.reporter.finish("failed", error={"code": "internal", "message": f"{type(error).__name__}: {error}", "pointer": ""})
        return CRASHED


def main() -> None:
    die_with_parent(started_by())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)  # bits do not depend on it
    job_id = sys.argv[1]
    if job_id == "--standby":
        job_id = sys.stdin.readline().strip()
        if not job_id:
            return
    code = execute(job_id)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # daemon threads and device libraries have nothing left to say


if __name__ == "__main__":
    main()

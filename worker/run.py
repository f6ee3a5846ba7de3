"""The process that trains one job: ``python -m worker.run JOB``, or ``--standby`` to import first and read the job's id from stdin.

Its exit code says how it ended; whatever it uses of the machine goes with it.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any

from engine.backend import available_memory, resolve
from engine.data import Source, open_source
from engine.kernels.native import set_num_threads
from engine.spec import SpecError, check
from engine.train import Diverged, EpochEnd, Metrics, Report, Run, VariantEnd
from worker import checkpoints, datasets, starting
from worker.deployment import Deployment
from worker.logs import configure, logger
from worker.output import capture
from worker.processes import die_with_parent, started_by
from worker.records import DatasetState, Fault, Job, JobError, JsonObject, Spec
from worker.reporter import LOST_LEASE, LostLease, Reporter
from worker.states import JobState

ENDED, CRASHED, OUT_OF_MEMORY, DEVICE_ERROR, RELEASED = 0, 1, 3, 4, 6
"""Exit codes, with LOST_LEASE: the job's record says how it ended; a defect; no memory; a device that must not be used again; the job went
back to the queue."""
MAX_REPORTS = 100
"""About how many epochs of a job have a report, beside the best ones."""
_log = logger("run")


class Failed(Exception):
    """A job that cannot go on, with the code, the reason and the place in the spec that its record is to show."""

    def __init__(self, code: str, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.error = JobError(code=code, message=message, pointer=pointer)


class _Interrupted(Exception):
    """The job is to pause, to stop or to be cancelled (``state``), or this process is to end (None)."""

    def __init__(self, state: JobState | None) -> None:
        super().__init__(state or "release")
        self.state = state


class Training:
    """One attempt at a job."""

    def __init__(self, deployment: Deployment, job_id: str, device: str) -> None:
        self.deployment, self.device = deployment, device
        self.folder = deployment.job(job_id)
        self.reporter = Reporter(deployment.connect(), job_id, os.environ.get("EPOCHLINE_WORKER", ""))
        self.releasing = threading.Event()
        self.saved_step = -1
        self.training: Run | None = None
        self._reports: list[Report] = []

    def run(self) -> int:
        """Trains to an end; the exit code."""
        job = self.reporter.start()
        capture(self.reporter.log)
        try:
            self._train(job)
        except _Interrupted as interrupted:
            return self._comply(interrupted.state)
        except Failed as error:
            self.reporter.fail(error.error)
        except SpecError as error:
            self._fail_spec(error)
        except MemoryError as error:
            self.reporter.fail(_out_of_memory(f"the job needs more memory than there is: {error}"))
            return OUT_OF_MEMORY
        except Diverged as error:
            self._fail_diverged(error)
        return ENDED

    def _fail_diverged(self, error: Diverged) -> None:
        """The error, with the checkpoint to go on from: the newest whose parameters are numbers."""
        good = checkpoints.last_good(self.folder)
        found = JobError.model_validate(error.as_dict())
        where = "there is no good checkpoint" if good is None else f"the last good checkpoint is that of step {good}"
        message = f"{found.message}; {where}"
        self.reporter.fail(found.model_copy(update={"message": message, "checkpoint": good}), self._results())

    def _fail_spec(self, error: SpecError) -> None:
        faults = tuple(Fault.model_validate(p.as_dict()) for p in error.problems)
        self.reporter.fail(JobError(code="invalid_spec", message=str(error), pointer=faults[0].pointer, errors=faults))

    def _source(self, dataset_id: str) -> Source:
        dataset = datasets.get(self.reporter.redis, dataset_id)
        if dataset is None:
            raise Failed("dataset_deleted", f"the dataset {dataset_id} was deleted", "/data/dataset")
        if dataset.state != DatasetState.READY:
            raise Failed("dataset_not_ready", f"the dataset {dataset_id} is {dataset.state}", "/data/dataset")
        try:
            return open_source(self.deployment.dataset(dataset_id) / datasets.PREPARED)
        except FileNotFoundError:
            raise Failed(
                "dataset_missing", f"the files of dataset {dataset_id} are not on this worker's storage", "/data/dataset"
            ) from None

    def _train(self, job: Job) -> None:
        spec = check(job.spec)
        own = checkpoints.plan(self.folder)
        plan = {**checkpoints.plan(self.deployment.data), **own}  # what other jobs chose before, so that a spec repeats its bits
        planned = len(own)
        run = self.training = Run(spec, self._source(job.dataset), resolve(self.device), plan, starting.kept(self.deployment, job.id))
        needed, there = max(s.peak_bytes for s in run.summaries), available_memory()
        if self.device == "cpu" and needed > there:
            message = f"training needs about {needed >> 20} MiB, but the worker has {there >> 20} MiB available"
            raise Failed("out_of_memory", message, "/data/batch_size")
        held = checkpoints.latest(self.folder)
        if held is not None:
            state, facts = held
            run.restore(state)
            self.saved_step = facts["step"]
            self._resume_log(job, facts)
        self.reporter.running(run.total_steps, run.done_steps, run.card)
        for text in run.warnings if held is None else ():
            self.reporter.log(text, level="warning")
        for item in run:
            if len(plan) != planned:  # before anything is told of that was computed by it
                for folder in (self.folder, self.deployment.data):
                    checkpoints.save_plan(folder, plan)
                planned = len(plan)
            if isinstance(item, VariantEnd):
                self.reporter.log(f"{item.variant} ends: {item.error}", level="error", variant=item.variant)
                continue  # its state is of no use
            if isinstance(item, Report):
                self._reports.append(item)
                if item.split == "test":
                    self._send_reports(True, item.epoch)
                continue  # of an epoch: when it is known whether that was the best
            if isinstance(item, Metrics):
                self.reporter.metrics(item.as_event(), run.done_steps, item.epoch)
            else:
                self.reporter.total(run.total_steps)
                self._send_reports(item.best or item.last or item.epoch % -(-spec["epochs"] // MAX_REPORTS) == 0, item.epoch)
            if isinstance(item, Metrics) and item.split != "train":
                continue  # no state between a validation and the end of its epoch
            self._maybe_save(run, item, spec)
            self._heed_requests(run, item, spec)
        self.reporter.total(run.total_steps)
        self.reporter.succeed(self._results())

    def _resume_log(self, job: Job, facts: Mapping[str, Any]) -> None:
        """What the log had when a state was saved; that of an extended job has its end, too."""
        extended = job.extension if job.extension and job.extension.step == facts["step"] else None
        points, reports = (extended.points, extended.reports) if extended else (facts["points"], facts.get("reports", 0))
        self.reporter.resume(points, reports, facts["step"])

    def _send_reports(self, wanted: bool, epoch: int) -> None:
        """Sends the report of an epoch's evaluation, if it is ``wanted``: of many epochs, some and the best ones are. One of an earlier epoch, the best, comes late."""
        held, self._reports = self._reports, []
        for report in held:
            if wanted or report.epoch != epoch:
                self.reporter.report(report.step, report.epoch, report.split, report.variant, report.values)

    def _heed_requests(self, run: Run, item: Metrics | EpochEnd, spec: Spec) -> None:
        """Raises _Interrupted once the run is to end early, with its state saved if it is to go on."""
        requested = None if self.releasing.is_set() else self.reporter.requested()
        if requested is None and not self.releasing.is_set():
            return
        if requested == JobState.CANCELLING:
            raise _Interrupted(requested)
        if not run.epoch_is_over:  # else at the end of the epoch, which comes next
            self._save(run, spec, item.epoch, {})
            raise _Interrupted(requested)

    def _maybe_save(self, run: Run, item: Metrics | EpochEnd, spec: Spec) -> None:
        if isinstance(item, EpochEnd) and (item.best or item.last or item.epoch % spec["checkpoint"]["every_epochs"] == 0):
            self._save(run, spec, item.epoch, run.last_values)

    def _save(self, run: Run, spec: Spec, epoch: int, values: Mapping[str, float]) -> None:
        """A checkpoint, with the number of points the log will have by then, so that another attempt repeats none."""
        step = run.done_steps
        if step == self.saved_step:
            return
        self.reporter.flush()
        best = run.best.step if run.best else None
        facts: Mapping[str, Any] = {
            "step": step, "epoch": epoch, "points": self.reporter.produced, "reports": self.reporter.produced_reports, "best": best, "values": values, "variant": run.variant_name,
        }  # fmt: skip
        checkpoints.save(self.folder, step, run.state(), facts, run.metadata())
        checkpoints.prune(self.folder, spec["checkpoint"]["keep"], [b.step for b in run.bests])
        self.saved_step = step
        self.reporter.saved(step)

    def _results(self) -> JsonObject:
        """What there is to show for the training so far."""
        found = self.training.results() if self.training else {"variants": [], "best_step": None}
        return {**found, "last_step": max(self.saved_step, 0)}

    def _comply(self, requested: JobState | None) -> int:
        """Ends the attempt as requested."""
        if requested is None:
            self.reporter.release()
            return RELEASED
        state = self.reporter.comply(self._results() if requested == JobState.STOPPING else None)
        if state == JobState.CANCELLED:
            shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        return ENDED


def _out_of_memory(message: str) -> JobError:
    return JobError(code="out_of_memory", message=message, pointer="/data/batch_size")


def execute(job_id: str) -> int:
    """Runs a job; every way to fail ends in a record or in an exit code."""
    training = Training(Deployment.from_environment(), job_id, os.environ.get("EPOCHLINE_DEVICE", "cpu"))
    signal.signal(signal.SIGTERM, lambda *_: training.releasing.set())
    try:
        return training.run()
    except LostLease as error:
        _log.error("the job is lost", job=job_id, error=str(error))
        return LOST_LEASE
    except Exception as error:
        return _fail_unforeseen(training.reporter, error)


def _fail_unforeseen(reporter: Reporter, error: Exception) -> int:
    """The traceback is a line of the run's output; the error of a device ends in an exit code, since its process must not go on."""
    _log.error("the run failed", job=reporter.job_id, exc_info=error)
    reporter.log("".join(traceback.format_exception(error)).strip(), "error")
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        reporter.fail(JobError(code="disk_full", message=f"the disk of the data folder is full: {error}"))
        return CRASHED
    if not type(error).__module__.startswith("cupy"):
        reporter.fail(JobError(code="internal", message=message))
        return CRASHED
    if type(error).__name__ == "OutOfMemoryError":
        reporter.fail(_out_of_memory(message))
        return OUT_OF_MEMORY
    reporter.flush()
    return DEVICE_ERROR


def main() -> None:
    die_with_parent(started_by())
    configure("run")
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

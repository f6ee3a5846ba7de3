"""``epochline watch``, ``logs`` and ``wait``: a job while it runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import click

from client import Client, Job
from client.commands.failures import INTERRUPTED
from client.commands.jobs import finals
from client.commands.options import PATH, job_argument, json_option
from client.commands.session import Session, pass_session
from client.draw import picture
from client.errors import EpochlineError
from client.screen import Screen, screen
from client.terminal import Terminal
from server.models import ENDED, JobDetail, JobState, LogEvent, MetricsEvent

EXIT_CODES = {JobState.SUCCEEDED: 0, JobState.FAILED: 1, JobState.STOPPED: 3, JobState.CANCELLED: 4}
"""How a job ended, as an exit code."""
TIMED_OUT = 5
_POLL_S = 1.0
_CODES = "Exit code: 0 succeeded, 1 failed, 3 stopped, 4 cancelled"


class _Lookout(threading.Thread):
    """Asks about a job now and then while its events are awaited: how far it is, and whether there is a worker for it."""

    def __init__(self, client: Client, job_id: str, screen: Screen) -> None:
        super().__init__(daemon=True, name="lookout")
        self._client, self._job_id, self._screen = client, job_id, screen
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(_POLL_S):
            try:
                self.look()
            except EpochlineError:
                self._screen.wait_for("the server cannot be reached; trying again")

    def look(self) -> None:
        """Tells the screen what there is to know."""
        job = self._client.jobs.get(self._job_id).info
        if job.progress:
            self._screen.epochs, self._screen.total_steps = job.progress.epochs, job.progress.total_steps
        self._screen.wait_for(_waiting(self._client, job))

    def end(self) -> None:
        self._over.set()
        self.join()


def _waiting(client: Client, job: JobDetail) -> str:
    """What a job waits for; empty for one that does not."""
    if job.state == JobState.PAUSED:
        return f"the job is paused: `epochline resume {job.id}` has it go on"
    if job.state != JobState.QUEUED:
        return ""
    if not any(w.queue == job.queue for w in client.workers.list()):
        device = " --device cuda:0" if job.queue == "cuda" else ""
        return f"no worker takes jobs of the queue {job.queue}: `epochline worker{device}` starts one"
    return f"waiting for a worker of the queue {job.queue}: position {job.queue_position}" if job.queue_position else ""


def follow(session: Session, client: Client, job: Job, png: Path | None) -> None:
    """Shows a job until it has ended, and leaves with the code of how it ended. Ctrl-C detaches."""
    terminal, title = session.terminal, job.info.name or job.id
    try:
        with screen(terminal, title) as s:
            lookout = _Lookout(client, job.id, s)
            lookout.look()
            lookout.start()
            try:
                for event in job.stream():
                    if isinstance(event, MetricsEvent) and s.is_due:
                        lookout.look()
                    s.take(event)
            finally:
                lookout.end()
    except KeyboardInterrupt:
        terminal.note("Detached: the job goes on. Come back with:", f"  epochline watch {job.id}")
        raise SystemExit(INTERRUPTED) from None
    if png is not None and s.history.curves:
        picture(s.history, title, png)
    _conclude(terminal, job.refresh())


def _conclude(terminal: Terminal, job: JobDetail) -> None:
    terminal.say(*finals(job))
    if job.state == JobState.FAILED:
        error = job.error
        terminal.complain(
            f"Error: the job failed: {error.message if error else job.reason}"
            + (f" (at {error.pointer})" if error and error.pointer else "")
        )
    raise SystemExit(EXIT_CODES[job.state])


@click.command("watch", epilog=f"{_CODES}; 130 detached with Ctrl-C, while the job goes on.")
@job_argument
@click.option("--picture", "png", type=PATH, help="Save the curves as a PNG.")
@json_option
@pass_session
def watch(session: Session, job_id: str, png: Path | None) -> None:
    """Draws the loss of a job until it has ended, with epoch, percentage and time to go. With --json its events, one a line."""
    with session.client() as client:
        follow(session, client, client.jobs.get(job_id), png)


@click.command("extend", epilog="With --watch the exit codes of `epochline watch`.")
@job_argument
@click.option("--epochs", type=click.IntRange(1, 1_000_000), required=True, help="How many epochs more.")
@click.option("--watch", "watching", is_flag=True, help="Draw the loss until the job has ended again.")
@json_option
@pass_session
def extend(session: Session, job_id: str, epochs: int, watching: bool) -> None:
    """Has a job that succeeded or was stopped train further, from its last checkpoint, as if it had had those epochs from the start."""
    with session.client() as client:
        job = client.jobs.get(job_id)
        job.extend(epochs)
        session.terminal.emit(job.info)
        session.terminal.say(f"job {job_id} is {job.state}: {job.info.spec['epochs']} epochs")
        if watching:
            follow(session, client, job, None)


@click.command("wait", epilog=f"{_CODES} (all 0 without --exit-status); {TIMED_OUT} --timeout has passed and the job goes on.")
@job_argument
@click.option("--exit-status", is_flag=True, help="Exit with how the job ended.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0), metavar="SECONDS", help="How long to wait; without end by default.")
@json_option
@pass_session
def wait(session: Session, job_id: str, exit_status: bool, timeout_s: float | None) -> None:
    """Waits until a job has ended, and prints nothing meanwhile."""
    with session.client() as client:
        job = client.jobs.get(job_id)
        try:
            found = job.wait(timeout_s)
        except TimeoutError as error:
            session.terminal.emit(job.info)
            session.terminal.complain(f"Error: {error}")
            raise SystemExit(TIMED_OUT) from None
    session.terminal.emit(found)
    session.terminal.say(f"job {job_id} {found.state}" + (f": {found.reason}" if found.reason else ""))
    if exit_status:
        raise SystemExit(EXIT_CODES[found.state])


@click.command("logs")
@job_argument
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the job has ended.")
@click.option("--tail", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="How many lines, counted from the end.")
@click.option(
    "--level", type=click.Choice(["debug", "info", "warning", "error"]), default="debug", show_default=True, help="The lowest to show."
)
@json_option
@pass_session
def logs(session: Session, job_id: str, following: bool, tail: int, level: str) -> None:
    """Prints the output of a job's runs: warnings, decisions of the compiler, checkpoints, tracebacks. With -f and --json one event a line."""
    terminal = session.terminal
    with session.client() as client:
        job = client.jobs.get(job_id)
        lines = job.logs(tail, level)  # type: ignore[arg-type]  # one of the choices
        if not following:
            terminal.emit({"data": [e.model_dump(mode="json", exclude_none=True) for e in lines]})
        for line in lines:
            _log(terminal, line, following)
        if not following or job.state in ENDED:
            return
        shown = ("debug", "info", "warning", "error", "critical")
        for event in job.stream(after=lines[-1].seq if lines else 0):
            if isinstance(event, LogEvent) and shown.index(event.level) >= shown.index(level):
                _log(terminal, event, following)


def _log(terminal: Terminal, event: LogEvent, following: bool) -> None:
    if following:
        terminal.emit(event)
    first, *more = event.message.splitlines() or [""]
    terminal.say(f"{time.strftime('%H:%M:%S', time.localtime(event.time))} {event.level:<7} {first}", *(f"    {line}" for line in more))


__all__ = ["EXIT_CODES", "extend", "follow", "logs", "wait", "watch"]

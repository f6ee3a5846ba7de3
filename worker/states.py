"""The states of a job, and the one table of how it gets from one to another.

Everything that changes a state names a trigger; the table says from which states it acts, what the state becomes, and what follows.
``docs/queue.md`` draws the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Request(StrEnum):
    """What a user may request of a job. Repeatable; a request that does not fit the state changes nothing."""

    CANCEL = "cancel"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    EXTEND = "extend"


class Step(StrEnum):
    """What the run and those who watch over it do with a job."""

    START = "start"  # the run takes the job
    RUN = "run"  # its first step is due
    SUCCEED = "succeed"
    FAIL = "fail"
    COMPLY = "comply"  # what was requested of the run is done, or the run is gone
    REQUEUE = "requeue"  # the run is gone: another attempt
    GIVE_UP = "give up"  # it is gone once too often


class Effect(StrEnum):
    """What follows from a transition."""

    NONE = ""
    SIGNAL = "signal the run"
    ENQUEUE = "new attempt, enqueue"
    DEQUEUE = "take out of the queue"
    END = "end the log"
    DEQUEUE_AND_END = "take out of the queue, end the log"


Trigger = Request | Step


@dataclass(frozen=True)
class Transition:
    """One row of the table."""

    trigger: Trigger
    source: JobState
    target: JobState
    effect: Effect = Effect.NONE


_S = JobState
ENDED = frozenset({_S.SUCCEEDED, _S.STOPPED, _S.CANCELLED, _S.FAILED})
WAITING = frozenset({_S.QUEUED, _S.PAUSED})
ACTIVE = frozenset(_S) - ENDED - WAITING
"""The states in which a process works on the job, and holds a lease."""

_RUNNING = (_S.STARTING, _S.RUNNING)
_ROWS: tuple[tuple[Trigger, tuple[JobState, ...], JobState, Effect], ...] = (
    (Request.CANCEL, (_S.QUEUED, _S.PAUSED), _S.CANCELLED, Effect.DEQUEUE_AND_END),
    (Request.CANCEL, (*_RUNNING, _S.PAUSING, _S.STOPPING), _S.CANCELLING, Effect.SIGNAL),
    (Request.STOP, (_S.QUEUED, _S.PAUSED), _S.STOPPED, Effect.DEQUEUE_AND_END),
    (Request.STOP, (*_RUNNING, _S.PAUSING), _S.STOPPING, Effect.SIGNAL),
    (Request.PAUSE, (_S.QUEUED,), _S.PAUSED, Effect.DEQUEUE),
    (Request.PAUSE, _RUNNING, _S.PAUSING, Effect.SIGNAL),
    (Request.RESUME, (_S.PAUSED,), _S.QUEUED, Effect.ENQUEUE),
    (Request.RESUME, (_S.PAUSING,), _S.RUNNING, Effect.SIGNAL),
    (Request.EXTEND, (_S.SUCCEEDED, _S.STOPPED), _S.QUEUED, Effect.ENQUEUE),
    (Step.START, (_S.QUEUED,), _S.STARTING, Effect.NONE),
    (Step.RUN, (_S.STARTING,), _S.RUNNING, Effect.NONE),
    (Step.SUCCEED, tuple(sorted(ACTIVE)), _S.SUCCEEDED, Effect.END),
    (Step.FAIL, tuple(sorted(ACTIVE)), _S.FAILED, Effect.END),
    (Step.COMPLY, (_S.CANCELLING,), _S.CANCELLED, Effect.END),
    (Step.COMPLY, (_S.STOPPING,), _S.STOPPED, Effect.END),
    (Step.COMPLY, (_S.PAUSING,), _S.PAUSED, Effect.NONE),
    (Step.REQUEUE, _RUNNING, _S.QUEUED, Effect.ENQUEUE),
    (Step.GIVE_UP, _RUNNING, _S.FAILED, Effect.END),
)
TRANSITIONS = tuple(Transition(trigger, s, to, effect) for trigger, sources, to, effect in _ROWS for s in sources)
_BY_TRIGGER = {(t.trigger, t.source): t for t in TRANSITIONS}


def transition(trigger: Trigger, state: JobState) -> Transition | None:
    """What ``trigger`` does to a job in ``state``; None if nothing."""
    return _BY_TRIGGER.get((trigger, state))


def requests(state: JobState) -> list[Request]:
    """What a user may request of a job in ``state``."""
    return [r for r in Request if transition(r, state)]

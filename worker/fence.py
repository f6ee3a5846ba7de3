"""The one way to write to a job: a script that checks who writes, and does all of it or nothing.

A writer names its attempt and the states in which it may write; a process that lost its job is refused. A writer that numbers its
writes may repeat one whose answer was lost: it is applied once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker import keys
from worker.codec import dump_fields
from worker.deployment import Redis
from worker.records import Event, Job, StateChange, dump_event
from worker.states import ENDED, JobState

MAX_HISTORY = 100
_SCRIPT = """
local record, stream, leases, source, target, finished = unpack(KEYS)
local id, attempt, states, number, lease_ms, state, change, ended, max_history = unpack(ARGV)
local was = redis.call('HMGET', record, 'state', 'attempt', 'batch', 'seq', 'created', 'history')
if not was[1] then return {'missing', '', '', '0'} end
if attempt ~= '' and was[2] ~= attempt then return {'refused', was[1], was[2], was[4]} end
if number ~= '' and tonumber(was[3]) >= tonumber(number) then return {'ok', was[1], was[2], was[4]} end
if states ~= '' and not string.find(states, ',' .. was[1] .. ',', 1, true) then return {'refused', was[1], was[2], was[4]} end
local fields, at = tonumber(ARGV[10]), 11
for _ = 1, fields do
  redis.call('HSET', record, ARGV[at], ARGV[at + 1])
  at = at + 2
end
if state ~= '' then
  redis.call('HSET', record, 'state', state)
  redis.call('ZREM', source, id)
  redis.call('ZADD', target, was[5], id)
  local history = cjson.decode(was[6] or '[]')
  if #history >= tonumber(max_history) then table.remove(history, 1) end
  table.insert(history, cjson.decode(change))
  redis.call('HSET', record, 'history', cjson.encode(history))
  if ended ~= '' then redis.call('ZADD', finished, ended, id) else redis.call('ZREM', finished, id) end
end
if number ~= '' then redis.call('HSET', record, 'batch', number) end
if lease_ms == '0' then redis.call('ZREM', leases, id)
elseif lease_ms ~= '' then
  local now = redis.call('TIME')
  redis.call('ZADD', leases, now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(lease_ms), id)
end
local seq = tonumber(was[4])
if at <= #ARGV then
  local n = #ARGV - at + 1
  seq = redis.call('HINCRBY', record, 'seq', n)
  redis.call('XADD', stream, seq .. '-0', 'n', n, 'e', '[' .. table.concat(ARGV, ',', at) .. ']')
end
local after = redis.call('HMGET', record, 'state', 'attempt')
return {'ok', after[1], after[2], tostring(seq)}
"""


Fields = dict[str, object]
"""Some fields of a job's record, by their names in :class:`~worker.records.Job`."""


@dataclass(frozen=True)
class Answer:
    """What a write came to, and how the job stands after it; ``state`` is None where there is no such job."""

    applied: bool
    state: JobState | None
    attempt: int
    seq: int

    @property
    def missing(self) -> bool:
        return self.state is None


@dataclass(frozen=True)
class Write:
    """What to write: fields of the record by their names in :class:`~worker.records.Job`, events to append, a lease to renew.

    ``lease_ms`` 0 ends the lease; None leaves it. ``number`` counts the writes of an attempt: one that is applied already is not
    applied again.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Event] = ()
    lease_ms: int | None = None
    number: int | None = None


def write(redis: Redis, job_id: str, what: Write, *, attempt: int | None = None, states: Collection[JobState] = ()) -> Answer:
    """Does ``what`` if the job is in ``attempt`` and in one of ``states``, each where it is given."""
    return _run(redis, job_id, what, attempt, states)


def move(redis: Redis, job_id: str, change: StateChange, what: Write, *, attempt: int, source: JobState) -> Answer:
    """Writes, and moves the job from ``source`` to the state of ``change``, which its history keeps."""
    return _run(redis, job_id, what, attempt, [source], change)


def _run(
    redis: Redis, job_id: str, what: Write, attempt: int | None, states: Collection[JobState], change: StateChange | None = None
) -> Answer:
    flat = [x for pair in dump_fields(Job, what.fields).items() for x in pair]
    source, target = (next(iter(states)), change.state) if change else ("", "")
    ended = str(int(change.time * 1000)) if change and change.state in ENDED else ""
    script_keys = [
        keys.job(job_id), keys.events(job_id), keys.LEASES, keys.in_state(source), keys.in_state(target), keys.FINISHED,
    ]  # fmt: skip
    arguments = [
        job_id, _or_empty(attempt), f",{','.join(states)}," if states else "", _or_empty(what.number), _or_empty(what.lease_ms), target,
        change.model_dump_json(exclude_none=True) if change else "", ended, MAX_HISTORY, len(flat) // 2, *flat, *map(dump_event, what.events),
    ]  # fmt: skip
    outcome, state, now, seq = redis.register_script(_SCRIPT)(keys=script_keys, args=arguments)
    return Answer(outcome == b"ok", JobState(state.decode()) if state else None, int(now or 0), int(seq or 0))


def _or_empty(value: int | None) -> int | str:
    return "" if value is None else value

"""The one way to write to a job: a script that checks who writes, and does all of it or nothing.

A writer names its attempt and the states in which it may write; a process that lost its job is refused. A writer that numbers its
writes may repeat one whose answer was lost: it is applied once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker import keys
from worker.connection import Redis

_SCRIPT = """
local record, stream, leases = KEYS[1], KEYS[2], KEYS[3]
local id, attempt, states, batch, lease_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local held = redis.call('HMGET', record, 'state', 'attempt', 'batch', 'seq', 'created')
if not held[1] then return {'missing', '', '', '0'} end
if attempt ~= '' and held[2] ~= attempt then return {'refused', held[1], held[2], held[4]} end
if batch ~= '' and tonumber(held[3]) >= tonumber(batch) then return {'ok', held[1], held[2], held[4]} end
if states ~= '' and not string.find(states, ',' .. held[1] .. ',', 1, true) then return {'refused', held[1], held[2], held[4]} end
local fields, at = tonumber(ARGV[6]), 7
local state = held[1]
for _ = 1, fields do
  if ARGV[at] == 'state' then
    state = ARGV[at + 1]
    redis.call('ZREM', 'jobs:state:' .. held[1], id)
    redis.call('ZADD', 'jobs:state:' .. state, held[5], id)
  end
  redis.call('HSET', record, ARGV[at], ARGV[at + 1])
  at = at + 2
end
if batch ~= '' then redis.call('HSET', record, 'batch', batch) end
if lease_ms == '0' then redis.call('ZREM', leases, id)
elseif lease_ms ~= '' then
  local now = redis.call('TIME')
  redis.call('ZADD', leases, now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(lease_ms), id)
end
local seq = tonumber(held[4])
if at <= #ARGV then
  local n = #ARGV - at + 1
  seq = redis.call('HINCRBY', record, 'seq', n)
  redis.call('XADD', stream, seq .. '-0', 'n', n, 'e', '[' .. table.concat(ARGV, ',', at) .. ']')
end
local after = redis.call('HGET', record, 'attempt')
return {'ok', state, after, tostring(seq)}
"""


@dataclass(frozen=True)
class Answer:
    """What a write came to, and how the job stands after it."""

    applied: bool
    missing: bool
    state: str
    attempt: int
    seq: int


def write(
    redis: Redis, job_id: str, *, attempt: int | None = None, states: Sequence[str] = (), batch: int | None = None, lease_ms: int | None = None,
    fields: Mapping[str, Any] | None = None, events: Sequence[Mapping[str, Any]] = (),
) -> Answer:  # fmt: skip
    """Sets fields of a job's record and appends events to its log, if ``attempt`` and state are as said.

    ``lease_ms`` renews the lease, 0 ends it. ``batch`` numbers the write within the attempt: one that is applied already is not
    applied again.
    """
    flat = [x for k, v in (fields or {}).items() for x in (k, v if isinstance(v, str | int | float) else json.dumps(v))]
    arguments = [
        job_id, "" if attempt is None else attempt, f",{','.join(states)}," if states else "", "" if batch is None else batch,
        "" if lease_ms is None else lease_ms, len(flat) // 2, *flat, *(json.dumps(e) for e in events),
    ]  # fmt: skip
    outcome, state, now, seq = redis.register_script(_SCRIPT)(keys=[keys.job(job_id), keys.events(job_id), keys.LEASES], args=arguments)
    return Answer(outcome == b"ok", outcome == b"missing", state.decode(), int(now or 0), int(seq or 0))

"""Random specs: each is refused by the check, with pointers, or trains; nothing else happens.

``pytest tests/spec/test_random_specs.py --random-specs 2000`` tries more than the suite does.
"""

from __future__ import annotations

import collections
import json
import math
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from engine.data.source import Source
from engine.spec import SpecError, check
from engine.train import Diverged, EpochEnd, Metrics, Run
from tests.spec.generator import prepared, random_spec

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # settings such as 1e300 in single precision
_MOST_FLOPS, _MOST_BYTES = 2 * 10**9, 1 << 30  # of a step that is computed here


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    return prepared(tmp_path_factory.mktemp("datasets"))


def checked(spec: dict[str, Any], source: Source) -> Run | None:
    """The job that a spec makes; None where it is refused. Any other error is one."""
    try:
        return Run(check(json.loads(json.dumps(spec))), source)
    except SpecError as error:
        assert error.problems and all(p.detail and (not p.pointer or p.pointer.startswith("/")) for p in error.problems)
        return None


def _numbers(value: Any) -> Iterator[float]:
    """All numbers of a history's point: those of classes too."""
    if isinstance(value, dict | list):
        for v in value.values() if isinstance(value, dict) else value:
            yield from _numbers(v)
    else:
        yield value


def trained(run: Run) -> str:
    """What comes of at least two steps and an evaluation."""
    if any(s.flops * s.batch_size > _MOST_FLOPS or s.peak_bytes > _MOST_BYTES for s in run.summaries):
        return "too large"
    steps = 0
    try:
        for record in run:
            if isinstance(record, Metrics):
                assert all(map(math.isfinite, _numbers(record.values))), record
                steps += record.split == "train"
            if isinstance(record, EpochEnd) and steps >= 2:
                break
    except Diverged:
        return "diverged"
    assert steps
    return "trained"


@pytest.mark.timeout(1800)
def test_a_random_spec_is_refused_or_trains(sources: dict[str, Source], request: pytest.FixtureRequest) -> None:
    n, seen, slowest = request.config.getoption("--random-specs"), collections.Counter[str](), 0.0

    @settings(
        max_examples=n,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(st.integers(0, 2**64 - 1))
    @example(0)
    def run(seed: int) -> None:
        nonlocal slowest
        name, spec = random_spec(Random(seed), sources)
        try:
            started = time.perf_counter()
            job = checked(spec, sources[name])
            slowest = max(slowest, time.perf_counter() - started)
            seen[trained(job) if job else "refused"] += 1
        except Exception as error:
            error.add_note(f"seed {seed}, dataset {name!r}: {json.dumps(spec)}")
            raise

    run()
    print(f"\n{n} random specs: {dict(seen)}, the slowest check took {slowest:.2f} s")
    assert seen["trained"] + seen["diverged"] > 0.3 * n, f"too few specs are valid to test training: {seen}"

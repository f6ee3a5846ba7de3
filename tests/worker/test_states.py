"""The table of transitions: what each request does in each state, and the drawing of it in the documentation."""

from pathlib import Path

import pytest

from worker.states import ACTIVE, ENDED, TRANSITIONS, WAITING, Effect, JobState, Request, Step, requests, transition

QUEUE_PAGE = Path(__file__).parents[2] / "docs" / "queue.md"
_BEGIN, _END = "<!-- transitions: begin -->", "<!-- transitions: end -->"


def drawn() -> str:
    """The table as ``docs/queue.md`` has it: for each trigger, what becomes of which states, and what follows."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for t in TRANSITIONS:
        rows.setdefault((str(t.trigger), str(t.target), str(t.effect)), []).append(f"`{t.source}`")
    lines = [f"| {trigger} | {', '.join(sources)} | `{target}` | {effect} |" for (trigger, target, effect), sources in rows.items()]
    return "\n".join(["| trigger | from | to | what follows |", "|---|---|---|---|", *lines])


def test_the_documentation_has_the_table() -> None:
    text = QUEUE_PAGE.read_text()
    found = text[text.index(_BEGIN) + len(_BEGIN) : text.index(_END)].strip()
    assert found == drawn(), f"docs/queue.md is out of date; between its markers belongs:\n{drawn()}"


def test_every_state_is_of_one_kind_and_can_be_reached_and_left() -> None:
    assert sorted([*ACTIVE, *WAITING, *ENDED]) == sorted(JobState)
    assert {t.target for t in TRANSITIONS} == set(JobState)
    assert {t.source for t in TRANSITIONS} == ACTIVE | WAITING | {JobState.SUCCEEDED, JobState.STOPPED}
    assert len({(t.trigger, t.source) for t in TRANSITIONS}) == len(TRANSITIONS)


def test_effects_fit_the_states() -> None:
    for t in TRANSITIONS:
        assert (t.effect in (Effect.END, Effect.DEQUEUE_AND_END)) == (t.target in ENDED), t
        assert (t.effect is Effect.ENQUEUE) == (t.target == JobState.QUEUED), t
        assert t.effect is not Effect.SIGNAL or (t.source in ACTIVE and t.target in ACTIVE), t


@pytest.mark.parametrize("state", JobState)
def test_what_may_be_requested(state: JobState) -> None:
    found = requests(state)
    assert (Request.CANCEL in found) == (state not in ENDED and state != JobState.CANCELLING)
    assert (Request.EXTEND in found) == (state in (JobState.SUCCEEDED, JobState.STOPPED))
    assert (Request.RESUME in found) == (state in (JobState.PAUSED, JobState.PAUSING))


def test_whatever_a_run_is_doing_it_can_end() -> None:
    for state in ACTIVE:
        assert all(transition(step, state) for step in (Step.SUCCEED, Step.FAIL))
        assert bool(transition(Step.COMPLY, state)) != bool(transition(Step.REQUEUE, state))

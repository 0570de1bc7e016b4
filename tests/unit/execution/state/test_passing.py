"""Checkpoints that a replay need not make."""

from __future__ import annotations

import pytest

from orchestrator.execution.state import ExecutionContext, passing_checkpoints
from orchestrator.journal.events import Entry
from orchestrator.testing.clock import FakeClock


def journal_of(context: ExecutionContext) -> list[Entry]:
    entries: list[Entry] = []
    context.subscribe(entries.append)
    return entries


def replayed(journal: list[Entry], passing: frozenset[str]) -> ExecutionContext:
    context = ExecutionContext("x", "p", clock=FakeClock())
    context.pinned_checkpoints = {"named"}
    context.pass_over(passing)
    for entry in journal:
        context.apply(entry)
    context.deliver()
    return context


@pytest.mark.parametrize("steps", [3, 49, 50, 51, 120])
def test_the_checkpoints_that_are_kept_are_the_same_and_lead_to_the_same(steps: int) -> None:
    live = ExecutionContext("x", "p", clock=FakeClock())
    journal = journal_of(live)
    live.pinned_checkpoints = {"named"}
    live.start_execution()
    for number in range(steps):
        live.start_step(f"s{number}")
        live.complete_step(f"s{number}")
        if number == 7:
            live.create_checkpoint("named")
    passing = passing_checkpoints(journal, live.max_checkpoints)
    whole, sparing = replayed(journal, frozenset()), replayed(journal, passing)
    assert [c.id for c in sparing.checkpoints] == [c.id for c in whole.checkpoints] == [c.id for c in live.checkpoints]
    assert sparing.metrics.checkpoints_created == whole.metrics.checkpoints_created
    assert bool(passing) == (steps >= 55)
    for checkpoint in whole.checkpoints:
        assert sparing.plan_restore(checkpoint.id) == whole.plan_restore(checkpoint.id)


def test_none_is_passed_over_where_the_execution_went_back() -> None:
    live = ExecutionContext("x", "p", clock=FakeClock())
    journal = journal_of(live)
    live.start_execution()
    for number in range(80):
        live.start_step(f"s{number}")
        live.complete_step(f"s{number}")
    assert passing_checkpoints(journal, live.max_checkpoints)
    live.restore_checkpoint(live.checkpoints[3].id)
    assert not passing_checkpoints(journal, live.max_checkpoints)

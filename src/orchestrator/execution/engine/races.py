"""Races: of those that wait in one, only one branch at a time is given what it waits for.

A race is a `parallel` that needs fewer than all of its branches. It is decided when the event of a branch is applied;
what another branch took just before would be lost with it. So a branch is given no signal while another one is about to
end: it takes it when that has not decided the race, and else the signal is there for whoever comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.execution.machine import Machine
from orchestrator.journal.events import SignalTaken
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import place_of
from orchestrator.journal.step_record import StepRecord
from orchestrator.status import StepStatus
from orchestrator.types import StepKey


def in_turn(
    events: Sequence[SignalTaken], machine: Machine, record: ExecutionRecord, is_answered: Callable[[StepRecord], bool]
) -> list[SignalTaken]:
    """Those of the events that may be recorded now; they come in the order of their signals.

    `is_answered` says whether something came for a step that is not applied yet.
    """
    near: dict[StepKey, set[StepKey]] = {}  # race -> its branches that are about to end
    allowed = []
    for event in events:
        branches = machine.race_branches(event.key)
        races = {branch: _owner(branch) for branch in branches}
        for race in races.values():
            if race not in near:
                near[race] = _about_to_end(race, machine, record, is_answered)
        if all(near[race] <= {branch} for branch, race in races.items()):
            allowed.append(event)
            for branch, race in races.items():
                near[race].add(branch)
    return allowed


def _about_to_end(
    race: StepKey, machine: Machine, record: ExecutionRecord, is_answered: Callable[[StepRecord], bool]
) -> set[StepKey]:
    found: set[StepKey] = set()
    for key in record.inside(race):
        step = record.steps[key]
        if step.status is StepStatus.RUNNING and (is_answered(step) or _ends_soon(step, machine)):
            found.update(branch for branch in machine.race_branches(key) if _owner(branch) == race)
    return found


def _ends_soon(step: StepRecord, machine: Machine) -> bool:
    """Whether what a step waits for has come, or what is inside of it is over; a failed attempt is no end yet."""
    if step.failures and step.failures[-1].attempt >= step.attempt:
        return False
    awaited = step.waiting_for
    return (awaited is not None and awaited.over is not None) or (
        step.holds_others and machine.over(step.key) is not None
    )


def _owner(branch: StepKey) -> StepKey:
    place = place_of(branch)
    assert place is not None, "a branch is inside of something"
    return place.owner

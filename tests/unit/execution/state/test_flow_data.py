"""States of executions with nested steps: what a step holds or waits for is saved with it, and comes back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.execution.state import ExecutionContext, execution_state
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, decode, pack
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.step_record import Block
from orchestrator.status import StepStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.types import StepKey

ERROR = {"message": "broken"}


def value(thing: object) -> Encoded:
    return Encoded(pack(thing))


def key(name: str) -> StepKey:
    return StepKey(name)


def done(name: str, output: object = None) -> ev.StepSucceeded:
    return ev.StepSucceeded(key(name), 1, 1, value(output))


EVENTS: list[Event] = [
    ev.ExecutionClaimed("me", 1),
    ev.BlockEntered(key("route"), 1, 2, 1, (("rows", value([1, (2, 3)])),), 5000.0),
    done("route.small", 7),
    ev.StepFailed(key("route.large"), 1, 1, ERROR),
    ev.StepFailed(key("route"), 1, 2, {"message": "step 'route.large' failed: broken"}, key("route.large")),
    ev.LoopExpanded(key("months"), 1, (value(1), value(2)), collects=True),
    done("months[0]", "a"),
    ev.StepFailed(key("months[1]"), 1, 1, ERROR),
    ev.StepSucceeded(key("months"), 1, 1, None),
    ev.IterationStarted(key("poll"), 1, 0),
    done("poll[0]", "ready"),
    ev.StepSucceeded(key("poll"), 1, 1, None),
    ev.BlockEntered(key("pair"), 1, 1),
    done("pair.one", 1),
    done("pair.two", 2),
    ev.StepSucceeded(key("pair"), 1, 1, None, (), None, ("one", "two")),
    ev.StepWaiting(key("ok"), 1, 1, "approval", 6000.0, "Release?", {"who": ["Ada"], "choices": ["approve"]}),
    ev.InterventionAnswered(key("ok"), 1, "approve", value({"note": "x"}), "Ada"),
    ev.StepWaiting(key("paid"), 1, 1, "signal", None, "paid"),
    ev.StepStarted(key("pay"), 1, 1),
    ev.StepInDoubt(key("pay"), 1, 1, "ask"),
    ev.StepRetrying(key("slow"), 1, 1, ERROR, 3000.0, 4000.0),
]


@pytest.fixture
def context() -> ExecutionContext:
    context = ExecutionContext("run", "p", clock=FakeClock())
    for number, event in enumerate(EVENTS, 1):
        context.apply(Entry(number, 1000.0 + number, event))
    return context


def test_what_steps_hold_and_wait_for_comes_back(context: ExecutionContext) -> None:
    context.create_checkpoint("here")
    context.complete_step("later")
    exported = context.export_state()
    again = ExecutionContext.from_state(copy.deepcopy(exported))
    assert again.record.steps == context.record.steps
    assert again.export_state() == exported
    assert set(again.record.inside(key("route"))) == {"route.small", "route.large"}
    assert again.restore_checkpoint("here") and again.record.steps[key("later")].status is StepStatus.PENDING


def test_a_flat_step_has_no_keys_for_it(context: ExecutionContext) -> None:
    saved = context.export_state()["steps"]
    extra = {"block", "collects", "rounds", "parts", "waiting_for", "in_doubt", "cause"}
    assert not extra & set(saved["route.small"])
    assert extra & set(saved["route"]) == {"block", "cause"}


@pytest.mark.parametrize(
    ("step", "change", "says"),
    [
        ("route", lambda step: step["block"].update(inputs=[["rows"]]), r"block.inputs\[0\]: a name and a value"),
        ("route", lambda step: step["block"].update(case=-1), "block.case: a whole number"),
        ("route", lambda step: step["block"].update(more=1), "block: it has 'more'"),
        ("route", lambda step: step.update(cause=3), "cause: a text"),
        ("pair", lambda step: step.update(parts=[1]), r"parts\[0\]: a text"),
        ("poll", lambda step: step.update(rounds="2"), "rounds: a whole number"),
        ("months", lambda step: step.update(collects=1), "collects: true or false"),
        ("ok", lambda step: step["waiting_for"].pop("since"), "waiting_for: 'since' is missing"),
        ("slow", lambda step: step["failures"][0].update(deadline="soon"), "deadline: a number"),
    ],
)
def test_what_is_wrong_is_named(
    context: ExecutionContext, step: str, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    state = context.export_state()
    change(state["steps"][step])
    with pytest.raises(InputError, match=says):
        ExecutionContext.from_state(state)


def test_a_restore_brings_back_what_is_inside() -> None:
    """A context alone brings steps back as they stood, with what is inside of them; what came later goes with them."""
    context = ExecutionContext("run", "p", clock=FakeClock())
    for number, event in enumerate([ev.ExecutionClaimed("me", 1), ev.BlockEntered(key("b"), 1, 1)], 1):
        context.apply(Entry(number, 1000.0, event))
    context.complete_step("b.one")
    made = context.create_checkpoint()
    context.apply(Entry(context.record.position + 1, 1000.0, ev.BlockEntered(key("b"), 1, 2)))
    assert context.record.inside(key("b")) == []
    context.start_step("b.two")
    assert context.restore_checkpoint(made.id)
    steps = context.record.steps
    assert (steps[key("b.one")].status, steps[key("b.two")].status) == (StepStatus.COMPLETED, StepStatus.PENDING)
    assert steps[key("b")].block == Block(1, since=1000.0)
    assert "b.one" in context.record.inside(key("b"))


def test_the_typed_mapping_has_what_steps_are_made_of(context: ExecutionContext) -> None:
    state = execution_state(context.record, decode)
    assert state["step_outputs"]["pair"] == {"one": 1, "two": 2}
    assert state["step_outputs"]["poll"] == "ready"
    assert state["step_outputs"]["months"] == [
        {"ok": True, "value": "a", "error": None},
        {"ok": False, "value": None, "error": ERROR},
    ]
    assert set(state["step_outputs"]) == {"pair", "poll", "months"}
    assert state["failed_steps"] == ["route"]


def test_a_dot_in_a_name_makes_no_block() -> None:
    """A program may call its steps what it likes: only a step that holds others has some inside."""
    context = ExecutionContext("run", "p", clock=FakeClock())
    context.start()
    context.complete_step("load")
    context.complete_step("load.csv")
    state = execution_state(context.record, decode)
    assert state["completed_steps"] == ["load", "load.csv"]

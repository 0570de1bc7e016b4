"""The typed mapping that other graph engines take."""

from __future__ import annotations

from orchestrator.clock import utc
from orchestrator.execution.state import ExecutionState, execution_state
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, decode, pack
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.types import ExecutionId, StepKey


def value(thing: object) -> Encoded:
    return Encoded(pack(thing))


def test_it_is_what_the_journal_folds_to() -> None:
    load, plot, months, slow = (StepKey(name) for name in ("load", "plot", "months", "slow"))
    events: list[ev.Event] = [
        ev.ExecutionCreated(ExecutionId("run"), "weather", value({}), "f", (("hot", value(25)),), ""),
        ev.ExecutionClaimed("host:1", 1),
        ev.StepStarted(load, 1, 1),
        ev.StepRetrying(load, 1, 1, {"message": "busy"}, 0.0),
        ev.StepStarted(load, 1, 2),
        ev.StepSucceeded(load, 1, 2, value([1, 2]), (("total", value(3)),)),
        ev.LoopExpanded(months, 1, (value(1), value(2))),
        ev.StepSucceeded(StepKey("months[0]"), 1, 1, value("a")),
        ev.StepSkipped(StepKey("months[1]"), 1, "empty"),
        ev.StepSucceeded(months, 1, 1, None),
        ev.StepStarted(plot, 1, 1),
        ev.StepFailed(plot, 1, 1, {"message": "no"}),
        ev.StepSkipped(StepKey("mail"), 1, "nobody", value("none")),
        ev.StepStarted(slow, 1, 1),
    ]
    entries = [Entry(i + 1, 100.0 + i, event) for i, event in enumerate(events)]
    record = ExecutionRecord.of(ExecutionId("run"), entries)
    state: ExecutionState = execution_state(record, decode)
    assert set(state) == set(ExecutionState.__annotations__)
    assert (state["execution_id"], state["pipeline_id"], state["current_step"]) == ("run", "weather", "slow")
    outputs = {"load": [1, 2], "months": ["a", None], "mail": "none"}
    assert state["step_outputs"] == outputs
    assert state["variables"] == {"hot": 25, "total": 3, **outputs}
    assert (state["completed_steps"], state["failed_steps"]) == (["load", "months"], ["plot"])
    assert state["errors"] == {"plot": {"message": "no"}}
    assert state["retry_counts"] == {"load": 1}
    assert state["step_start_times"]["load"] == utc(102.0)
    assert state["step_end_times"]["load"] == utc(105.0)
    assert (state["started_at"], state["last_updated"]) == (utc(100.0), utc(113.0))
    assert state["metadata"]["status"] == "running"

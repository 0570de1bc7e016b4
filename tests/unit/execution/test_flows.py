"""Flows that go wrong half-way, and what somebody does about them; each was found by random pipelines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.execution.lives import Lives, lives, pipeline

from orchestrator import ExecutionStatus, Orchestrator
from orchestrator.execution.machine.frames import ItemsFrame
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import StepStatus
from orchestrator.testing.clock import FakeClock
from orchestrator.types import ExecutionId, StepKey

__all__ = ["lives"]


@pytest.fixture(autouse=True)
def time_stands_still(lives: Lives) -> None:
    lives.clock = FakeClock(jumping=False)


def word(app: Orchestrator, key: str) -> str:
    return str(app.show("x").steps[StepKey(key)].status)


def count(app: Orchestrator, kind: type) -> int:
    return sum(isinstance(entry.event, kind) for entry in app.history("x"))


LATE = pipeline(
    """
    - id: block
      timeout: 1h
      steps: [{id: done, do: work, with: {value: 1}}, {id: gate, for_each: [0], signal: go}]
    """,
    'all: "${block}"',
)


def late(app: Orchestrator, lives: Lives) -> None:
    """Runs it until the block's time is over."""
    assert app.run(LATE, execution_id="x").status is ExecutionStatus.PAUSED
    lives.clock.advance(3600.0)
    assert app.resume("x").status is ExecutionStatus.FAILED
    assert word(app, "block.gate") == "cancelled"


def test_a_retry_of_a_block_whose_time_was_over_begins_it_as_a_whole(lives: Lives) -> None:
    with lives.life() as app:
        late(app, lives)
        assert app.retry("x").status is ExecutionStatus.PAUSED
        app.signal("x", "go", 2)
        assert app.resume("x").outputs == {"all": {"done": 1, "gate": [2]}}


def test_a_rerun_inside_of_a_block_gives_it_its_time_again_and_runs_what_was_cancelled_beside(lives: Lives) -> None:
    with lives.life() as app:
        late(app, lives)
        lives.clock.advance(86400.0)
        assert app.rerun("x", "block.done").status is ExecutionStatus.PAUSED
        assert app.show("x").waits_until == lives.clock.time() + 3600.0
        app.signal("x", "go", 2)
        assert app.resume("x").outputs == {"all": {"done": 1, "gate": [2]}}
        assert app.list()[0].steps_failed == app.show("x").steps_failed == 0


def test_the_time_of_a_block_is_over_once_whatever_tidies_up_afterwards(lives: Lives) -> None:
    tidies = pipeline(
        "- {id: child, pipeline: sub, timeout: 1h}",
        more="""
        pipelines:
          sub:
            steps: [{id: gate, signal: go}]
            finally: [{id: last, signal: tidy}]
        """,
    )
    with lives.life() as app:
        app.run(tidies, execution_id="x")
        lives.clock.advance(3600.0)
        assert app.resume("x").status is ExecutionStatus.PAUSED
        assert app.show("x").waits_until is None
        assert app.resume("x").status is ExecutionStatus.PAUSED
        app.signal("x", "tidy")
        assert app.resume("x").status is ExecutionStatus.FAILED
        assert count(app, ev.DeadlinePassed) == 1


def test_a_signal_reaches_a_step_of_the_second_attempt(lives: Lives) -> None:
    twice = pipeline(
        """
        - id: block
          retry: {max_attempts: 2, initial_delay: 0, on: [timeout]}
          timeout: 1h
          steps: [{id: gate, signal: go}]
        """,
        'all: "${block.gate}"',
    )
    with lives.life() as app:
        app.run(twice, execution_id="x")
        lives.clock.advance(3600.0)
        assert app.resume("x").status is ExecutionStatus.PAUSED
        assert app.show("x").steps[StepKey("block.gate")].generation == 2
        app.signal("x", "go", 5)
        assert app.resume("x").outputs == {"all": 5}


def test_a_paused_execution_may_be_set_back_more_than_once(lives: Lives) -> None:
    with lives.life() as app:
        app.run(LATE, execution_id="x")
        for _ in range(2):
            app.restore("x", "initial")
        app.signal("x", "go", 2)
        assert app.resume("x").outputs == {"all": {"done": 1, "gate": [2]}}


def test_what_had_begun_in_a_step_that_failed_is_cancelled_where_that_is_dealt_with(lives: Lives) -> None:
    deals = pipeline(
        """
        - id: outer
          on_error: [{strategy: skip, output: 7}]
          steps:
            - id: inner
              steps: [{id: gate, signal: go}, {id: bad, do: needs, with: {name: never}}]
        """,
        'all: "${outer}"',
    )
    with lives.life() as app:
        assert app.run(deals, execution_id="x").outputs == {"all": 7}
        assert word(app, "outer.inner") == "failed"
        assert word(app, "outer.inner.gate") == "cancelled"


def test_a_step_that_waits_does_not_go_on_when_the_pipeline_tidies_up(lives: Lives) -> None:
    tidies = pipeline(
        "- {id: gate, signal: go, deadline: 1h, default: 1}\n- {id: bad, do: needs, with: {name: never}}",
        more="finally: [{id: last, signal: tidy}]\n",
    )
    with lives.life() as app:
        assert app.run(tidies, execution_id="x").status is ExecutionStatus.PAUSED
        app.signal("x", "go", 5)
        lives.clock.advance(7200.0)
        app.signal("x", "tidy")
        assert app.resume("x").status is ExecutionStatus.FAILED
        assert count(app, ev.SignalTaken) == 1
        assert count(app, ev.WaitOver) == 0


def test_a_rerun_of_one_item_keeps_the_count_of_those_that_failed(lives: Lives) -> None:
    loop = pipeline(
        '- {id: loop, for_each: [a, b, c], as: n, do: needs, with: {name: "${n}"}}',
    )
    with lives.life() as app:
        app.run(loop, execution_id="x")
        assert app.list()[0].steps_failed == 3
        lives.touch("a")
        app.rerun("x", "loop[0]")
        assert app.list()[0].steps_failed == app.show("x").steps_failed == 2


def test_a_retry_leaves_alone_what_a_person_is_asked_about(lives: Lives) -> None:
    asks = pipeline(
        """
        - id: block
          on_error: [{strategy: manual_intervention, instructions: look}]
          steps: [{id: bad, do: needs, with: {name: never}}]
        - {id: gate, signal: go, deadline: 1h}
        """,
        'all: "${block}"',
    )
    with lives.life() as app:
        assert app.run(asks, execution_id="x").status is ExecutionStatus.PAUSED
        lives.clock.advance(3600.0)
        assert app.resume("x").status is ExecutionStatus.FAILED
        lives.witnessed()
        assert app.retry("x").status is ExecutionStatus.PAUSED
        assert lives.ran() == []
        app.signal("x", "go")
        app.answer("x", "block", "skip", 7)
        assert app.resume("x").outputs == {"all": 7}
        assert word(app, "block.bad") == "failed"


def test_a_failure_in_a_sub_pipeline_that_has_returned_closes_nothing_around_it(lives: Lives) -> None:
    """Both steps end in one commit, the `return` first: that the other one failed counts for nothing then."""
    returns = pipeline(
        """
        - {id: child, pipeline: sub}
        - {id: after, do: work, with: {value: "${child.x + 1}"}}
        """,
        'all: "${after}"',
        more="""
        pipelines:
          sub:
            steps: [{id: back, return: {x: 5}}, {id: bad, fail: "not to be"}]
            outputs: {x: 0}
        """,
    )
    with lives.life() as app:
        assert app.run(returns, execution_id="x").outputs == {"all": 6}
        assert (word(app, "child/back"), word(app, "child/bad")) == ("completed", "failed")
        assert lives.ran() == ["after"]


async def test_an_engine_that_was_interrupted_still_records_what_is_asked_of_it(lives: Lives) -> None:
    with lives.life() as app:
        async with app.staying_open():
            await app.arun(LATE, execution_id="x")
            app.interrupt()
            await app.acancel("x", "enough")
            assert app.show("x").cancel is not None
    with lives.life() as app:
        await app.aresume("x")
        assert app.show("x").status is ExecutionStatus.CANCELLED


def test_finally_steps_do_not_see_what_a_step_gave_before_it_was_to_run_again(lives: Lives) -> None:
    tidies = pipeline(
        "- {id: a, do: holds, with: {name: go, value: 5}}\n",
        more='finally: [{id: last, do: work, with: {value: "${a}"}}]\n',
    )
    lives.touch("go")
    with lives.life() as app:
        app.run(tidies, execution_id="x")
        (lives.folder / "go").unlink()

        async def rerun_and_cancel() -> None:
            async with app.staying_open():
                rerunning = asyncio.ensure_future(app.arerun("x", "a"))
                while "a 2 1 begins" not in lives.witnessed():
                    await asyncio.sleep(0.002)
                await app.acancel("x")
                await rerunning

        asyncio.run(asyncio.wait_for(rerun_and_cancel(), 20))
        assert app.show("x").status is ExecutionStatus.CANCELLED
        output = app.show("x").steps[StepKey("last")].output
        assert output is not None
        assert app.value(output) is None


def test_what_a_recovery_ran_is_cancelled_with_the_step() -> None:
    record = ExecutionRecord(ExecutionId("x"))
    a, part = StepKey("a"), StepKey("a/other")
    _tell(
        record,
        ev.StepStarted(a, 1, 1),
        ev.StepRecovering(a, 1, 1, {}, {}),
        ev.StepStarted(part, 1, 1),
        ev.StepCancelled(a, 1, "enough"),
    )
    assert record.steps[part].status is StepStatus.CANCELLED


def test_a_signal_that_was_taken_for_nothing_is_there_again_when_the_block_is_tried_again() -> None:
    record = ExecutionRecord(ExecutionId("x"))
    block, gate = StepKey("block"), StepKey("block.gate")
    _tell(
        record,
        ev.SignalReceived("go", Encoded(b"\x01")),
        ev.BlockEntered(block, 1, 1),
        ev.StepWaiting(gate, 1, 1, "signal", None, "go"),
        ev.SignalTaken(gate, 1, 1),
    )
    assert record.signals[1].taken_by is not None
    _tell(record, ev.BlockEntered(block, 1, 2))
    assert record.signals[1].taken_by is None


def test_what_failed_in_an_earlier_attempt_counts_no_more_at_any_depth() -> None:
    record = ExecutionRecord(ExecutionId("x"))
    block, child, load = StepKey("block"), StepKey("block.child"), StepKey("block.child/load")
    _tell(
        record,
        ev.BlockEntered(block, 1, 1),
        ev.BlockEntered(child, 1, 1),
        ev.StepStarted(load, 1, 1),
        ev.StepFailed(load, 1, 1, {}),
        ev.StepFailed(child, 1, 1, {}, load),
        ev.StepRetrying(block, 1, 1, {}, 0.0),
    )
    assert record.steps_failed == 1
    _tell(record, ev.BlockEntered(block, 1, 2))
    assert record.steps_failed == 0


def _tell(record: ExecutionRecord, *events: ev.Event) -> None:
    for event in events:
        record.apply(Entry(record.position + 1, 0.0, event))


def test_a_round_costs_the_same_however_many_there_were(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[StepKey] = []
    present = ItemsFrame.present

    def counted(frame: ItemsFrame) -> Any:
        looked.append(frame.owner)
        return present(frame)

    monkeypatch.setattr(ItemsFrame, "present", counted)
    definition = pipeline("- {id: a, while: '${n < 50}', as: n, set: {x: '${n}'}}", 'a: "${a.x}"')
    with lives.life() as app:
        assert app.run(definition).outputs == {"a": 49}
    assert looked == []

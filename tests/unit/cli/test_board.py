"""The board: events and notes to what there is to see of each step."""

import sys
from typing import Any

from orchestrator.cli.board import Board
from orchestrator.cli.rows import Row
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Note
from orchestrator.types import ExecutionId, StepKey

NULL = Encoded(b"\xc0")
ERROR = {"message": "ConnectionError: refused\nagain"}
ID = ExecutionId("x")


class Told:
    """A board that is told events at chosen times."""

    def __init__(self, *steps: str) -> None:
        self.board = Board(ID, steps)
        self.position = 0
        self(0.0, ev.ExecutionCreated(ID, "shop", NULL, "f", (), ""), ev.ExecutionClaimed("host:1", 1))

    def __call__(self, at: float, *events: ev.Event) -> None:
        for event in events:
            self.position += 1
            self.board.apply(Entry(self.position, at, event))

    def note(self, at: float, key: str, text: str, fraction: float | None = None, attempt: int = 1) -> None:
        self.board.note(Note(key, attempt, at, "stdout" if fraction is None else "progress", text, fraction))

    def row(self, key: str, now: float) -> Row:
        return next(row for row in self.board.rows(now) if row.key == key)


def started(key: str, attempt: int = 1) -> ev.Event:
    return ev.StepStarted(StepKey(key), 1, attempt)


def succeeded(key: str) -> ev.Event:
    return ev.StepSucceeded(StepKey(key), 1, 1, NULL)


def failed(key: str) -> ev.Event:
    return ev.StepFailed(StepKey(key), 1, 1, ERROR)


def test_a_step_from_pending_to_completed() -> None:
    told = Told("load", "after")
    assert [row.state for row in told.board.rows(0)] == ["pending", "pending"]
    told.note(0.9, "load", "early \x1b[1mbird", None)  # before the record of the start
    assert told.row("load", 1).state == "running"
    told(1.0, started("load"))
    assert told.row("load", 1).doing[0].text == "early bird"
    told.note(2.0, "load", "half", 0.5)
    row = told.row("load", 3.0)
    assert (row.state, row.fraction, row.doing[0].text, row.seconds) == ("running", 0.5, "half", 2.0)
    told(4.5, succeeded("load"))
    told.note(5.0, "load", "too late")
    row = told.row("load", 99.0)
    assert (row.state, row.seconds, row.doing, row.text) == ("completed", 3.5, (), "early bird")
    assert told.row("after", 99.0).state == "pending"


def test_a_retry_waits_and_then_runs_again() -> None:
    told = Told("load")
    told(1.0, started("load"), ev.StepRetrying(StepKey("load"), 1, 1, ERROR, due_at=5.0))
    row = told.row("load", 2.0)
    assert (row.state, row.doing[0].due_at, row.doing[0].text) == ("retrying", 5.0, "ConnectionError: refused again")
    told(5.0, started("load", attempt=2))
    row = told.row("load", 6.0)
    assert (row.state, row.attempt, row.doing[0].text, row.seconds) == ("running", 2, "", 5.0)


def test_a_loop_is_one_row_with_what_runs_now() -> None:
    told = Told("items")
    told(1.0, ev.LoopExpanded(StepKey("items"), 1, (NULL,) * 5))
    told(1.0, *(started(f"items[{i}]") for i in range(5)))
    told.note(1.5, "items[1]", "busy", 0.25)
    told(2.0, succeeded("items[0]"), failed("items[4]"))
    row = told.row("items", 3.0)
    assert (row.total, row.done, row.failed, row.running, row.fraction) == (5, 1, 1, 3, 0.2)
    assert [(d.key, d.fraction) for d in row.doing] == [("items[1]", 0.25), ("items[2]", None), ("items[3]", None)]
    assert row.seconds == 2.0 and row.state == "running"
    told(4.0, *(succeeded(f"items[{i}]") for i in (1, 2, 3)), failed("items"))
    row = told.row("items", 9.0)
    assert (row.state, row.seconds, row.running) == ("failed", 3.0, 0)


def test_the_time_between_two_lives_is_nobodys_work() -> None:
    told = Told("items", "last")
    told(1.0, ev.LoopExpanded(StepKey("items"), 1, (NULL,) * 2), started("items[0]"))
    told(3.0, succeeded("items[0]"), started("items[1]"))
    # Killed here; an hour later:
    told(3600.0, ev.ExecutionClaimed("host:2", 2))
    assert told.row("items", 3601.0).seconds == 3.0
    assert told.board.seconds(3601.0) == 4.0
    told(3602.0, started("items[1]"), succeeded("items[1]"), ev.StepSucceeded(StepKey("items"), 1, 1, None))
    told(3602.5, ev.ExecutionPaused("interrupted"))
    assert told.row("items", 9999.0).seconds == 4.0
    assert told.board.seconds(9999.0) == 5.5


def test_what_was_begun_is_unfinished_where_nobody_is_at_it() -> None:
    told = Told("load", "other")
    told(1.0, started("load"))
    told.board.abandon()
    row = told.row("load", 99.0)
    assert (row.state, row.seconds) == ("unfinished", 0.0)
    assert told.board.state(told.board.record.steps[StepKey("load")]) == "unfinished"
    assert told.row("other", 99.0).state == "pending"


def test_a_retry_begins_the_time_anew_and_a_replay_marks_what_was_done() -> None:
    told = Told("good", "bad")
    told(1.0, started("good"), started("bad"))
    told(2.0, succeeded("good"), failed("bad"), ev.ExecutionFailed(StepKey("bad"), ERROR))
    board = Board(ID, ("good", "bad"))
    board.replay([])
    assert board.done_before == 0
    told(10.0, ev.ExecutionRetried((StepKey("bad"),)), ev.ExecutionClaimed("host:1", 2))
    told(11.0, ev.StepStarted(StepKey("bad"), 2, 1))
    assert told.row("bad", 12.0).seconds == 1.0
    assert told.row("good", 12.0).seconds == 1.0


def recovering(key: str, **plan: object) -> ev.Event:
    return ev.StepRecovering(StepKey(key), 1, 1, ERROR, plan)


def asked(key: str, attempt: int = 1, deadline: float | None = None) -> ev.Event:
    return ev.InterventionRequested(StepKey(key), 1, attempt, ERROR, "make\nthe table", deadline)


def answered(key: str, decision: str, by: str = "Ada") -> ev.Event:
    return ev.InterventionAnswered(StepKey(key), 1, decision, None, by)


def test_what_a_recovery_runs_stands_in_the_row_of_its_step() -> None:
    told = Told("fetch", "mirror")
    told(0.0, started("fetch"))
    told(1.0, recovering("fetch", strategy="alternative_path", alternative_steps=["mirror"]))
    row = told.row("fetch", 2.0)
    assert (row.state, row.running, row.doing[0].recovery) == ("recovering", 1, "alternative mirror")
    told.note(2.0, "fetch/mirror", "half", 0.5)
    told(2.0, started("fetch/mirror"))
    row = told.row("fetch", 3.0)
    assert (row.state, row.running, row.doing[0].key, row.fraction) == ("recovering", 1, "fetch/mirror", 0.5)
    assert row.doing[0].recovery == "alternative mirror"
    told(3.0, ev.StepRetrying(StepKey("fetch/mirror"), 1, 1, ERROR, due_at=5.0))
    assert told.row("fetch", 4.0).state == "recovering"
    assert told.board.state(told.board.record.steps[StepKey("fetch/mirror")]) == "retrying"
    told(5.0, started("fetch/mirror", 2), succeeded("fetch/mirror"))
    row = told.row("fetch", 6.0)
    assert (row.state, row.doing[0].key, row.doing[0].recovery) == ("recovering", "fetch", "alternative mirror")
    told(7.0, succeeded("fetch"))
    row = told.row("fetch", 9.0)
    assert (row.state, row.seconds, row.running, row.recovery) == ("completed", 7.0, 0, "alternative mirror")
    assert told.row("mirror", 9.0).state == "pending" and len(told.board.rows(9.0)) == 2


def test_a_recovery_goes_on_in_another_life() -> None:
    told = Told("months")
    told(0.0, ev.LoopExpanded(StepKey("months"), 1, (NULL,) * 4), started("months[3]"))
    told(1.0, recovering("months[3]", strategy="alternative_path", alternative_steps=["mirror"]))
    told(9.0, ev.ExecutionClaimed("host:2", 2), started("months[3]/mirror"))
    row = told.row("months", 9.0)
    assert (row.state, row.doing[0].key, row.doing[0].recovery) == (
        "recovering",
        "months[3]/mirror",
        "alternative mirror",
    )
    assert [row.key for row in told.board.rows(9.0)] == ["months"]


def test_a_step_that_waits_for_a_person() -> None:
    told = Told("fetch")
    told(0.0, started("fetch"))
    told(2.0, asked("fetch", deadline=100.0))
    row = told.row("fetch", 50.0)
    assert (row.state, row.seconds, row.waiting, row.asked and row.asked.deadline) == ("waiting", 2.0, 1, 100.0)
    told(60.0, ev.ExecutionPaused("waiting for an answer"))
    assert told.row("fetch", 90.0).state == "waiting"
    assert told.board.seconds(90.0) == 60.0
    told(90.0, ev.ExecutionClaimed("host:2", 2), answered("fetch", "retry"), started("fetch", 2))
    row = told.row("fetch", 91.0)
    assert (row.state, row.attempt, row.waiting, row.asked, row.seconds) == ("running", 2, 0, None, 3.0)
    told(92.0, asked("fetch", attempt=2, deadline=95.0))
    told(96.0, answered("fetch", "abort", by="the deadline"), failed("fetch"))
    first, second = told.board.questions.about(StepKey("fetch"))
    assert (first.decision, first.by, first.asked_at, first.answered_at, first.expired) == (
        "retry",
        "Ada",
        2,
        90,
        False,
    )
    assert (second.attempt, second.decision, second.expired) == (2, "abort", True)
    assert not [*told.board.questions.open()] and told.row("fetch", 99.0).state == "failed"


def test_items_that_wait_are_counted_and_nobody_works_on_the_loop_then() -> None:
    told = Told("items")
    told(0.0, ev.LoopExpanded(StepKey("items"), 1, (NULL,) * 3), *(started(f"items[{i}]") for i in range(3)))
    told(1.0, asked("items[0]"))
    row = told.row("items", 2.0)
    assert (row.state, row.waiting, row.running, row.asked and row.asked.key) == ("running", 1, 2, "items[0]")
    told(3.0, succeeded("items[2]"), asked("items[1]"))
    row = told.row("items", 9.0)
    assert (row.state, row.waiting, row.done, row.seconds) == ("waiting", 2, 1, 3.0)
    states = [told.board.state(told.board.record.steps[StepKey(f"items[{i}]")]) for i in range(3)]
    assert states == ["waiting", "waiting", "completed"]
    told(10.0, ev.ExecutionPaused(""), ev.ExecutionClaimed("host:2", 2))
    assert told.row("items", 20.0).seconds == 3.0
    told(20.0, ev.ExecutionCancelled("enough"))
    row = told.row("items", 30.0)
    assert (row.state, row.waiting, row.asked) == ("cancelled", 0, None)


def test_a_restore_begins_steps_anew_with_their_times() -> None:
    told = Told("one", "two", "items", "bad")
    told(0.0, started("one"))
    told.note(0.5, "two", "of the first generation")
    told(1.0, succeeded("one"), started("two"))
    told(2.0, succeeded("two"), ev.LoopExpanded(StepKey("items"), 1, (NULL,) * 2))
    told(2.0, *(started(f"items[{i}]") for i in range(2)), succeeded("items[0]"), started("bad"))
    told(5.0, recovering("bad", strategy="rollback", target_checkpoint="base"))
    assert told.row("bad", 5.0).doing[0].recovery == "rollback to checkpoint base"
    keys = (StepKey("two"), StepKey("items"), StepKey("items[1]"), StepKey("bad"))
    told(6.0, ev.ExecutionRestored("base", 3, keys, cause=StepKey("bad"), expanded=(StepKey("items"),)))
    rows = {row.key: row for row in told.board.rows(8.0)}
    assert [(rows[key].state, rows[key].seconds) for key in told.board.order] == [
        ("completed", 1.0),
        ("pending", None),
        ("running", 2.0),
        ("pending", None),
    ]
    assert (rows["items"].done, rows["items"].running, rows["bad"].rollbacks, rows["two"].text) == (1, 0, 1, "")
    told(8.0, ev.StepStarted(StepKey("two"), 2, 1))
    assert told.row("two", 9.0).seconds == 1.0
    told(10.0, ev.ExecutionRestored("initial", 2, keys))
    assert told.row("items", 11.0).state == "pending" and told.row("two", 11.0).state == "pending"


def test_a_step_is_done_before_no_more_when_it_begins_anew() -> None:
    told = Told("one", "two")
    told(1.0, started("one"), succeeded("one"), started("two"), succeeded("two"))
    told.board.replay([])
    assert told.row("one", 2.0).earlier and told.row("two", 2.0).earlier
    told(3.0, ev.ExecutionRestored("base", 2, (StepKey("two"),)))
    assert told.row("one", 4.0).earlier and not told.row("two", 4.0).earlier


def test_the_time_of_a_loop_ends_with_what_ran_when_it_failed() -> None:
    told = Told("items", "beside")
    told(0.0, ev.LoopExpanded(StepKey("items"), 1, (NULL,) * 3), started("beside"))
    told(0.0, started("items[0]"), started("items[1]"))
    told(2.0, failed("items[0]"))
    assert told.row("items", 3.0).seconds == 3.0
    told(4.0, succeeded("items[1]"), failed("items"))
    told(9.0, succeeded("beside"), ev.ExecutionFailed(StepKey("items[0]"), ERROR))
    assert told.row("items", 99.0).seconds == 4.0


def test_what_a_checkpoint_is_called() -> None:
    told = Told("one")
    told(0.0, ev.CheckpointCreated("1a2b3c4d", "before the flood"), ev.CheckpointCreated("5e6f"))
    assert [told.board.checkpoint_at(n, "?") for n in (2, 3, 4)] == ["?", "before the flood", "5e6f"]


def test_taking_in_an_event_costs_the_same_in_a_large_loop() -> None:
    def lines_run(items: int) -> int:
        told = Told("items")
        told(1.0, ev.LoopExpanded(StepKey("items"), 1, (NULL,) * items))
        for i in range(items - 1):
            told(1.0, started(f"items[{i}]"), succeeded(f"items[{i}]"))
        lines = 0

        def count(_frame: object, event: str, _argument: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            told(1.0, started(f"items[{items - 1}]"), succeeded(f"items[{items - 1}]"))
        finally:
            sys.settrace(before)
        return lines

    assert 0 < lines_run(2_000) <= lines_run(50) + 20  # a longer key is taken apart in a few more lines

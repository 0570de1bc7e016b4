"""The board: events and notes to what there is to see of each step."""

import time

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
    assert row.seconds == 2.0 and row.state == "failed"


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


def test_taking_in_an_event_costs_the_same_in_a_large_loop() -> None:
    def seconds(items: int) -> float:
        told = Told("items")
        told(1.0, ev.LoopExpanded(StepKey("items"), 1, (NULL,) * items))
        pairs = [(started(f"items[{i}]"), succeeded(f"items[{i}]")) for i in range(items)]
        begun = time.perf_counter()
        for pair in pairs:
            told(1.0, *pair)
        assert told.row("items", 2.0).done == items
        return (time.perf_counter() - begun) / items

    small, large = min(seconds(500) for _ in range(5)), min(seconds(20_000) for _ in range(2))
    assert large < small * 5

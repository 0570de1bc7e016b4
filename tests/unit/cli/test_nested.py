"""Steps inside of steps: which have rows, what they are called, which of their events are told."""

import io
from typing import Any

from tests.unit.cli.test_board import NULL, Told, asked, failed, recovering, started, succeeded
from tests.unit.cli.test_views import HINTS, Lines, picture

from orchestrator.cli.branches import NESTED_SHOWN
from orchestrator.cli.keys import child_of, home_of, label_of, renewed_by
from orchestrator.cli.outline import Outline
from orchestrator.cli.paper import Paper
from orchestrator.cli.thrift import STEPS_TOLD
from orchestrator.cli.waiting import how_to_answer, only_a_time, only_waits, waiting_lines, waits_data
from orchestrator.journal import events as ev
from orchestrator.journal.step_record import StepRecord
from orchestrator.types import ExecutionId, StepKey

GIVE = {"call": "handlers:give"}
KID = {"pipeline": "kid", "steps": [{"id": "load", **GIVE}, {"id": "again", "pipeline": "kid"}]}
NESTED: dict[str, Any] = {
    "pipeline": "shop",
    "steps": [
        {"id": "block", "steps": [{"id": "a", **GIVE}, {"id": "b", **GIVE}]},
        {
            "id": "months",
            "for_each": "${months}",
            "steps": [{"id": "parse", **GIVE}, {"id": "child", "pipeline": "kid"}],
        },
        {"id": "route", "switch": [{"when": "${x}", "steps": [{"id": "c", **GIVE}]}, {"steps": [{"id": "d", **GIVE}]}]},
        {"id": "rounds", "while": "${x}", "parallel": [{"id": "e", **GIVE}, {"id": "f", **GIVE}]},
        {"id": "fetch", **GIVE},
        {"id": "stop", "return": {}},
    ],
    "finally": [{"id": "tidy", **GIVE}],
    "pipelines": {"kid": KID},
}


def nested() -> Told:
    told = Told()
    told.board.show(Outline(NESTED))
    return told


def entered(key: str, case: int | None = None, attempt: int = 1) -> ev.Event:
    return ev.BlockEntered(StepKey(key), 1, attempt, case)


def waiting(key: str, kind: str, subject: str = "", until: float | None = None, **ask: Any) -> ev.Event:
    return ev.StepWaiting(StepKey(key), 1, 1, kind, until, subject, ask)


def rows(told: Told, now: float = 9.0) -> list[tuple[str, int, str]]:
    return [(row.key, row.depth, row.state) for row in told.board.rows(now)]


def test_what_stands_inside_of_what() -> None:
    outline = Outline(NESTED)
    assert outline.order == ["block", "months", "route", "rounds", "fetch", "stop", "tidy"]
    for key in ("block.b", "months[3].child/again/load", "route.d", "rounds[2].f", "tidy"):
        assert outline.step(StepKey(key)) is not None
    for key in ("block.c", "months[3].child/store", "fetch/mirror", "none"):
        assert outline.step(StepKey(key)) is None
    assert outline.inside(StepRecord(StepKey("block"))) == ()
    told = nested()
    told(1.0, ev.StepSucceeded(StepKey("stop"), 1, 1, NULL))
    assert outline.returned_by(told.board.record) == "stop"


def test_keys_and_what_they_are_called() -> None:
    told = nested()
    told(1.0, entered("months[0].child"), started("fetch"))
    told(2.0, recovering("fetch", strategy="alternative_path", alternative_steps=["mirror"]))
    record = told.board.record
    homes = {"fetch/mirror": "fetch", "fetch/mirror.part": "fetch", "months[0].child/load": "months[0].child/load"}
    assert {key: home_of(StepKey(key), record) for key in homes} == homes
    labels = {"months": "months", "months[3]": "months[3]", "a.b[1]": "b[1]", "a/b.c": "c", "a[1].b/d": "d"}
    assert {key: label_of(StepKey(key)) for key in labels} == labels
    assert child_of(StepKey("months"), StepKey("months[3].child/load")) == "months[3]"
    renewed = renewed_by([StepKey("months"), StepKey("months[1]")], [StepKey("months")])
    assert [renewed(StepKey(key)) for key in ("months", "months[1].parse", "months[2].parse")] == [True, True, False]


def test_a_row_for_each_step_that_a_block_holds_also_before_it_begins() -> None:
    told = nested()
    told(0.0, entered("block"), started("block.a"))
    told(1.0, entered("route", case=1), started("route.d"))
    told(1.0, ev.IterationStarted(StepKey("rounds"), 1, 0), entered("rounds[0]"), succeeded("rounds[0]"))
    told(2.0, ev.IterationStarted(StepKey("rounds"), 1, 1), entered("rounds[1]"), started("rounds[1].e"))
    told(3.0, ev.StepCancelled(StepKey("rounds[1].f"), 1, "'rounds[1]' is over"), succeeded("route.d"))
    assert rows(told) == [
        ("block", 0, "running"),
        ("block.a", 1, "running"),
        ("block.b", 1, "pending"),
        ("months", 0, "pending"),
        ("route", 0, "running"),
        ("route.d", 1, "completed"),
        ("rounds", 0, "running"),
        ("rounds[1]", 1, "running"),
        ("rounds[1].e", 2, "running"),
        ("rounds[1].f", 2, "cancelled"),
        ("fetch", 0, "pending"),
        ("stop", 0, "pending"),
        ("tidy", 0, "pending"),
    ]
    shown = picture(told, 4.0)
    assert any("● rounds" in line and "round 2" in line for line in shown)
    assert any(line.startswith("  ■     f ") and "cancelled: 'rounds[1]' is over" in line for line in shown)
    told(5.0, succeeded("block.a"), succeeded("block.b"), succeeded("block"))
    row = told.row("block", 99.0)
    assert (row.state, row.seconds, row.opened, row.running) == ("completed", 5.0, True, 0)


def test_of_a_large_loop_what_is_at_work_is_shown() -> None:
    told = nested()
    told(0.0, ev.LoopExpanded(StepKey("months"), 1, (NULL,) * 1000))
    for i in range(500):
        told(1.0, entered(f"months[{i}]"), succeeded(f"months[{i}].parse"), succeeded(f"months[{i}]"))
    told(2.0, entered("months[700]"), started("months[700].parse"))
    told(2.0, entered("months[600]"), waiting("months[600].parse", "time", until=50.0))
    shown = [key for key, *_ in rows(told) if key.startswith("months")]
    assert shown == ["months", "months[600]", "months[600].parse", "months[700]", "months[700].parse"]
    row = told.row("months", 3.0)
    assert (row.done, row.total, row.running, row.waiting) == (500, 1000, 1, 1)
    for i in range(701, 960):
        told(3.0, entered(f"months[{i}]"), started(f"months[{i}].parse"))
    assert len(told.board.rows(4.0)) < NESTED_SHOWN + 10


def test_what_is_told_of_many_steps_is_little() -> None:
    lines = Lines()
    lines.told.board.show(Outline(NESTED))
    lines(0.0, ev.LoopExpanded(StepKey("months"), 1, (NULL,) * 200))
    for i in range(200):
        lines(i / 10, started(f"months[{i}]"), succeeded(f"months[{i}]"))
    lines(30.0, failed("months[150]"))
    starts = [line for line in lines.lines if line.endswith(" started")]
    assert len(starts) == STEPS_TOLD
    sums = [line for line in lines.lines if " items done" in line]
    assert sums and len(sums) <= 4 and "of 200 items done" in sums[0]
    assert lines.lines[-1].endswith("months[150] failed (attempt 1): ConnectionError: refused again")


def test_waits_are_told_with_what_ends_them() -> None:
    lines = Lines()
    lines.told.board.show(Outline(NESTED))
    form = {"amount": {"type": "number", "default": 5}, "note": {"type": "string", "choices": ["a", "b"]}}
    lines(0.0, waiting("a", "signal", "paid now"), waiting("b", "time", until=50.0))
    lines(0.0, waiting("c", "approval", "Go on?", 90.0, choices=["yes", "no"], who=["ada"], form=form, default="no"))
    lines(1.0, ev.SignalReceived("paid now", NULL, "Bob"), ev.SignalTaken(StepKey("a"), 1, 5))
    lines(1.0, ev.StepInDoubt(StepKey("fetch"), 1, 1, "ask"), ev.CancelRequested("enough", "Ada"))
    told = [line.partition(" ")[2] for line in lines.lines if line[:2] == "00"]
    assert told[0] == "a waiting for the signal 'paid now'"
    assert told[1] == "a send it with orc signal x 'paid now'"
    assert told[2].startswith("b waiting until ") and told[3:5] == [
        "c waiting for a person: Go on?",
        "c answer with orc answer x c yes --field note=STRING --by NAME (or no)",
    ]
    assert told[5:] == [
        "the signal 'paid now' came (by Bob)",
        "a takes the signal",
        "fetch in doubt: nobody knows what attempt 1 came to; a person is asked",
        "asked to cancel (by Ada): enough",
    ]
    board, paper = lines.told.board, Paper(io.StringIO())
    assert [wait["step"] for wait in waits_data(board)] == ["b", "c"]
    ending = [*waiting_lines(board, paper, HINTS, traceback_lines=0)]
    for line in ("  who may answer: ada (--by says who does)", "  field amount: number, 5 by default"):
        assert line in ending
    assert "  field note: string, required, one of a b" in ending
    assert "  yes      orc answer x c yes --field note=STRING --by NAME" in ending
    assert "  go on    orc resume x --wait" in ending
    (approval,) = board.questions.open()
    assert [*how_to_answer(board, approval, paper, None)][-1].startswith("  nothing was kept")


def test_where_nothing_but_an_answer_helps_a_resume_is_not_proposed() -> None:
    told = nested()
    told(0.0, waiting("a", "signal", "paid"), ev.ExecutionPaused("paused by Ada"))
    assert not only_waits(told.board)
    told(1.0, ev.ExecutionClaimed("host:1", 2), ev.ExecutionPaused("waiting for it", None, True))
    assert only_waits(told.board)
    told.board.questions.posted = {StepKey("a"): "sent"}
    assert not only_waits(told.board)
    told.board.questions.posted = {}
    told(2.0, waiting("b", "time", until=50.0))
    assert not only_waits(told.board) and not only_a_time(told.board)


def test_where_a_time_alone_is_awaited_going_on_is_told_once() -> None:
    told = nested()
    told(0.0, waiting("b", "time", until=50.0), ev.ExecutionPaused("waiting for a time", 50.0, True))
    assert only_a_time(told.board) and not only_waits(told.board)


def test_a_step_around_what_waits_waits_and_nobody_works_on_it() -> None:
    told = nested()
    told(0.0, entered("block"), started("block.a"), waiting("block.b", "approval", "Go on?", choices=["yes"]))
    assert told.row("block", 1.0).state == "running"
    told(2.0, succeeded("block.a"))
    row = told.row("block", 50.0)
    assert (row.state, row.sign, row.seconds, row.waiting) == ("waiting", "waiting", 2.0, 1)
    told(60.0, ev.ExecutionPaused("waiting", None, True), ev.ExecutionClaimed("host:2", 2))
    told(61.0, ev.InterventionAnswered(StepKey("block.b"), 1, "yes", None, "Ada"), succeeded("block.b"))
    told(62.0, asked("fetch"))
    assert told.row("block", 70.0).waiting == 0
    assert [question.key for question in told.board.questions.unanswered()] == ["fetch"]
    told(63.0, ev.ExecutionRerun((StepKey("block"), StepKey("fetch")), (), "Ada"))
    assert not [*told.board.questions.waits()] and told.row("block", 70.0).state == "pending"


def test_a_fork_begins_its_own_time() -> None:
    told = nested()
    told(1.0, started("fetch"), ev.CheckpointCreated("00000004", "here"))
    told(500.0, ev.ExecutionForked(ExecutionId("other"), 4))
    assert told.board.seconds(900.0) == 1.0 and told.row("fetch", 900.0).state == "unfinished"

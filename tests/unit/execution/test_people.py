"""People and time: approvals, signals, waits over restarts, and the rules of recovery that hold for them."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.execution.lives import Lives, lives, pipeline

from orchestrator import ExecutionStatus, Orchestrator, StepStatus
from orchestrator.errors import (
    ExecutionWaitsError,
    InputError,
    NotResumableError,
    UnknownExecutionError,
)
from orchestrator.execution.engine.inbox import take_messages
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.store import Message
from orchestrator.types import ExecutionId, StepKey

__all__ = ["lives"]

HOUR = 3600.0


@pytest.fixture
def still(lives: Lives) -> Lives:
    """Lives whose clock stands still until it is moved."""
    lives.clock._jumping = False
    return lives


RELEASE = pipeline(
    """
    - id: ask
      approve: "Release ${version}?"
      who: "${people}"
      choices: [yes please, later]
      form:
        amount: {type: number, default: 5}
        why: {type: string}
        level: {type: string, default: low, choices: [low, high]}
        tags: {type: list, default: []}
    - {id: done, do: work, with: {value: "${ask}"}}
    """,
    'choice: "${done.choice}"\nform: "${done.form}"\nby: "${done.by}"\nat: "${ask.at}"',
    "version: {type: string, default: '2'}\npeople: {type: list, default: [Ada, Bob]}",
)


def test_an_approval_is_asked_answered_and_recorded(still: Lives) -> None:
    with still.life() as app:
        result = app.run(RELEASE, execution_id="x")
        assert (result.status, result.waits, result.until) == (ExecutionStatus.PAUSED, True, None)
        assert result.waiting == {"ask": "Release 2?"}
        assert result.choices == {"ask": ("yes please", "later")}
        assert result.reason == "waiting for an answer to step 'ask'"
        with pytest.raises(ExecutionWaitsError, match=r"step 'ask': Release 2\?; answer with .* ask yes please\|later"):
            result.raise_for_status()
    with still.life() as app:
        (question,) = app.approvals()
        assert (question.prompt, question.who, question.kind) == ("Release 2?", ("Ada", "Bob"), "approval")
        assert app.list()[0].next_due == math.inf
        still.clock.advance(5)
        app.answer("x", "ask", "yes please", {"why": "it is time", "amount": 7}, "Bob")
        assert app.approvals() == []
        assert app.list()[0].next_due is not None
        assert app.list()[0].next_due <= still.clock.time()  # a scheduler wakes it now
    with still.life() as app:
        outputs = app.resume("x").outputs
        assert outputs["choice"] == "yes please"
        assert outputs["form"] == {"amount": 7, "why": "it is time", "level": "low", "tags": []}
        assert outputs["by"] == "Bob"
        assert outputs["at"] == datetime.fromtimestamp(still.clock.time(), UTC)


@pytest.mark.parametrize(
    ("decision", "value", "by", "told"),
    [
        ("yes", {"why": "x"}, "Ada", "'yes' is no answer; say yes please or later"),
        ("later", {"why": "x"}, "Eve", "to be answered by Ada or Bob, not by Eve"),
        ("later", {"why": "x"}, None, "not by nobody named"),
        ("later", {}, "Ada", "field 'why' is required"),
        ("later", None, "Ada", "field 'why' is required"),
        ("later", {"why": 5}, "Ada", "field 'why': "),
        ("later", {"why": "x", "amount": "much"}, "Ada", "field 'amount': "),
        ("later", {"why": "x", "level": "middle"}, "Ada", "field 'level': expected low or high, got 'middle'"),
        ("later", {"why": "x", "amuont": 1}, "Ada", "no field 'amuont'; did you mean 'amount'"),
        ("later", {"why": "x", 5: 1}, "Ada", "the form has no field 5"),
        ("later", "a text", "Ada", "mapping of its fields"),
        ("later", {"amount": "much", "tags": 1}, "Ada", "(?s)field 'amount'.*field 'why'.*field 'tags'"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_the_reason(
    still: Lives, decision: str, value: Any, by: str | None, told: str
) -> None:
    with still.life() as app:
        app.run(RELEASE, execution_id="x")
        with pytest.raises(InputError, match=told):
            app.answer("x", "ask", decision, value, by)
        assert not app.store.inbox("x")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="waits for no answer; these do: ask"):
            app.answer("x", "done", decision)
        app.answer("x", "ask", "later", {"why": "x"}, "Ada")
        with pytest.raises(InputError, match="is answered already: later by Ada"):
            app.answer("x", "ask", "later", {"why": "x"}, "Bob")
        with pytest.raises(UnknownExecutionError):
            app.answer("y", "ask", "later")


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("step", "rest", "output"),
    [
        ("approve: Go?, default: reject", "", "reject"),
        ("approve: Go?", "on_error: [{strategy: skip, output: {choice: none}}]", "none"),
        ("signal: go, default: {choice: missed}", "", "missed"),
        ("signal: go", "on_error: [{category: timeout, strategy: skip, output: {choice: gone}}]", "gone"),
        ("signal: go", "", None),
        ("approve: Go?", "", None),
    ],
)
def test_what_happens_at_the_deadline(still: Lives, step: str, rest: str, output: str | None, restart: bool) -> None:
    definition = pipeline(f"- {{id: a, {step}, deadline: 1h{', ' + rest if rest else ''}}}", 'a: "${a.choice}"')

    async def wait(app: Orchestrator) -> Any:
        running = asyncio.create_task(app.arun(definition, execution_id="x", wait=True))
        while not (app.list() and app.show("x").steps):
            await asyncio.sleep(0.002)
        for _ in range(30):
            await asyncio.sleep(0)
        still.clock.advance(HOUR - 1)
        for _ in range(30):
            await asyncio.sleep(0)
        assert not running.done()
        still.clock.advance(1)
        return await running

    with still.life() as app:
        if not restart:
            result = asyncio.run(wait(app))
        else:
            first = app.run(definition, execution_id="x")
            assert first.status is ExecutionStatus.PAUSED
            assert first.until == app.list()[0].next_due == still.clock.time() + HOUR
            still.clock.advance(HOUR - 1)
            assert app.resume("x").status is ExecutionStatus.PAUSED
            still.clock.advance(1)
    if restart:
        with still.life() as app:
            result = app.resume("x")
    if output is not None:
        assert result.outputs == {"a": output}
    else:
        assert result.failed_step == "a"
        assert result.error is not None
        assert (result.error["type"], result.error["category"]) == ("DeadlineError", "timeout")
        assert "did not come by its deadline" in result.error["message"]


def test_what_comes_in_time_counts_before_the_deadline(still: Lives) -> None:
    definition = pipeline("- {id: a, signal: go, deadline: 1h, default: late}", 'a: "${a}"')
    with still.life() as app:
        app.run(definition, execution_id="x")
        still.clock.advance(HOUR / 2)
        app.signal("x", "go", "in time")
        still.clock.advance(HOUR)
    with still.life() as app:  # nobody ran meanwhile
        assert app.resume("x").outputs == {"a": "in time"}


@pytest.mark.parametrize("kind", ["approve: Go?", "signal: go"])
def test_a_rule_that_retries_asks_again(still: Lives, kind: str) -> None:
    definition = pipeline(
        f"- {{id: a, {kind}, deadline: 1h, on_error: [{{strategy: retry, max_attempts: 2, initial_delay: 0}}]}}",
        'a: "${a}"',
    )
    with still.life() as app:
        app.run(definition, execution_id="x")
        still.clock.advance(HOUR)
        result = app.resume("x")
        assert (result.status, result.until) == (ExecutionStatus.PAUSED, still.clock.time() + HOUR)
        asked = [e.event for e in app.history("x") if isinstance(e.event, ev.StepWaiting)]
        assert [event.attempt for event in asked] == [1, 2]
        if "signal" in kind:
            app.signal("x", "go", 3)
            assert app.resume("x").outputs == {"a": 3}
        else:
            app.answer("x", "a", "approve")
            assert app.resume("x").outputs["a"]["choice"] == "approve"


def test_a_failed_deadline_may_be_retried_by_hand(still: Lives) -> None:
    definition = pipeline("- {id: a, approve: Go?, deadline: 1h}\n- {id: b, set: {c: '${a.choice}'}}", 'c: "${c}"')
    with still.life() as app:
        app.run(definition, execution_id="x")
        still.clock.advance(HOUR)
        assert app.resume("x").failed_step == "a"
        assert app.approvals() == []
        assert app.retry("x").status is ExecutionStatus.PAUSED
        (question,) = app.approvals()
        assert question.deadline == still.clock.time() + HOUR
        app.answer("x", "a", "approve")
        assert app.resume("x").outputs == {"c": "approve"}


@pytest.mark.parametrize("decision", ["retry", "skip", "abort"])
def test_a_deadline_may_ask_a_person(still: Lives, decision: str) -> None:
    definition = pipeline(
        "- {id: a, signal: go, deadline: 1h, on_error: [{strategy: manual_intervention, instructions: send it}]}",
        'a: "${a}"',
    )
    with still.life() as app:
        app.run(definition, execution_id="x")
        still.clock.advance(HOUR)
        assert app.resume("x").waiting == {"a": "send it"}
        app.signal("x", "go", 1)  # comes too late for that attempt, and is kept
        app.answer("x", "a", decision, 5)
        result = app.resume("x")
        assert result.outputs == {"retry": {"a": 1}, "skip": {"a": 5}, "abort": {}}[decision]
        assert (result.failed_step == "a") == (decision == "abort")


@pytest.mark.parametrize("kind", ["signal: go", "approve: Go?"])
async def test_who_is_asked_after_a_deadline_is_heard_in_the_same_life(still: Lives, kind: str) -> None:
    """The wait that was over and the question about it are two."""
    definition = pipeline(
        f"- {{id: a, {kind}, deadline: 1h, on_error: [{{strategy: manual_intervention, instructions: look}}]}}",
        'a: "${a}"',
    )
    with still.life() as app:
        running = asyncio.create_task(app.arun(definition, execution_id="x", wait=True))
        async with asyncio.timeout(15):
            while not (app.list() and "a" in app.show("x").steps):
                await asyncio.sleep(0.002)
            for _ in range(30):
                await asyncio.sleep(0)
            still.clock.advance(HOUR)
            while app.show("x").steps[StepKey("a")].intervention is None:
                await asyncio.sleep(0.002)
            app.answer("x", "a", "skip", 7)
            assert (await running).outputs == {"a": 7}


@pytest.mark.parametrize("step", ["a", "b", "c"])
def test_an_answer_is_to_what_asked_then_and_not_to_what_a_rerun_asks(still: Lives, step: str) -> None:
    definition = pipeline(
        """
        - {id: b, do: work, with: {value: 1}}
        - {id: a, approve: Go?, needs: [b]}
        - {id: c, do: work, with: {value: 1}}
        """,
        'a: "${a.choice}"',
    )
    with still.life() as app:
        app.run(definition, execution_id="x")
        app.answer("x", "a", "approve")
        result = app.rerun("x", step)
        if step == "c":
            assert result.outputs == {"a": "approve"}
        else:
            assert result.waiting == {"a": "Go?"}
            assert not app.store.inbox("x")  # type: ignore[arg-type]
            app.answer("x", "a", "reject")
            assert app.resume("x").outputs == {"a": "reject"}


def test_an_answer_waits_for_its_question_to_be_applied() -> None:
    answer = Message(1, ExecutionId("x"), 0.0, "answer", {"step": "a", "decision": "approve"})
    record = ExecutionRecord(ExecutionId("x"))
    none: Any = None
    early = take_messages([answer], record, (), none, is_current=False)
    assert (early.ids, early.events, early.early) == ([], [], [answer])
    late = take_messages([answer], record, (), none)
    assert (late.ids, late.events, late.early) == ([1], [], [])


# -- signals -----------------------------------------------------------------------------------------------------------


def test_the_signals_that_are_kept_are_those_that_nobody_took() -> None:
    record = ExecutionRecord(ExecutionId("x"))
    empty = Encoded(b"\xc0")
    a, b = StepKey("a"), StepKey("b")
    events: list[ev.Event] = [
        *(ev.SignalReceived(name, empty, "", n) for n, name in enumerate(["go", "go", "stop", "go"])),
        *(ev.StepWaiting(key, 1, 1, "signal", None, "go", {}) for key in (a, b)),
        ev.SignalTaken(a, 1, 1),
        ev.SignalTaken(b, 1, 2),
        ev.StepCancelled(a, 1, "", ""),
        ev.StepCancelled(b, 1, "", ""),
        *(ev.SignalTaken(a, 2, position) for position in (1, 2, 4)),
    ]
    kept: dict[str, list[int]] = {}
    for position, event in enumerate(events, 1):
        record.apply(Entry(position, 0.0, event))
        kept = {}
        for at, signal in record.signals.items():
            if signal.taken_by is None:
                kept.setdefault(signal.name, []).append(at)
        assert {name: [*found] for name, found in record.signals_kept.items()} == kept
    assert kept == {"stop": [3]}


def test_signals_are_kept_and_taken_in_order(still: Lives) -> None:
    definition = pipeline(
        """
        - {id: many, for_each: [1, 2, 3], max_parallel: 1, signal: "${name}"}
        - {id: other, signal: "other-${many | length}", needs: [many]}
        """,
        'all: "${[many, other]}"',
        "name: {type: string, default: go}",
    )
    with still.life() as app:
        app.start(definition, execution_id="x")
        app.signal("x", "other-3", "before anybody waits", "Ada")
        app.signal("x", "go", 1)
        assert app.resume("x").reason == "waiting for the signal 'go' (step 'many[1]')"
        app.signal("x", "go", 2)
        app.signal("x", "nobody asks", None)
        app.signal("x", "go", {"n": [3]})
        app.signal("x", "go", 4)
    with still.life() as app:
        assert app.resume("x").outputs == {"all": [[1, 2, {"n": [3]}], "before anybody waits"]}
        signals = {s.name: s.taken_by for s in app.show("x").signals.values() if s.payload is not None}
        assert signals["nobody asks"] is None
        assert next(iter(app.show("x").signals.values())).by == "Ada"
        with pytest.raises(NotResumableError, match="nothing of it can take a signal"):
            app.signal("x", "go")
        with pytest.raises(UnknownExecutionError):
            app.signal("y", "go")


def test_a_rollback_gives_a_signal_back(still: Lives) -> None:
    definition = pipeline(
        """
        - {id: a, do: work, checkpoint: base}
        - {id: s, signal: go, needs: [a]}
        - {id: b, do: needs, with: {name: there, value: "${s}"}, on_error: [{strategy: rollback, checkpoint: base}]}
        """,
        'b: "${b}"',
    )
    with still.life() as app:
        app.run(definition, execution_id="x")
        app.signal("x", "go", 7)
        result = app.resume("x")
        assert result.failed_step == "b"  # it was set back three times, and had the signal each time
        taken = [e.event.generation for e in app.history("x") if isinstance(e.event, ev.SignalTaken)]
        assert taken == [1, 2, 3, 4]
        still.touch("there")
        assert app.retry("x").outputs == {"b": 7}


def test_none_is_a_payload(still: Lives) -> None:
    definition = pipeline("- {id: a, signal: go, deadline: 1h, default: 5}", 'a: "${a}"')
    with still.life() as app:
        app.run(definition, execution_id="x")
        app.signal("x", "go")
        assert app.resume("x").outputs == {"a": None}


# -- time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2h", 7200),
        (90, 90),
        ("1d", 86400),
        ("${duration}", 3600),
        ("${60 * 3}", 180),
        ("2027-01-15T10:00:00+01:00", None),
        ("2027-01-16", None),
        ("${when}", None),
    ],
)
def test_waits(still: Lives, time: str | int, seconds: float | None) -> None:
    definition = pipeline(
        f"- {{id: a, wait: {time if isinstance(time, int) else repr(time)}}}\n- {{id: b, do: work, needs: [a]}}",
        'a: "${a}"',
        "duration: {type: string, default: 1h}\nwhen: {type: string, default: '2027-01-15T08:30:00+00:00'}",
    )
    begun = still.clock.time()
    with still.life(patience_seconds=1) as app:
        result = app.run(definition, execution_id="x")
        assert result.until is not None
        if seconds is not None:
            assert result.until == begun + seconds
        else:
            texts = {"${when}": "2027-01-15T08:30:00+00:00"}
            assert result.until == datetime.fromisoformat(texts.get(str(time), str(time))).timestamp()
        assert (result.waits, result.waiting, result.reason) == (True, {}, "waiting for a time (step 'a')")
        assert app.list()[0].next_due == result.until
        with pytest.raises(ExecutionWaitsError, match="is waiting for a time"):
            result.raise_for_status()
        still.clock.advance(result.until - begun - 0.5)
    with still.life(patience_seconds=0) as app:
        assert app.resume("x").until == result.until  # a restart begins no wait anew
        still.clock.advance(0.5)
        assert app.resume("x").outputs["a"] == datetime.fromtimestamp(result.until, UTC)
        assert still.ran() == ["b"]


def test_a_moment_that_has_passed_waits_for_nothing(still: Lives) -> None:
    with still.life() as app:
        definition = pipeline("- {id: a, wait: 2020-01-01}\n- {id: b, wait: 0}", 'b: "${b}"')
        assert app.run(definition).status is ExecutionStatus.COMPLETED


@pytest.mark.parametrize("value", ["soon", -5, [1], "2027-13-45"])
def test_what_is_no_time_fails_the_step(still: Lives, value: Any) -> None:
    with still.life() as app:
        result = app.run(pipeline("- {id: a, wait: '${t}'}", inputs="t: {type: any}"), {"t": value})
        assert result.failed_step == "a"
        assert result.error is not None
        assert "wait" in result.error["message"]


def test_a_near_time_is_waited_for_here_and_a_far_one_is_not(lives: Lives) -> None:
    with lives.life(patience_seconds=60) as app:
        assert app.run(pipeline("- {id: a, wait: 30s}")).status is ExecutionStatus.COMPLETED
        assert app.run(pipeline("- {id: a, wait: 30d}"), wait=True).status is ExecutionStatus.COMPLETED
    lives.clock._jumping = False
    with lives.life(patience_seconds=60) as app:
        assert app.run(pipeline("- {id: a, wait: 30d}")).status is ExecutionStatus.PAUSED


def test_who_waits_with_it_takes_what_comes_from_elsewhere(lives: Lives) -> None:
    definition = pipeline("- {id: a, signal: go}\n- {id: b, approve: Go?, needs: [a]}", 'a: "${[a, b.choice]}"')

    async def both(one: Orchestrator, two: Orchestrator) -> Any:
        running = asyncio.create_task(one.arun(definition, execution_id="x", wait=True))
        while not (two.list() and two.show("x").steps):
            await asyncio.sleep(0.005)
        one.signal("x", "go", 1)
        while not two.approvals("x"):
            await asyncio.sleep(0.005)
        two.answer("x", "b", "approve")
        return await running

    with lives.life(clock=None) as one, lives.life(clock=None) as two:
        assert asyncio.run(both(one, two)).outputs == {"a": [1, "approve"]}


# -- rules -------------------------------------------------------------------------------------------------------------


def test_the_rules_of_a_pipeline_are_the_defaults(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: a, do: needs, with: {name: no}}
        - {id: own, do: needs, with: {name: no}, on_error: [{strategy: skip, output: own}]}
        - {id: block, steps: [{id: in_block, do: needs, with: {name: no}}, {id: fine, do: work, with: {value: 1}}]}
        - {id: loop, for_each: [no, .], do: needs, with: {name: "${item}", value: 1}}
        - {id: child, pipeline: sub}
        """,
        'all: "${[a, own, block, loop, child]}"',
        more="""
        defaults:
          on_error: [{category: network, strategy: fail_fast}, {category: validation, strategy: skip, output: dflt}]
        pipelines:
          sub: {steps: [{id: one, do: needs, with: {name: no}}], outputs: {one: "${one}"}}
        """,
    )
    with lives.life() as app:
        assert app.run(definition).outputs == {
            "all": ["dflt", "own", {"in_block": "dflt", "fine": 1}, ["dflt", 1], "dflt"]
        }


def test_the_time_of_all_tries_is_bounded(lives: Lives) -> None:
    retry = (
        "retry: {max_attempts: 100, initial_delay: 10s, backoff_factor: 1, jitter: 0, timeout: 35s, on: [validation]}"
    )
    with lives.life() as app:
        begun = lives.clock.time()
        result = app.run(pipeline(f"- {{id: a, do: needs, with: {{name: no}}, {retry}}}"), execution_id="x")
        assert result.failed_step == "a"
        assert len(lives.witnessed()) == 4  # at 0, 10, 20 and 30 seconds
        assert lives.clock.time() - begun < 40


@pytest.mark.parametrize("strategy", ["skip", "alternative_path", "retry"])
def test_rules_of_a_step_in_a_block(lives: Lives, strategy: str) -> None:
    rest = {"skip": "output: 5", "alternative_path": "steps: [other]", "retry": "max_attempts: 2, initial_delay: 1s"}
    what = "fails_at_first" if strategy == "retry" else "needs"
    given = "value: 5" if strategy == "retry" else "name: no"
    definition = pipeline(
        f"""
        - id: block
          for_each: [1, 2]
          steps:
            - {{id: other, when: false, do: work, with: {{value: 5}}}}
            - {{id: a, do: {what}, with: {{{given}}}, on_error: [{{strategy: {strategy}, {rest[strategy]}}}]}}
          output: "${{a}}"
        """,
        'block: "${block}"',
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="x").outputs == {"block": [5, 5]}
        if strategy == "alternative_path":
            assert app.show("x").steps[StepKey("block[0].a/other")].status is StepStatus.COMPLETED
            assert app.rerun("x", "block[1].a").outputs == {"block": [5, 5]}


def test_the_rules_of_what_holds_steps(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: block, on_error: [{strategy: skip, output: 1}], steps: [{id: a, do: needs, with: {name: no}}]}
        - {id: tried, retry: {max_attempts: 3, initial_delay: 1s, on: [validation]},
           steps: [{id: b, do: work}, {id: c, do: needs, with: {name: no}, needs: [b]}], needs: [block]}
        """
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="x").failed_step == "tried.c"
        assert lives.ran() == ["block.a", *["tried.b"] * 3, *["tried.c"] * 3]
        assert app.show("x").steps[StepKey("block")].status is StepStatus.SKIPPED
        lives.touch("no")
        assert app.retry("x").status is ExecutionStatus.COMPLETED
        assert lives.ran() == ["tried.c"]

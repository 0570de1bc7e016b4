"""Effects: what is done with a step that was under way when its engine died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest
from tests.unit.execution.lives import HERE, Lives, lives, pipeline
from tests.verb_handlers import FOLDER

from orchestrator import ExecutionStatus, Pipeline, StepStatus
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.types import StepKey

__all__ = ["lives"]

A = StepKey("a")


def effect(policy: str, more: str = "", retry: str = "") -> Pipeline:
    return pipeline(
        f"""
        - {{id: a, do: dies, with: {{value: 7}}, effect: {{in_doubt: {policy}{more}}}{retry}}}
        - {{id: b, do: add, with: {{left: "${{a or 0}}"}}}}
        """,
        'a: "${a}"\nb: "${b}"',
    )


VERIFY = ', verify: "verb_handlers:look"'
KEY = "a 1 1 x/a/1"


def events(journal: Iterable[Entry], *kinds: type) -> list[Any]:
    return [entry.event for entry in journal if isinstance(entry.event, kinds)]


def die(lives: Lives, definition: Pipeline, when: Any = "before") -> None:
    lives.dying(lambda app: app.run(definition, execution_id="x"), when)


def test_the_start_is_committed_before_the_handler_runs(lives: Lives) -> None:
    die(lives, effect("retry"))
    assert lives.witnessed() == [KEY]
    with lives.life() as app:
        assert events(app.history("x"), ev.StepStarted) == [ev.StepStarted(A, 1, 1)]
        assert app.show("x").steps[A].status is StepStatus.RUNNING


def test_without_an_effect_it_runs_again_and_nothing_is_said(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: dies, with: {value: 7}}", 'a: "${a}"')
    die(lives, definition)
    with lives.life() as app:
        assert app.resume("x").outputs == {"a": 7}
        assert not events(app.history("x"), ev.StepInDoubt)
    assert lives.witnessed() == [KEY, KEY]


def test_retry_runs_it_again_under_the_same_key(lives: Lives) -> None:
    die(lives, effect("retry"))
    with lives.life() as app:
        assert app.resume("x").outputs == {"a": 7, "b": 8}
        assert events(app.history("x"), ev.StepInDoubt) == [ev.StepInDoubt(A, 1, 1, "retry")]
    assert lives.witnessed() == [KEY, KEY, "b 1 1"]


def test_a_death_after_the_record_leaves_no_doubt(lives: Lives) -> None:
    die(lives, effect("ask"), "after")
    with lives.life() as app:
        assert app.resume("x").outputs == {"a": 7, "b": 8}
    assert lives.witnessed() == [KEY, "b 1 1"]


def test_skip_leaves_it_out(lives: Lives) -> None:
    die(lives, effect("skip"))
    with lives.life() as app:
        assert app.resume("x").outputs == {"a": None, "b": 1}
        assert app.show("x").steps[A].status is StepStatus.SKIPPED
        assert "in doubt" in app.show("x").steps[A].reason
    assert lives.witnessed() == [KEY, "b 1 1"]


@pytest.mark.parametrize(
    ("word", "value", "ran"),
    [
        ("true", None, ["a 1 1 looks"]),
        ("mapping", [7, "seen"], ["a 1 1 looks"]),
        ("false", 7, ["a 1 1 looks", KEY]),
        ("not", 7, ["a 1 1 looks", KEY]),
    ],
)
def test_verify_looks_whether_it_happened(lives: Lives, word: str, value: Any, ran: list[str]) -> None:
    die(lives, effect("verify", VERIFY))
    lives.touch("looked", word)
    with lives.life() as app:
        result = app.resume("x") if value != [7, "seen"] else None
        if result is None:  # `b` cannot add to a list: what counts is what `a` came to
            result = app.resume("x")
            assert app.value(app.show("x").steps[A].output) == value  # type: ignore[arg-type]
        else:
            assert result.outputs["a"] == value
        assert app.show("x").steps[A].status is StepStatus.COMPLETED
    assert lives.witnessed() == [KEY, *ran, "b 1 1"]


@pytest.mark.parametrize(("word", "message"), [("nonsense", "it gave a str"), ("raise", "nobody can say")])
def test_who_looks_and_cannot_say_fails_the_step_which_does_not_run(lives: Lives, word: str, message: str) -> None:
    die(lives, effect("verify", VERIFY))
    lives.touch("looked", word)
    with lives.life() as app:
        result = app.resume("x")
        assert (result.failed_step, result.error and message in result.error["message"]) == ("a", True)
    assert lives.witnessed() == [KEY, "a 1 1 looks"]
    lives.touch("looked", "false")  # a retry does not forget the doubt
    with lives.life() as app:
        assert [step.action for step in app.plan("x", "retry").steps if step.key == "a"] == ["in doubt"]
        assert app.retry("x").outputs == {"a": 7, "b": 8}
    assert lives.witnessed() == ["a 2 1 looks", "a 2 1 x/a/2", "b 1 1"]


def test_who_looks_is_tried_again_as_the_step_says(lives: Lives) -> None:
    die(lives, effect("verify", VERIFY, ", retry: {max_attempts: 3, initial_delay: 1s}"))
    lives.touch("looked", "raise")
    with lives.life() as app:
        assert app.resume("x").failed_step == "a"
    assert lives.witnessed() == [KEY, "a 1 1 looks", "a 1 2 looks", "a 1 3 looks"]


def test_ask_waits_for_a_person(lives: Lives) -> None:
    die(lives, effect("ask"))
    with lives.life() as app:
        result = app.resume("x")
        assert result.status is ExecutionStatus.PAUSED
        assert "look whether it happened" in result.waiting[A]
        (question,) = app.approvals("x")
        assert (question.kind, question.choices) == ("intervention", ("retry", "skip", "abort"))
    assert lives.witnessed() == [KEY]


@pytest.mark.parametrize(
    ("decision", "outputs", "ran"),
    [
        ("retry", {"a": 7, "b": 8}, ["a 1 2 x/a/1", "b 1 1"]),
        ("skip", {"a": 41, "b": 42}, ["b 1 1"]),
        ("abort", {}, []),
    ],
)
def test_the_answer_decides(lives: Lives, decision: str, outputs: dict[str, Any], ran: list[str]) -> None:
    die(lives, effect("ask"))
    lives.witnessed()
    with lives.life() as app:
        app.resume("x")
        app.answer("x", "a", decision, 41 if decision == "skip" else None, "Ada")
    with lives.life() as app:
        result = app.resume("x")
        assert result.outputs == outputs
        assert (result.failed_step == "a") == (decision == "abort")
    assert lives.witnessed() == ran


def test_asked_again_after_a_second_death(lives: Lives) -> None:
    die(lives, effect("ask"))
    with lives.life() as app:
        app.resume("x")
        app.answer("x", "a", "retry")
    lives.dying(lambda app: app.resume("x"))
    with lives.life() as app:
        assert app.resume("x").status is ExecutionStatus.PAUSED
        app.answer("x", "a", "skip", 1)
        assert app.resume("x").outputs == {"a": 1, "b": 2}
    assert lives.witnessed() == [KEY, "a 1 2 x/a/1", "b 1 1"]


NESTED = """
- id: loop
  for_each: [1, 2]
  max_parallel: 1
  do: dies
  with: {value: "${item}"}
  effect: {in_doubt: POLICY}
- id: block
  needs: [loop]
  steps:
    - {id: inner, do: dies, with: {value: 3}, effect: {in_doubt: POLICY}}
- {id: child, needs: [block], pipeline: sub}
"""
SUB = """
pipelines:
  sub:
    steps:
      - {id: inner, do: dies, with: {value: 4}, effect: {in_doubt: POLICY}}
    outputs: {inner: "${inner}"}
"""


@pytest.mark.parametrize(("policy", "key"), [(p, k) for p in ("retry", "skip", "ask") for k in range(4)])
def test_in_loops_blocks_and_sub_pipelines(lives: Lives, policy: str, key: int) -> None:
    name = StepKey(["loop[0]", "loop[1]", "block.inner", "child/inner"][key])
    definition = pipeline(
        NESTED.replace("POLICY", policy),
        'all: "${[loop, block, child]}"',
        more=SUB.replace("POLICY", policy),
    )
    whole: list[Any] = [[1, 2], {"inner": 3}, {"inner": 4}]
    left: list[Any] = [[[None, 2], *whole[1:]], [[1, None], *whole[1:]], [whole[0], {"inner": None}, whole[2]]]
    left.append([*whole[:2], {"inner": None}])
    # Dies in the n-th handler: the file is put there by the one before.
    with lives.life() as app:
        app.run(definition, execution_id="whole")
    assert len(lives.witnessed()) == 4

    def run(app: Any) -> None:
        (lives.folder / "mortal").unlink()

        def arm(entry: Entry) -> None:
            if isinstance(entry.event, ev.StepStarted) and entry.event.key == name:
                lives.touch("mortal")

        app._on_event = (arm,)
        app.run(definition, execution_id="x")

    lives.dying(run)
    with lives.life() as app:
        assert app.show("x").steps[name].status is StepStatus.RUNNING
        result = app.resume("x")
        if policy == "ask":
            assert list(result.waiting) == [name]
            app.answer("x", name, "skip", 9)
            result = app.resume("x")
            left = [[[9, 2], *whole[1:]], [[1, 9], *whole[1:]], [whole[0], {"inner": 9}, whole[2]]]
            left.append([*whole[:2], {"inner": 9}])
        assert result.outputs == {"all": whole if policy == "retry" else left[key]}
    assert len(lives.witnessed()) == (5 if policy == "retry" else 4)


def test_a_command_may_have_an_effect(lives: Lives) -> None:
    script = f"cd {lives.folder}; echo x >> witness; if test -e mortal; then mv mortal die; fi"
    for policy in ("skip", "retry"):
        definition = pipeline(f"- {{id: a, run: {script!r}, effect: {{in_doubt: {policy}}}}}")
        lives.dying(lambda app, d=definition, p=policy: app.run(d, execution_id=p))  # type: ignore[misc]
        with lives.life() as app:
            assert app.resume(policy).status is ExecutionStatus.COMPLETED
    assert lives.witnessed() == ["x"] * 3


def test_the_key_is_the_same_over_attempts_and_another_in_each_generation(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: a, do: key}
        - {id: b, for_each: [1, 2], do: key}
        """,
        'all: "${[a, b]}"',
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="x").outputs == {"all": ["x/a/1", ["x/b[0]/1", "x/b[1]/1"]]}
        assert app.rerun("x", "b[1]").outputs == {"all": ["x/a/1", ["x/b[0]/1", "x/b[1]/2"]]}


def test_and_over_tries_it_is_one(lives: Lives) -> None:
    definition = pipeline(
        "- {id: a, do: marks, with: {name: no}, retry: {max_attempts: 3, initial_delay: 1s, on: [validation]}}"
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
    assert lives.witnessed() == [f"a 1 {n} x/a/1" for n in (1, 2, 3)]


RUN = """
import sys
from tests.unit.execution.lives import pipeline
from orchestrator import Orchestrator
with Orchestrator(sys.argv[1], durability="process") as app:
    definition = pipeline("- {id: a, do: kills, effect: {in_doubt: ask}}\\n- {id: b, do: work, needs: [a]}")
    app.run(definition, execution_id="x")
"""


def test_a_process_that_is_killed_in_the_handler(lives: Lives) -> None:
    environment = {**os.environ, FOLDER: str(lives.folder), "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, "-c", RUN, str(lives.folder / "journal.db")]
    assert subprocess.run(command, cwd=HERE.parent, env=environment).returncode == -signal.SIGKILL
    assert lives.witnessed() == ["a 1 1"]
    with lives.life() as app:
        assert events(app.history("x"), ev.StepStarted) == [ev.StepStarted(A, 1, 1)]
        assert list(app.resume("x").waiting) == ["a"]
        app.answer("x", "a", "skip")
        assert app.resume("x").status is ExecutionStatus.COMPLETED
    assert lives.witnessed() == ["b 1 1"]


def test_a_pause_is_no_death_and_leaves_no_doubt(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: a, do: work, with: {value: 1}, effect: {in_doubt: ask}}
        - {id: b, signal: go}
        """
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="x").status is ExecutionStatus.PAUSED
        app.pause("x")
        app.signal("x", "go")
        assert app.resume("x").status is ExecutionStatus.COMPLETED
        assert not events(app.history("x"), ev.StepInDoubt)

"""What `plan` foretells, and that it comes so. It changes nothing."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.unit.execution.lives import Lives, lives, pipeline

from orchestrator import ExecutionStatus, Orchestrator, Pipeline
from orchestrator.errors import InputError, UnknownExecutionError
from orchestrator.execution.engine import ExecutionPlan

__all__ = ["lives"]

#: What runs a handler, of what is foretold.
RUNS = {"run", "run again", "in doubt"}
FAILS = pipeline(
    """
    - {id: a, do: work, with: {value: 1}}
    - id: loop
      for_each: [1, 2, 3]
      max_parallel: 1
      needs: [child, cond, race]
      steps:
        - {id: one, do: work, with: {value: "${item}"}}
        - {id: two, do: needs, with: {name: "${'there' if item == 2 else '.'}", value: "${one}"}}
    - {id: child, pipeline: sub, with: {n: "${a}"}}
    - {id: cond, do: work, when: "${a > 1}"}
    - {id: race, parallel: [{id: p, do: work, with: {value: 1}}, {id: q, do: holds, with: {name: never}}], join: any}
    - {id: after, do: work, with: {value: "${loop}"}, needs: [loop]}
    """,
    'loop: "${loop}"',
    more="""
    finally:
      - {id: tidy, do: work}
    pipelines:
      sub:
        inputs: {n: {type: integer}}
        steps: [{id: one, do: work, with: {value: "${n}"}}, {id: two, do: work, needs: [one]}]
        outputs: {two: "${two}"}
    """,
)


def actions(plan: ExecutionPlan) -> dict[str, str]:
    return {step.key: step.action for step in plan.steps}


def journal(app: Orchestrator) -> Any:
    return [entry for found in app.list() for entry in app.history(found.execution_id)]


def foretold(app: Orchestrator, verb: str, step: str | None = None, **options: Any) -> ExecutionPlan:
    before = journal(app), app.list()
    plan = app.plan("x", verb, step, **options)
    assert (journal(app), app.list()) == before
    assert (plan.execution_id, plan.verb) == ("x", verb)
    return plan


def agrees(app: Orchestrator, lives: Lives, plan: ExecutionPlan) -> None:
    """What ran is what was foretold to run; what was not foretold is inside of a step that runs, or goes on."""
    ran = {line.split()[0] for line in lives.witnessed()}
    said = actions(plan)
    for key in ran:
        owners = [owner for owner in said if key == owner or key.startswith((owner + ".", owner + "[", owner + "/"))]
        assert owners, key
        assert any(said[owner] in RUNS | {"go on", "wait"} for owner in owners), (key, said)
        assert said.get(key, "run") in RUNS, (key, said[key])
    kinds = {step.key: step for step in plan.steps}
    for key, action in said.items():
        holds = any(other != key and other.startswith((key + ".", key + "[", key + "/")) for other in kinds)
        if action in RUNS and not holds:
            assert any(line == key or line.startswith((key + ".", key + "[", key + "/")) for line in ran) or key in (
                "cond",  # its condition does not hold
                "race.q",  # the other may have won before it begins
            ), (key, ran)


def test_a_retry_is_foretold(lives: Lives) -> None:
    with lives.life() as app:
        assert app.run(FAILS, execution_id="x").status is ExecutionStatus.FAILED
        lives.witnessed()
        plan = foretold(app, "retry")
        assert actions(plan) == {
            "a": "reuse",
            "loop": "go on",
            "loop[0]": "reuse",
            "loop[0].one": "reuse",
            "loop[0].two": "reuse",
            "loop[1]": "go on",
            "loop[1].one": "reuse",
            "loop[1].two": "run again",
            "child": "reuse",
            "child/one": "reuse",
            "child/two": "reuse",
            "cond": "reuse",
            "race": "reuse",
            "race.p": "reuse",
            "race.q": "reuse",
            "after": "run",
            "tidy": "run again",
        }
        assert {s.key: s.why for s in plan.steps if s.action == "run again"} == {
            "loop[1].two": "it failed",
            "tidy": "runs at the end",
        }
        lives.touch("there")
        app.retry("x")
        agrees(app, lives, plan)


@pytest.mark.parametrize(
    "key", ["a", "loop", "loop[1]", "loop[0].one", "child", "child/one", "race", "race.p", "after", "tidy", "cond"]
)
def test_a_rerun_is_foretold(lives: Lives, key: str) -> None:
    lives.touch("there")
    with lives.life() as app:
        app.run(FAILS, execution_id="x")
        lives.witnessed()
        plan = foretold(app, "rerun", key)
        assert plan.refused == ""
        app.rerun("x", key)
        agrees(app, lives, plan)


def test_a_resume_is_foretold(lives: Lives) -> None:
    lives.clock._jumping = False
    definition = pipeline(
        """
        - {id: a, do: work, with: {value: 1}}
        - id: block
          steps: [{id: one, do: work}, {id: gate, signal: go, needs: [one]}, {id: two, do: work, needs: [gate]}]
        - {id: ask, approve: Go?}
        - {id: hour, wait: 1h, needs: [ask]}
        - {id: end, do: work, needs: [hour, block]}
        """
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        lives.witnessed()
        plan = foretold(app, "resume")
        assert actions(plan) == {
            "a": "reuse",
            "block": "go on",
            "block.one": "reuse",
            "block.gate": "wait",
            "ask": "wait",
            "hour": "run",
            "end": "run",
        }
        assert {s.key: s.why for s in plan.steps if s.action == "wait"} == {
            "block.gate": "for the signal 'go'",
            "ask": "for an answer",
        }
        app.signal("x", "go")
        app.answer("x", "ask", "approve")
        app.resume("x")
        assert lives.ran() == ["block.two"]
        plan = foretold(app, "resume")
        assert (actions(plan)["hour"], actions(plan)["end"]) == ("wait", "run")
        assert next(s.why for s in plan.steps if s.key == "hour") == "for a time"


@pytest.mark.parametrize("policy", ["retry", "skip", "ask"])
def test_doubt_is_foretold(lives: Lives, policy: str) -> None:
    definition = pipeline(f"- {{id: a, do: dies, effect: {{in_doubt: {policy}}}}}\n- {{id: b, do: work, needs: [a]}}")
    lives.dying(lambda app: app.run(definition, execution_id="x"))
    lives.witnessed()
    with lives.life() as app:
        plan = foretold(app, "resume")
        assert actions(plan) == {"a": "in doubt", "b": "run"}
        assert plan.steps[0].why == f"an attempt had begun; its policy is {policy}"
        app.resume("x")
        ran = {"retry": ["a", "b"], "skip": ["b"], "ask": []}[policy]
        assert lives.ran() == ran


def test_an_attempt_without_an_effect_runs_again(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: holds, with: {name: on}}\n- {id: b, do: work, needs: [a]}")

    async def interrupted(app: Orchestrator) -> None:
        running = asyncio.create_task(app.arun(definition, execution_id="x"))
        while not (lives.folder / "witness").exists():
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.03)  # its start is committed after 10 ms
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with lives.life() as app:
        asyncio.run(interrupted(app))
        plan = foretold(app, "resume")
        assert actions(plan) == {"a": "run again", "b": "run"}
        assert "its result is not known" in plan.steps[0].why


def test_what_a_verb_would_refuse(lives: Lives) -> None:
    lives.touch("there")
    with lives.life() as app:
        with pytest.raises(UnknownExecutionError):
            app.plan("x")
        app.run(FAILS, execution_id="x")
        assert "it is completed; use rerun" in foretold(app, "resume").refused
        assert "only what failed is retried" in foretold(app, "retry").refused
        for step, told in ((None, "begins at a step"), ("nothing", "has not begun, or is not there")):
            with pytest.raises(InputError, match=told):
                app.plan("x", "rerun", step)
        with pytest.raises(InputError, match="say resume, retry"):
            app.plan("x", "restart")


def test_a_changed_definition_is_shown(lives: Lives) -> None:
    steps = "- {id: a, do: work, with: {value: 1}}\n- {id: gate, signal: go}\n"
    steps += "- {id: b, do: work, with: {value: '${a}'}, needs: [gate]}"
    with lives.life() as app:
        app.run(pipeline(steps), execution_id="x")
        lives.witnessed()
        changed = pipeline(steps.replace("value: 1", "value: 2"))
        plan = foretold(app, "resume", pipeline=changed)
        assert "must be accepted" in plan.refused
        assert list(plan.changed) == ["a"]
        assert plan.steps[0].why == "its definition changed: other in with"
        more = pipeline(steps + "\n- {id: c, do: work}")
        plan = foretold(app, "resume", pipeline=more)
        assert (plan.refused, actions(plan)) == ("", {"a": "reuse", "gate": "wait", "b": "run", "c": "run"})
        app.signal("x", "go")
        app.resume("x", pipeline=more)
        assert lives.ran() == ["b", "c"]


def test_changed_code_is_shown_and_stops_nothing(lives: Lives, tmp_path: Path) -> None:
    code = tmp_path / "changing_code.py"
    code.write_text("def f():\n    return 1\n\ndef g(n):\n    return n + 1\n")
    text = textwrap.dedent(
        """
        pipeline: p
        steps:
          - {id: a, call: "changing_code:f"}
          - {id: gate, signal: go}
          - {id: b, call: "changing_code:g", with: {n: "${a}"}, needs: [gate]}
        outputs: {b: "${b}"}
        """
    )
    (tmp_path / "p.yaml").write_text(text)
    with lives.life() as app:
        app.run(Pipeline.load(tmp_path / "p.yaml"), execution_id="x")
        assert not [s.why for s in foretold(app, "resume").steps if "code" in s.why]
    code.write_text("def f():\n    return 10\n\ndef g(n):\n    return n + 1\n")
    with lives.life() as app:
        plan = foretold(app, "resume")
        assert {s.key: s.why for s in plan.steps if "code" in s.why} == {
            "a": "its code changed since; `rerun --from` runs it on the new one"
        }
        assert plan.refused == ""
        app.signal("x", "go")
        assert app.resume("x").status is ExecutionStatus.COMPLETED

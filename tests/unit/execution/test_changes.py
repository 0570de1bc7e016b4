"""A pipeline that is changed while an execution of it stands half-way."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.execution.lives import Lives, lives, pipeline

from orchestrator import ExecutionStatus, Orchestrator, Pipeline
from orchestrator.errors import InputError
from orchestrator.journal import events as ev
from orchestrator.types import StepKey

__all__ = ["lives"]

BASE = """
- {id: a, do: work, with: {value: 1}}
- {id: b, do: work, with: {value: "${a + 1}"}}
- {id: gate, signal: go, needs: [b]}
- {id: c, do: work, with: {value: "${b + 1}"}, needs: [gate]}
"""
OUT = 'c: "${c}"'


def begin(lives: Lives, app: Orchestrator, definition: Pipeline) -> None:
    assert app.run(definition, execution_id="x").status is ExecutionStatus.PAUSED
    app.signal("x", "go", 7)
    lives.witnessed()


def edited(old: str, new: str, outputs: str = OUT, inputs: str = "", more: str = "") -> Pipeline:
    assert old in BASE
    return pipeline(BASE.replace(old, new), outputs, inputs, more)


@pytest.mark.parametrize(
    ("old", "new", "outputs", "result", "ran"),
    [
        ('"${b + 1}"', '"${b + 10}"', OUT, {"c": 12}, ["c"]),
        (
            "- {id: c",
            "- {id: d, do: work, with: {value: '${a}'}}\n- {id: c",
            'c: "${c}"\nd: "${d}"',
            {"c": 3, "d": 1},
            ["c", "d"],
        ),
        ('- {id: c, do: work, with: {value: "${b + 1}"}, needs: [gate]}', "", 'c: "${gate}"', {"c": 7}, []),
        ("- {id: a, do: work", "- {id: a, retry: {max_attempts: 3}, timeout: 9s, do: work", OUT, {"c": 3}, ["c"]),
        ("needs: [gate]}", "needs: [gate], for_each: [1, 2]}", OUT, {"c": [3, 3]}, ["c[0]", "c[1]"]),
        (
            'id: c, do: work, with: {value: "${b + 1}"}',
            "id: c, steps: [{id: inner, do: work, with: {value: 4}}]",
            OUT,
            {"c": {"inner": 4}},
            ["c.inner"],
        ),
    ],
)
def test_what_has_not_ended_may_change(
    lives: Lives, old: str, new: str, outputs: str, result: dict[str, Any], ran: list[str]
) -> None:
    definition = edited(old, new, outputs)
    with lives.life() as app:
        begin(lives, app, pipeline(BASE, OUT))
        assert app.resume("x", pipeline=definition).outputs == result
        assert lives.ran() == ran
        assert sum(isinstance(e.event, ev.PipelineChanged) for e in app.history("x")) == 1
        assert app.show("x").fingerprint != ""
        assert app.resume("x").outputs == result


def test_the_same_pipeline_is_no_change(lives: Lives) -> None:
    with lives.life() as app:
        begin(lives, app, pipeline(BASE, OUT))
        assert app.resume("x", pipeline=pipeline(BASE, OUT)).outputs == {"c": 3}
        assert not any(isinstance(e.event, ev.PipelineChanged) for e in app.history("x"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("value: 1", "value: 5", r"  a: other in with\n"),
        (
            '- {id: b, do: work, with: {value: "${a + 1}"}}',
            "- {id: b, set: {b2: 1}}",
            r"  b: other in call, with, set\n",
        ),
        (
            '- {id: a, do: work, with: {value: 1}}\n- {id: b, do: work, with: {value: "${a + 1}"}}',
            "- {id: b, do: work, with: {value: 2}}",
            r"  a: it is gone\n  b: other in with\n",
        ),
    ],
)
def test_what_has_ended_may_change_only_where_somebody_accepts_that(
    lives: Lives, old: str, new: str, told: str
) -> None:
    definition = edited(old, new)
    with lives.life() as app:
        begin(lives, app, pipeline(BASE, OUT))
        before = app.history("x")
        with pytest.raises(InputError, match=told + r"(.|\n)*--accept-changes") as found:
            app.resume("x", pipeline=definition)
        assert "orchestrator rerun x --from" in str(found.value)
        assert app.history("x") == before
        assert app.list()[0].owner is None
        assert app.resume("x", pipeline=definition, accept_changes=True).outputs == {"c": 3}
        assert lives.ran() == ["c"]
        (change,) = [e.event for e in app.history("x") if isinstance(e.event, ev.PipelineChanged)]
        assert list(change.changed) == [line.split(":")[0].strip() for line in told.split(r"\n") if line]
        # What was accepted can be run on the new definition.
        app.rerun("x", "b")
        assert app.show("x").steps[StepKey("b")].generation == 2


def test_changes_upon_changes_replay(lives: Lives) -> None:
    """Each life replays the journal under the definition that holds last."""
    first = edited("- {id: c", "- {id: d, signal: more}\n- {id: c", OUT)
    second = pipeline(
        """
        - {id: a, steps: [{id: other, do: work}]}
        - {id: gate, signal: go}
        - {id: d, signal: more}
        - {id: e, do: work, with: {value: "${d}"}, needs: [a, gate]}
        - {id: last, signal: most}
        """,
        'e: "${e}"',
    )
    with lives.life() as app:
        begin(lives, app, pipeline(BASE, OUT))
        assert app.resume("x", pipeline=first).status is ExecutionStatus.PAUSED
        assert lives.ran() == ["c"]
    with lives.life() as app:
        assert app.resume("x").status is ExecutionStatus.PAUSED
        assert lives.ran() == []
        app.signal("x", "more", 4)
        result = app.resume("x", pipeline=second, accept_changes=True)
        assert result.status is ExecutionStatus.PAUSED
        assert lives.ran() == ["e"]
    with lives.life() as app:
        assert {s.key: s.action for s in app.plan("x").steps} == {
            "a": "reuse",
            "gate": "reuse",
            "d": "reuse",
            "e": "reuse",
            "last": "wait",
        }
        assert app.checkpoints("x")
        app.fork("x", fork_id="y")
        app.signal("y", "most")
        assert app.resume("y").outputs == {"e": 4}
        app.signal("x", "most")
        assert app.resume("x").outputs == {"e": 4}
        assert lives.ran() == []
        assert app.rerun("x", "a").outputs == {"e": 4}
        assert lives.ran() == ["a.other", "e"]
        app.restore("x", "initial")
        app.resume("x")
        app.fork("x", at=3, fork_id="z")  # of the definition that held there
        assert [s.key for s in app.plan("z").steps] == ["a", "b", "gate", "c"]


def test_new_inputs_have_their_defaults(lives: Lives) -> None:
    definition = edited("${b + 1}", "${b + extra}", OUT, "extra: {type: integer, default: 40}")
    with lives.life() as app:
        begin(lives, app, pipeline(BASE, OUT))
        assert app.resume("x", pipeline=definition).outputs == {"c": 42}
    with lives.life() as app:
        assert app.rerun("x", "c").outputs == {"c": 42}
        assert app.plan("x", "rerun", "c", pipeline=definition).refused == ""


@pytest.mark.parametrize("accept", [False, True])
def test_an_input_that_nobody_gave_is_refused(lives: Lives, accept: bool) -> None:
    definition = edited("${b + 1}", "${b + extra}", OUT, "extra: {type: integer}")
    with lives.life() as app:
        begin(lives, app, pipeline(BASE, OUT))
        assert "extra" in app.plan("x", pipeline=definition).refused
        with pytest.raises(InputError, match=r"does not fit what this execution was given.*extra"):
            app.resume("x", pipeline=definition, accept_changes=accept)
        assert app.list()[0].owner is None
        assert app.resume("x").outputs == {"c": 3}


def test_an_input_that_does_not_fit_any_more_is_refused(lives: Lives) -> None:
    with lives.life() as app:
        app.run(pipeline(BASE, OUT, "n: {type: any}"), {"n": "text"}, execution_id="x")
        with pytest.raises(InputError, match=r"does not fit what this execution was given.*n"):
            app.resume("x", pipeline=pipeline(BASE, OUT, "n: {type: integer}"))
        app.signal("x", "go")
        assert app.resume("x", pipeline=pipeline(BASE, OUT)).outputs == {"c": 3}  # one that is gone harms nobody


# -- what is half done -------------------------------------------------------------------------------------------------

HALF = """
- id: block
  steps:
    - {id: one, do: work, with: {value: 1}}
    - {id: gate, signal: go, needs: [one]}
    - {id: two, do: work, with: {value: "${gate}"}}
- {id: child, pipeline: sub}
- id: loop
  for_each: [1, 2]
  max_parallel: 1
  steps:
    - {id: one, do: work, with: {value: "${item}"}}
    - {id: gate, signal: go, needs: [one]}
    - {id: two, do: work, with: {value: "${gate + 1}"}}
- id: route
  switch:
    - {when: "${1 > 2}", steps: [{id: no, do: work}]}
    - steps:
        - {id: one, do: work}
        - {id: gate, signal: go, needs: [one]}
        - {id: two, do: work, with: {value: "${gate}"}}
"""
SUB = """
pipelines:
  sub:
    steps:
      - {id: one, do: work, with: {value: 1}}
      - {id: gate, signal: go, needs: [one]}
      - {id: two, do: work, with: {value: "${gate * 3}"}}
    outputs: {out: "${two}"}
"""
ALL = 'all: "${[block, child, loop, route]}"'
WHOLE = [{"one": 1, "gate": 5, "two": 5}, {"out": 15}, [{"one": n, "gate": 5, "two": 6} for n in (1, 2)]]


def half(lives: Lives, app: Orchestrator) -> None:
    assert app.run(pipeline(HALF, ALL, more=SUB), execution_id="x").status is ExecutionStatus.PAUSED
    for _ in range(6):
        app.signal("x", "go", 5)
    assert lives.ran() == ["block.one", "child/one", "loop[0].one", "route.one"]


@pytest.mark.parametrize(
    ("where", "old", "new", "place", "value"),
    [
        (
            HALF,
            'value: "${gate}"}}\n- {id: child',
            'value: "${gate + 95}"}}\n- {id: child',
            0,
            {**WHOLE[0], "two": 100},
        ),  # type: ignore[dict-item]
        (SUB, "gate * 3", "gate * 4", 1, {"out": 20}),
        (SUB, "      - {id: two", "      - {id: new, do: work}\n      - {id: two", 1, {"out": 15}),
    ],
)
def test_inside_of_blocks_and_sub_pipelines_what_has_not_ended_may_change(
    lives: Lives, where: str, old: str, new: str, place: int, value: Any
) -> None:
    assert old in where
    steps, sub = (where.replace(old, new), SUB) if where is HALF else (HALF, where.replace(old, new))
    with lives.life() as app:
        half(lives, app)
        result = app.resume("x", pipeline=pipeline(steps, ALL, more=sub))
        assert result.outputs["all"][:3] == [*WHOLE[:place], value, *WHOLE[place + 1 :]]
        ran = lives.ran()
        assert not {"block.one", "child/one", "loop[0].one", "route.one"} & set(ran)
        assert "loop[1].one" in ran


@pytest.mark.parametrize(
    ("where", "old", "new", "told"),
    [
        (
            HALF,
            "{id: one, do: work, with: {value: 1}}",
            "{id: one, do: work, with: {value: 2}}",
            "block.one: other in with",
        ),
        (
            SUB,
            "{id: one, do: work, with: {value: 1}}",
            "{id: one, do: work, with: {value: 2}}",
            "child/one: other in with",
        ),
        (HALF, "gate + 1", "gate + 2", "loop: other in steps"),
        (HALF, "for_each: [1, 2]", "for_each: [1, 2, 3]", "loop: other in for_each"),
        (
            HALF,
            "    - steps:\n        - {id: one, do: work}",
            "    - steps:\n        - {id: one, do: work, with: {value: 3}}",
            "route: other in switch",
        ),
        (HALF, '    - {when: "${1 > 2}", steps: [{id: no, do: work}]}\n', "", "route: other in switch"),
        (HALF, "- {id: child, pipeline: sub}", "- {id: child, do: work}", "child: other in pipeline, call"),
        (HALF, "- id: block\n  steps:", "- id: block\n  for_each: [1]\n  steps:", "block: other in for_each"),
    ],
)
def test_inside_of_what_is_half_done_what_has_ended_is_kept_where_accepted(
    lives: Lives, where: str, old: str, new: str, told: str
) -> None:
    assert old in where
    steps, sub = (where.replace(old, new, 1), SUB) if where is HALF else (HALF, where.replace(old, new, 1))
    definition = pipeline(steps, ALL, more=sub)
    with lives.life() as app:
        half(lives, app)
        with pytest.raises(InputError, match=told.replace("[", r"\[")):
            app.resume("x", pipeline=definition)
        plan = app.plan("x", pipeline=definition)
        assert "must be accepted" in plan.refused
        result = app.resume("x", pipeline=definition, accept_changes=True)
        while result.status is ExecutionStatus.PAUSED:
            app.signal("x", "go", 5)
            result = app.resume("x")
        assert result.status is ExecutionStatus.COMPLETED, result.error
        before = result.outputs
        assert app.resume("x").outputs == before
    with lives.life() as app:
        assert app.rerun("x", "route").status in (ExecutionStatus.COMPLETED, ExecutionStatus.PAUSED)


def test_a_pipeline_far_inside_of_one_that_has_ended_may_change_only_where_accepted(lives: Lives) -> None:
    steps = "- {id: child, pipeline: sub}\n- {id: gate, signal: go}"
    more = """
    pipelines:
      sub: {steps: [{id: o, steps: [{id: deep, pipeline: far}]}], outputs: {x: "${o.deep.y}"}}
      far: {steps: [{id: one, do: work, with: {value: 1}}], outputs: {y: "${one}"}}
    """
    changed = pipeline(steps, 'x: "${child.x}"', more=more.replace("value: 1", "value: 2"))
    with lives.life() as app:
        app.run(pipeline(steps, 'x: "${child.x}"', more=more), execution_id="x")
        app.signal("x", "go")
        with pytest.raises(InputError, match="child: the pipeline that it runs is another"):
            app.resume("x", pipeline=changed)
        assert app.resume("x", pipeline=changed, accept_changes=True).outputs == {"x": 1}
        assert app.rerun("x", "child").outputs == {"x": 2}


def test_a_failed_execution_takes_a_mended_file(lives: Lives) -> None:
    first = "- {id: first, do: add, with: {left: 1}}\n"
    with lives.life() as app:
        broken = pipeline(first + '- {id: second, fail: "not yet", needs: [first]}')
        assert app.run(broken, execution_id="x").failed_step == "second"
        lives.witnessed()
        mended = pipeline(first + '- {id: second, do: add, with: {left: "${first}"}}', 'sum: "${second}"')
        assert app.retry("x", pipeline=mended).outputs == {"sum": 3}
        assert [line.split()[0] for line in lives.witnessed()] == ["second"]  # what had ended is kept

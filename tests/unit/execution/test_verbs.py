"""The four verbs: what runs, what is kept, and what becomes of variables, attempts, generations and effects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.execution.lives import Lives, lives, pipeline

from orchestrator import ExecutionStatus, Orchestrator, StepStatus
from orchestrator.errors import InputError, NotResumableError, OwnedElsewhereError, UnknownExecutionError
from orchestrator.journal import events as ev
from orchestrator.types import StepKey

__all__ = ["lives"]

#: Every way of holding steps; `seed` is what all depends on but `apart`.
EVERYTHING = pipeline(
    """
    - {id: seed, do: add, with: {left: 0}}
    - {id: apart, do: work, with: {value: 5}}
    - {id: block, steps: [{id: one, do: add, with: {left: "${seed}"}}, {id: two, do: add, with: {left: "${one}"}},
        {id: other, do: work, with: {value: 3}}]}
    - id: loop
      for_each: [10, 20]
      as: n
      steps:
        - {id: a, do: add, with: {left: "${n}", right: "${seed}"}}
        - {id: b, do: add, with: {left: "${a}"}}
    - {id: child, pipeline: sub, with: {n: "${seed}"}}
    - id: route
      switch:
        - {when: "${seed > 5}", steps: [{id: x, do: work}]}
        - {steps: [{id: y, do: work, with: {value: true}}, {id: z, do: work, with: {value: "${y}"}}]}
    - {id: rounds, while: "${(rounds or 0) < 3}", do: add, with: {left: "${rounds or 0}"}}
    - {id: race, parallel: [{id: fast, do: work, with: {value: 1}}, {id: slow, do: holds, with: {name: never}}],
       join: any}
    - {id: both, parallel: [{id: p, do: work, with: {value: 1}}, {id: q, do: work, with: {value: 2}}]}
    - {id: kept, set: {sum: "${block.two + loop[1].b + child.out + rounds}"}}
    - {id: end, do: add, with: {left: "${kept.sum}", right: "${apart}"}}
    """,
    'all: "${[block, loop, child, route, rounds, race, sum, end]}"\nboth: "${both | sort}"',
    more="""
    pipelines:
      sub:
        inputs: {n: {type: integer}}
        steps:
          - {id: load, do: add, with: {left: "${n}"}}
          - {id: note, set: {noted: "${load * 2}"}}
          - {id: deep, for_each: [1, 2], do: add, with: {left: "${item}", right: "${noted}"}}
        outputs: {out: "${deep | sum}"}
    """,
)
WANTED = {
    "all": [
        {"one": 2, "two": 3, "other": 3},
        [{"a": 11, "b": 12}, {"a": 21, "b": 22}],
        {"out": 11},
        {"y": True, "z": True},
        3,
        {"fast": 1},
        39,
        44,
    ],
    "both": ["p", "q"],
}
#: What is rerun, and what runs then beside `end`.
RERUNS = {
    "seed": "seed block.one block.two block.other loop[0].a loop[0].b loop[1].a loop[1].b child/load child/deep[0] "
    "child/deep[1] route.y route.z",
    "apart": "apart",
    "block": "block.one block.two block.other",
    "block.one": "block.one block.two",
    "block.two": "block.two",
    "loop": "loop[0].a loop[0].b loop[1].a loop[1].b",
    "loop[1]": "loop[1].a loop[1].b",
    "loop[1].a": "loop[1].a loop[1].b",
    "loop[0].b": "loop[0].b",
    "child": "child/load child/deep[0] child/deep[1]",
    "child/load": "child/load child/deep[0] child/deep[1]",
    "child/note": "child/deep[0] child/deep[1]",
    "child/deep[1]": "child/deep[1]",
    "route": "route.y route.z",
    "route.y": "route.y route.z",
    "route.z": "route.z",
    "rounds": "rounds[0] rounds[1] rounds[2]",
    "rounds[1]": "rounds[0] rounds[1] rounds[2]",
    "race": "race.fast",
    "race.fast": "race.fast",
    "both.q": "both.q",
    "kept": "",
    "end": "",
}
#: `end` depends on none of these.
_WITHOUT_END = ("route", "race", "both")


def begun(lives: Lives) -> list[str]:
    """What handlers began; the loser of the race may have been given up before it did."""
    lines = (line.split()[0] for line in lives.witnessed() if not line.endswith(" ends"))
    return sorted(line for line in lines if line != "race.slow")


def generations(app: Orchestrator) -> dict[str, int]:
    return {key: step.generation for key, step in app.show("x").steps.items()}


def test_rerun_of_whatever_it_is_ends_as_the_unbroken_run(lives: Lives) -> None:
    with lives.life() as app:
        assert app.run(EVERYTHING, execution_id="x").outputs == WANTED
        lives.witnessed()
        for key, ran in RERUNS.items():
            before = generations(app)
            assert app.rerun("x", key, by="Ada").outputs == WANTED, key
            ends = [] if key.startswith(_WITHOUT_END) else ["end"]
            assert begun(lives) == sorted([*ran.split(), *ends]), key
            after = generations(app)
            if not key.startswith(("rounds[", "race.")):
                assert after[key] == before[key] + 1, key
            for name in {*ran.split(), *ends}:
                assert after[name] > before[name], (key, name)
            for name in {*before} - {*ran.split(), "end"}:
                if "." in name or "/" in name:
                    assert after[name] >= before[name], (key, name)
        record = app.show("x")
        assert (record.steps_done, record.steps_failed) == (11, 0)
        assert app.list()[0].steps_done == 11


def test_rerun_of_what_has_not_begun_or_is_not_there(lives: Lives) -> None:
    with lives.life() as app:
        with pytest.raises(UnknownExecutionError):
            app.rerun("x", "a")
        app.run(EVERYTHING, execution_id="x")
        for key in ("nothing", "block.three", "loop[2]", "route.x", "child/none", "loop[0].a.b"):
            with pytest.raises(InputError, match="has not begun, or is not there"):
                app.rerun("x", key)
        with pytest.raises(InputError, match=r"did you mean 'block\.one'"):
            app.rerun("x", "block.ones")
        assert app.list()[0].status is ExecutionStatus.COMPLETED  # and given back
        assert app.list()[0].owner is None


STANDS = """
- {id: a, do: work, with: {value: 1}}
- {id: b, do: needs, with: {name: there, value: "${a + 1}"}}
- {id: gate, signal: go, needs: [a]}
- {id: c, set: {all: "${[a, b, gate]}"}}
"""


def stand(lives: Lives, app: Orchestrator, status: str) -> None:
    """An execution `x` of STANDS that has come to this."""
    definition = pipeline(STANDS, 'all: "${all}"')
    if status != "failed":
        lives.touch("there")
    app.run(definition, execution_id="x")
    if status == "completed":
        app.signal("x", "go", 3)
        assert app.resume("x").outputs == {"all": [1, 2, 3]}
    elif status == "cancelled":
        app.cancel("x", "enough")
    elif status == "paused by hand":
        app.pause("x", "lunch")
    lives.touch("there")
    assert app.list()[0].status == status.split()[0]
    lives.witnessed()


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "paused", "paused by hand"])
def test_rerun_of_an_execution_however_it_stands(lives: Lives, status: str) -> None:
    with lives.life() as app:
        stand(lives, app, status)
        result = app.rerun("x", "a")
        assert lives.ran() == ["a", "b"]
        if status != "completed":  # there, the signal that was taken is there again
            assert result.status is ExecutionStatus.PAUSED
            app.signal("x", "go", 3)
            result = app.resume("x")
        assert result.outputs == {"all": [1, 2, 3]}


@pytest.mark.parametrize(
    ("status", "refused"), [("completed", ""), ("failed", "retry x"), ("cancelled", "rerun x --from"), ("paused", "")]
)
def test_resume_goes_on_with_what_is_unfinished_only(lives: Lives, status: str, refused: str) -> None:
    with lives.life() as app:
        stand(lives, app, status)
        if refused:
            with pytest.raises(NotResumableError, match=refused):
                app.resume("x")
        else:
            if status == "paused":
                app.signal("x", "go", 3)
            assert app.resume("x").outputs == {"all": [1, 2, 3]}
        assert lives.ran() == []
        with pytest.raises(UnknownExecutionError):
            app.resume("y")


@pytest.mark.parametrize(
    ("status", "refused"),
    [("completed", "nothing to retry"), ("failed", ""), ("cancelled", "nothing to retry"), ("paused", "resume")],
)
def test_retry_is_for_what_failed_only(lives: Lives, status: str, refused: str) -> None:
    with lives.life() as app:
        stand(lives, app, status)
        if refused:
            with pytest.raises(NotResumableError, match=refused):
                app.retry("x")
            return
        assert app.retry("x").status is ExecutionStatus.PAUSED
        app.signal("x", "go", 3)
        assert app.resume("x").outputs == {"all": [1, 2, 3]}
        assert lives.ran() == ["b"]


# -- retry keeps progress ----------------------------------------------------------------------------------------------

NESTED_FAILURES = {
    "block": (
        """
        - id: o
          steps:
            - {id: one, do: work, with: {value: 1}}
            - {id: two, do: needs, with: {name: there, value: "${one}"}}
            - {id: three, do: work, with: {value: "${two}"}}
        """,
        {"one": 1, "two": 1, "three": 1},
        "o.one o.two",
        "o.two o.three",
    ),
    "loop": (
        """
        - id: o
          for_each: [1, 2, 3]
          max_parallel: 1
          steps:
            - {id: one, do: work, with: {value: "${item}"}}
            - {id: two, do: needs, with: {name: "${'there' if item == 2 else '.'}", value: "${one}"}}
        """,
        [{"one": n, "two": n} for n in (1, 2, 3)],
        "o[0].one o[0].two o[1].one o[1].two",
        "o[1].two o[2].one o[2].two",
    ),
    "while": (
        """
        - id: o
          while: "${o is none or o.two < 3}"
          as: n
          steps:
            - {id: one, do: work, with: {value: "${n + 1}"}}
            - {id: two, do: needs, with: {name: "${'there' if n == 1 else '.'}", value: "${one}"}}
        """,
        {"one": 3, "two": 3},
        "o[0].one o[0].two o[1].one o[1].two",
        "o[1].two o[2].one o[2].two",
    ),
    "switch": (
        """
        - id: o
          switch:
            - when: "${1 < 2}"
              steps:
                - {id: one, do: work, with: {value: 1}}
                - {id: two, do: needs, with: {name: there, value: "${one}"}}
        """,
        {"one": 1, "two": 1},
        "o.one o.two",
        "o.two",
    ),
    "parallel": (
        """
        - id: o
          parallel:
            - {id: one, do: work, with: {value: 1}}
            - {id: two, do: needs, with: {name: there, value: 2}}
          output: "${[one, two]}"
        """,
        [1, 2],
        "o.one o.two",
        "o.two",
    ),
    "sub-pipeline": (
        "- {id: o, pipeline: sub}",
        {"deep": [{"n": 2}, {"n": 4}]},
        "o/first o/deep[0].n o/deep[1].n o/last",
        "o/deep[1].n o/last",
    ),
    "collect": (
        """
        - {id: o, for_each: [there, .], on_item_failure: 10%, do: needs, with: {name: "${item}", value: 1}}
        """,
        [1, 1],
        "o[0] o[1]",
        "o[0]",
    ),
}
SUB = """
pipelines:
  sub:
    steps:
      - {id: first, do: work, with: {value: 2}}
      - id: deep
        for_each: [1, 2]
        max_parallel: 1
        steps:
          - {id: n, do: needs, with: {name: "${'there' if item == 2 else '.'}", value: "${item * first}"}}
    finally:
      - {id: last, do: work}
    outputs: {deep: "${deep}"}
"""


@pytest.mark.parametrize("kind", NESTED_FAILURES)
@pytest.mark.parametrize("named", [False, True])
def test_retry_after_a_failure_inside_keeps_what_ended(lives: Lives, kind: str, named: bool) -> None:
    steps, output, first, second = NESTED_FAILURES[kind]
    definition = pipeline(
        "- {id: before, do: work}\n"
        + steps.replace("\n        ", "\n").strip("\n")
        + "\n- {id: after, needs: [o, before], do: work}",
        'o: "${o}"',
        more=SUB if kind == "sub-pipeline" else "",
    )
    with lives.life() as app:
        failed = app.run(definition, execution_id="x")
        assert failed.status is ExecutionStatus.FAILED
        assert lives.ran() == sorted(["before", *first.split()])
        assert app.show("x").steps_failed == 1
        lives.touch("there")
        result = app.retry("x", failed.failed_step if named else None)
        assert result.outputs == {"o": output}
        assert lives.ran() == sorted(["after", *second.split()])
        record = app.show("x")
        assert (record.steps_failed, record.steps_done) == (0, 3)
        assert {step.status for step in record.steps.values()} == {StepStatus.COMPLETED}


def test_retry_that_fails_again_can_be_retried_again(lives: Lives) -> None:
    definition = pipeline(NESTED_FAILURES["loop"][0], 'o: "${o}"')
    with lives.life() as app:
        app.run(definition, execution_id="x")
        for generation in (2, 3):
            assert app.retry("x").failed_step == "o[1].two"
            assert app.show("x").steps[StepKey("o[1].two")].generation == generation
        lives.touch("there")
        assert app.retry("x").outputs == {"o": NESTED_FAILURES["loop"][1]}
        lines = lives.witnessed()
        assert [line for line in lines if line.startswith("o[1].two")] == [f"o[1].two {n} 1" for n in (1, 2, 3, 4)]
        assert lines.count("o[0].two 1 1") == lines.count("o[1].one 1 1") == 1


def test_retry_of_one_of_two_failures_leaves_the_other(lives: Lives) -> None:
    definition = pipeline(
        """
        - id: both
          parallel:
            - {id: a, do: needs, with: {name: there}}
            - {id: b, do: needs, with: {name: other}}
        """
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        lives.witnessed()
        lives.touch("there")
        with pytest.raises(InputError, match=r"'c' did not fail; these did: both\.a, both\.b"):
            app.retry("x", "c")
        result = app.retry("x", "both.a")
        assert (result.failed_step, lives.ran()) == ("both.b", ["both.a"])
        lives.touch("other")
        assert app.retry("x").status is ExecutionStatus.COMPLETED
        assert lives.ran() == ["both.b"]


# -- variables, attempts, effects --------------------------------------------------------------------------------------

RULES = pipeline(
    """
    - {id: a, set: {count: "${(count0) + 1}"}, checkpoint: counted}
    - {id: b, do: fails_at_first, with: {value: "${count}"}, retry: {max_attempts: 2, initial_delay: 1s}}
    - {id: k, do: key, needs: [b]}
    - {id: c, do: needs, with: {name: there, value: "${k}"},
       retry: {max_attempts: 2, initial_delay: 1s, on: [validation]}}
    - {id: d, set: {count2: "${count * 10}"}, needs: [c]}
    """,
    'count: "${count}"\nb: "${b}"\nk: "${k}"\ncount2: "${count2}"',
    "count0: {type: integer, default: 1}",
)


def test_attempts_variables_and_keys_in_a_retry(lives: Lives) -> None:
    with lives.life() as app:
        assert app.run(RULES, execution_id="x").failed_step == "c"
        lives.touch("there")
        result = app.retry("x")
        assert result.outputs == {"count": 2, "b": 2, "k": "x/k/1", "count2": 20}
        assert [line for line in lives.witnessed() if line[0] == "c"] == ["c 1 1", "c 1 2", "c 2 1"]  # attempts afresh


def test_attempts_variables_and_keys_in_a_rerun(lives: Lives) -> None:
    lives.touch("there")
    with lives.life() as app:
        app.run(RULES, execution_id="x")
        lives.witnessed()
        result = app.rerun("x", "b")
        assert result.outputs == {"count": 2, "b": 2, "k": "x/k/2", "count2": 20}
        assert [line.rsplit(" x/")[0] for line in lives.witnessed()] == ["b 2 1", "b 2 2", "k 2 1", "c 2 1"]
        record = app.show("x")
        assert [name for name, (_, source) in record.variables.items() if source == "d"] == ["count2"]


def test_attempts_and_variables_in_a_resume(lives: Lives) -> None:
    """The attempts that were made count on, and what is set is set."""
    lives = Lives(lives.folder, jumping=False)

    async def until_it_waits(app: Orchestrator) -> None:
        running = asyncio.create_task(app.arun(RULES, execution_id="x"))
        while not (app.list() and any(isinstance(e.event, ev.StepRetrying) for e in app.history("x"))):
            await asyncio.sleep(0.002)
        app.interrupt()
        await running

    with lives.life() as app:
        asyncio.run(until_it_waits(app))
        assert app.show("x").status is ExecutionStatus.PAUSED
    lives.clock._jumping = True
    lives.touch("there")
    with lives.life() as app:
        assert app.resume("x").outputs == {"count": 2, "b": 2, "k": "x/k/1", "count2": 20}
    assert [line.rsplit(" x/")[0] for line in lives.witnessed()] == ["b 1 1", "b 1 2", "k 1 1", "c 1 1"]


def test_attempts_variables_and_keys_in_a_fork(lives: Lives) -> None:
    lives.touch("there")
    with lives.life() as app:
        app.run(RULES, execution_id="x")
        before = list(app.history("x"))
        lives.witnessed()
        assert app.fork("x", at="counted", fork_id="y", variables={"count": 7}) == "y"
        assert app.show("y").status is ExecutionStatus.PAUSED
        assert app.resume("y").outputs == {"count": 7, "b": 7, "k": "y/k/1", "count2": 70}
        assert [line.rsplit(" ", 1)[0] for line in lives.witnessed()] == ["b 1", "b 1", "k 1 1", "c 1"]
        assert list(app.history("x")) == before


def test_a_checkpoint_stands_after_a_retry_and_is_made_again_by_a_rerun(lives: Lives) -> None:
    with lives.life() as app:
        app.run(RULES, execution_id="x")
        lives.touch("there")
        app.retry("x")
        assert [c.name for c in app.checkpoints("x") if c.step == "a"] == ["counted"]
        app.rerun("x", "a")
        made = [c for c in app.checkpoints("x") if c.name == "counted"]
        assert len({c.id for c in made}) == len({c.position for c in made}) == 2


def test_rerun_forgets_that_an_effect_happened(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: key, effect: {in_doubt: ask}}", 'a: "${a}"')
    with lives.life() as app:
        assert app.run(definition, execution_id="x").outputs == {"a": "x/a/1"}
        assert app.rerun("x", "a").outputs == {"a": "x/a/2"}


def test_finally_runs_again_at_the_end(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: a, do: work, with: {value: 1}}
        - {id: b, do: needs, with: {name: there, value: 2}}
        """,
        'b: "${b}"',
        more="finally:\n  - {id: tidy, do: work, with: {value: '${outcome.status}'}}\n",
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        assert lives.ran() == ["a", "b", "tidy"]
        lives.touch("there")
        assert app.retry("x").outputs == {"b": 2}
        assert lives.ran() == ["b", "tidy"]
        app.rerun("x", "a")
        assert lives.ran() == ["a", "tidy"]
        assert app.value(app.show("x").steps[StepKey("tidy")].output) == "completed"  # type: ignore[arg-type]
        app.rerun("x", "tidy")
        assert lives.ran() == ["tidy"]


def test_no_verb_on_what_another_runs(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: holds, with: {name: on}}")

    async def both(one: Orchestrator, two: Orchestrator) -> list[Any]:
        running = asyncio.create_task(one.arun(definition, execution_id="x"))
        while not (lives.folder / "witness").exists():
            await asyncio.sleep(0.002)
        refused = await asyncio.gather(two.aresume("x"), two.arerun("x", "a"), return_exceptions=True)
        lives.touch("on")
        assert (await running).status is ExecutionStatus.COMPLETED
        return refused

    with lives.life() as one, lives.life() as two:
        assert [type(error) for error in asyncio.run(both(one, two))] == [OwnedElsewhereError] * 2


def test_what_a_step_sets_from_itself_is_the_same_after_a_rerun(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: a, set: {n: "${n0 + 1}", m: 0}}
        - {id: b, do: work, needs: [a]}
        - {id: c, set: {n: "${n * 10}"}, needs: [b]}
        - {id: d, for_each: [1, 2], max_parallel: 1, set: {m: "${m + item}"}, needs: [c]}
        """,
        'n: "${n}"\nm: "${m}"',
        "n0: {type: integer, default: 1}",
    )
    wanted = {"n": 20, "m": 3}
    with lives.life() as app:
        assert app.run(definition, execution_id="x").outputs == wanted
        for key in ("c", "a", "b", "d", "d[1]", "d[0]", "c"):
            assert app.rerun("x", key).outputs["n"] == 20
            if key != "d[0]":  # its neighbour counts on what it found
                assert app.show("x").status is ExecutionStatus.COMPLETED
        assert app.rerun("x", "a").outputs == wanted
        app.fork("x", fork_id="y", from_step="c")
        assert app.resume("y").outputs == wanted


RETURNS = """
- {id: a, do: work, with: {value: 1}}
- {id: b, do: work, with: {value: "${a}"}, checkpoint: bee}
- {id: left, do: holds, with: {name: never}}
- {id: after, do: work, needs: [left]}
- {id: done, return: {b: "${b}"}, when: "${b}"}
- {id: inner, steps: [{id: one, do: work}, {id: two, do: work, needs: [one]}]}
"""


@pytest.mark.parametrize("where", ["", "child/"])
def test_rerun_in_a_pipeline_that_returned(lives: Lives, where: str) -> None:
    """It has returned: the step and what depends on it run, what was cancelled or never began does not."""
    outputs = 'b: "${b}"'
    steps = RETURNS.replace("- {id: done", "- {id: wait, do: holds, with: {name: on}, needs: [inner]}\n- {id: done")
    steps = steps.replace('when: "${b}"', "needs: [wait]")
    if where:
        inside = "".join(f"      {line}\n" for line in steps.strip().splitlines())
        definition = pipeline(
            "- {id: child, pipeline: sub}",
            'b: "${child.b}"',
            more=f"pipelines:\n  sub:\n    steps:\n{inside}    outputs: {{{outputs}}}\n",
        )
    else:
        definition = pipeline(steps, outputs)
    lives.touch("on")
    with lives.life() as app:
        assert app.run(definition, execution_id="x").outputs == {"b": 1}
        assert app.show("x").steps[StepKey(where + "left")].status is StepStatus.CANCELLED
        lives.witnessed()
        for key, ran in {
            "inner.two": ["inner.two", "wait"],
            "inner": ["inner.one", "inner.two", "wait"],
            "a": ["a", "b", "left"],
        }.items():
            result = app.rerun("x", where + key)
            assert result.outputs == {"b": 1}, key
            found = {name for name in begun(lives) if name != where + "left"}
            assert found == {where + name for name in ran if name != "left"}, key
        assert app.resume(app.fork("x")).outputs == {"b": 1}


def test_retry_leaves_failures_that_were_borne(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: some, for_each: [no, .], on_item_failure: collect, do: needs, with: {name: "${item}", value: 1}}
        - {id: race, parallel: [{id: p, do: needs, with: {name: no}}, {id: q, do: work, with: {value: 2}}], join: 1}
        - {id: b, do: needs, with: {name: there}, needs: [some, race]}
        """,
        'some: "${some | map(attribute=\'ok\')}"\nrace: "${race}"',
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="x").failed_step == "b"
        lives.witnessed()
        for key in ("some[0]", "race.p", "some"):
            with pytest.raises(InputError, match=f"{key.split('[')[0]}.* did not fail; these did: b"):
                app.retry("x", key)
        lives.touch("there")
        assert app.retry("x").outputs == {"some": [False, True], "race": {"q": 2}}
        assert lives.ran() == ["b"]


@pytest.mark.parametrize("verb", ["retry", "rerun"])
def test_the_budget_of_rollbacks_is_whole_again(lives: Lives, verb: str) -> None:
    definition = pipeline(
        """
        - {id: a, do: work, checkpoint: base}
        - {id: b, do: needs, with: {name: there}, needs: [a], on_error: [{strategy: rollback, checkpoint: base}]}
        """
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        made = len(lives.ran())
        result = app.retry("x") if verb == "retry" else app.rerun("x", "b")
        assert result.error is not None
        assert "set back 3 times" in result.error["message"]
        assert (made, len(lives.ran())) == (5, 4)  # `a`, and `b` with three rollbacks


FAILED_BLOCK = pipeline(
    """
    - id: block
      timeout: 1h
      retry: {max_attempts: 2, initial_delay: 0, on: [validation]}
      steps:
        - {id: one, do: work, with: {value: 1}}
        - {id: two, do: work, with: {value: "${one}"}}
        - {id: bad, do: needs, with: {name: there, value: "${one}"}, needs: [two]}
    """,
    'block: "${block}"',
)


@pytest.mark.parametrize(
    ("verb", "ran"),
    [
        ("retry", ["block.bad"]),
        ("rerun block.bad", ["block.bad"]),
        ("rerun block.two", ["block.bad", "block.two"]),
        ("rerun block", ["block.bad", "block.one", "block.two"]),
        ("fork", ["block.bad"]),
    ],
)
def test_what_holds_steps_and_was_tried_goes_on_where_it_stands(lives: Lives, verb: str, ran: list[str]) -> None:
    """Its attempts and its time begin afresh, what ended inside of the last attempt is kept."""
    lives.clock._jumping = False
    with lives.life() as app:
        assert app.run(FAILED_BLOCK, execution_id="x").failed_step == "block.bad"
        assert len(lives.ran()) == 6
        lives.clock.advance(7200)  # longer than it may take
        name, _, step = verb.partition(" ")
        lives.touch("there")
        if name == "fork":
            result = app.resume(app.fork("x", fork_id="y"))
        else:
            result = app.rerun("x", step) if step else app.retry("x")
        assert result.outputs == {"block": {"one": 1, "two": 1, "bad": 1}}
        assert lives.ran() == ran


@pytest.mark.parametrize("verb", ["retry", "rerun"])
def test_and_has_all_its_attempts_again(lives: Lives, verb: str) -> None:
    lives.clock._jumping = False
    with lives.life() as app:
        app.run(FAILED_BLOCK, execution_id="x")
        lives.witnessed()
        result = app.retry("x") if verb == "retry" else app.rerun("x", "block.bad")
        assert result.failed_step == "block.bad"
        assert lives.ran() == ["block.bad", "block.bad", "block.one", "block.two"]


def test_retry_of_a_finally_step_alone(lives: Lives) -> None:
    definition = pipeline(
        "- {id: a, do: work, with: {value: 1}}\n- {id: child, pipeline: sub}",
        'a: "${a}"',
        more="""
        finally:
          - {id: tidy, do: needs, with: {name: there}}
          - {id: other, do: work}
          - {id: more, do: work, needs: [tidy]}
        pipelines:
          sub:
            steps: [{id: one, do: work}]
            finally: [{id: tidy, do: needs, with: {name: here}}]
            outputs: {x: "${one}"}
        """,
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="x").failed_step == "child/tidy"
        assert lives.ran() == ["a", "child/one", "child/tidy", "other", "tidy"]
        lives.touch("here")
        assert app.retry("x").failed_step == "tidy"
        assert lives.ran() == ["child/tidy", "other", "tidy"]
        lives.touch("there")
        assert app.retry("x").outputs == {"a": 1}
        assert lives.ran() == ["more", "other", "tidy"]
        assert app.rerun("x", "child/tidy").outputs == {"a": 1}
        assert "child/tidy" in lives.ran()


def test_retry_where_the_outputs_could_not_be_made(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: work, with: {value: [1]}}", 'x: "${a[1]}"')
    with lives.life() as app:
        assert app.run(definition, execution_id="x").status is ExecutionStatus.FAILED
        assert app.retry("x").status is ExecutionStatus.FAILED
        assert lives.ran() == ["a"]
        assert app.fork("x", fork_id="y", variables={"a": [1, 2]}) == "y"
        assert app.resume("y").outputs == {"x": 2}


def test_rerun_asks_and_waits_again(lives: Lives) -> None:
    lives.clock._jumping = False
    definition = pipeline(
        """
        - {id: ask, approve: Go?}
        - {id: o, steps: [{id: hour, wait: 1h}, {id: one, do: work, with: {value: "${ask.choice}"}, needs: [hour]}]}
        """,
        'o: "${o.one}"',
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        app.answer("x", "ask", "approve")
        app.resume("x")
        lives.clock.advance(3600)
        assert app.resume("x").outputs == {"o": "approve"}
        result = app.rerun("x", "o.hour")
        assert (result.until, result.waiting) == (lives.clock.time() + 3600, {})
        lives.clock.advance(3600)
        assert app.resume("x").outputs == {"o": "approve"}
        assert app.rerun("x", "ask").waiting == {"ask": "Go?"}
        app.answer("x", "ask", "reject")
        assert app.resume("x").until == lives.clock.time() + 3600
        lives.clock.advance(3600)
        assert app.resume("x").outputs == {"o": "reject"}


def test_rerun_of_what_was_cut_off(lives: Lives) -> None:
    definition = pipeline(
        "- {id: a, do: work, with: {value: 1}}\n- {id: b, do: dies, with: {value: '${a}'}, effect: {in_doubt: ask}}",
        'b: "${b}"',
    )
    lives.dying(lambda app: app.run(definition, execution_id="x"))
    lives.witnessed()
    with lives.life() as app:
        assert app.rerun("x", "b").outputs == {"b": 1}  # afresh: nothing is in doubt
        assert lives.ran() == ["b"]


def test_what_was_cancelled_with_a_failure_keeps_what_ended_in_it(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: bad, do: needs, with: {name: there}, needs: [first]}
        - {id: first, signal: now}
        - {id: many, for_each: [1, 2], pipeline: sub, with: {n: "${item}"}}
        """,
        'many: "${many}"',
        more="""
        pipelines:
          sub:
            inputs: {n: {type: integer}}
            steps: [{id: one, do: work, with: {value: "${n}"}}, {id: gate, signal: go, needs: [one]}]
            finally: [{id: tidy, do: work, with: {value: "${outcome.status}"}}]
            outputs: {x: "${one + gate}"}
        """,
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        app.signal("x", "now")
        assert app.resume("x").failed_step == "bad"
        assert app.show("x").steps[StepKey("many[0]")].status is StepStatus.CANCELLED
        assert lives.ran() == ["bad", "many[0]/one", "many[0]/tidy", "many[1]/one", "many[1]/tidy"]
        lives.touch("there")
        plan = {step.key: step.action for step in app.plan("x", "retry").steps}
        assert (plan["many[0]"], plan["many[0]/one"], plan["many[0]/gate"]) == ("go on", "reuse", "run again")
        assert app.retry("x").status is ExecutionStatus.PAUSED
        assert lives.ran() == ["bad"]
        app.signal("x", "go", 10)
        app.signal("x", "go", 20)
        assert app.resume("x").outputs == {"many": [{"x": 11}, {"x": 22}]}
        assert lives.ran() == ["many[0]/tidy", "many[1]/tidy"]
        record = app.show("x")
        assert (record.steps_done, record.steps_failed) == (3, 0)

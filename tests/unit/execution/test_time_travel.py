"""Checkpoints, going back to one, and forks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.execution.lives import Lives, lives, pipeline

from orchestrator import ExecutionStatus, Orchestrator, StepStatus
from orchestrator.errors import InputError, OwnedElsewhereError, UnknownExecutionError
from orchestrator.journal import events as ev
from orchestrator.types import StepKey

__all__ = ["lives"]

#: `mark` stands in the middle; the steps beside it are half done there, since `gate` waits.
MIDDLE = pipeline(
    """
    - {id: first, set: {count: 1}, checkpoint: begun}
    - id: loop
      for_each: [1, 2, 3]
      max_parallel: 1
      steps:
        - {id: a, do: add, with: {left: "${item}", right: "${count}"}}
        - {id: b, do: add, with: {left: "${a}"}, when: "${item != 2 or go == 5}"}
    - {id: go, signal: go}
    - {id: child, pipeline: sub, needs: [loop]}
    - {id: mark, do: work, needs: [child], checkpoint: marked}
    - {id: later, set: {count: "${count + go}"}, needs: [mark]}
    - {id: last, do: needs, with: {name: there, value: "${count}"}, needs: [later]}
    """,
    'all: "${[loop, child, count]}"',
    more="""
    pipelines:
      sub:
        steps:
          - {id: one, set: {x: 4}}
          - {id: two, do: add, with: {left: "${x}"}}
        outputs: {two: "${two}"}
    """,
)
WANTED = {"all": [[{"a": 2, "b": 3}, {"a": 3, "b": 4}, {"a": 4, "b": 5}], {"two": 5}, 6]}
INSIDE = sorted(["loop[0].a", "loop[0].b", "loop[1].a", "loop[1].b", "loop[2].a", "loop[2].b", "child/two", "mark"])


def stand(lives: Lives, app: Orchestrator, status: str) -> None:
    if status != "failed":
        lives.touch("there")
    app.signal(app.start(MIDDLE, execution_id="x"), "go", 5)
    if status == "paused":
        app.pause("x")
        return
    result = app.resume("x")
    assert result.status == ("failed" if status == "failed" else "completed")
    lives.touch("there")


@pytest.mark.parametrize("status", ["completed", "failed"])
@pytest.mark.parametrize(("checkpoint", "ran"), [("marked", ["last"]), ("begun", sorted([*INSIDE, "last"]))])
def test_restore_to_a_checkpoint(lives: Lives, status: str, checkpoint: str, ran: list[str]) -> None:
    with lives.life() as app:
        stand(lives, app, status)
        lives.witnessed()
        app.restore("x", checkpoint)
        record = app.show("x")
        assert record.status is ExecutionStatus.PAUSED
        assert record.pause_reason == f"restored to {checkpoint}"
        assert app.value(record.variables["count"][0]) == 1
        assert app.list()[0].status is ExecutionStatus.PAUSED
        assert app.list()[0].owner is None
        assert app.list()[0].next_due is None  # nobody wakes it
    with lives.life() as app:
        assert app.resume("x").outputs == WANTED
        assert lives.ran() == ran
        assert app.list()[0].steps_done == 7


def test_restore_again_and_again_and_forward(lives: Lives) -> None:
    """A checkpoint that came later is still there to go to."""
    with lives.life() as app:
        stand(lives, app, "completed")
        for checkpoint in ("marked", "begun", "marked", "marked"):
            app.restore("x", checkpoint)
            assert app.show("x").status is ExecutionStatus.PAUSED
        lives.witnessed()
        assert app.resume("x").outputs == WANTED
        app.restore("x", "begun")
        assert app.resume("x").outputs == WANTED
        history = [entry.event for entry in app.history("x")]
        assert sum(isinstance(event, ev.ExecutionRestored) for event in history) == 5


@pytest.mark.parametrize("by", ["pause", "cancel", "wait"])
def test_restore_of_what_is_paused_or_cancelled(lives: Lives, by: str) -> None:
    definition = pipeline(
        """
        - {id: a, do: work, with: {value: 1}, checkpoint: one}
        - {id: o, needs: [a], steps: [{id: b, do: work, with: {value: "${a}"}}, {id: gate, signal: go, needs: [b]}]}
        """,
        'o: "${o}"',
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="x").status is ExecutionStatus.PAUSED
        if by == "pause":
            app.pause("x", "lunch")
        elif by == "cancel":
            app.cancel("x", "enough")
        lives.witnessed()
        app.restore("x", "one")
        assert app.approvals("x") == []
        assert app.show("x").status is ExecutionStatus.PAUSED
        assert app.list()[0].next_due is None
        assert app.resume("x").status is ExecutionStatus.PAUSED
        assert lives.ran() == ["o.b"]
        app.signal("x", "go", 2)
        assert app.resume("x").outputs == {"o": {"b": 1, "gate": 2}}


def test_a_signal_that_was_taken_is_there_again_after_a_restore(lives: Lives) -> None:
    with lives.life() as app:
        stand(lives, app, "completed")
        app.restore("x", "begun")
        assert [s.taken_by for s in app.show("x").signals.values()] == [None]
        assert app.resume("x").outputs == WANTED


def test_no_restore_to_what_is_not_there_or_runs(lives: Lives) -> None:
    with lives.life() as app:
        with pytest.raises(UnknownExecutionError):
            app.restore("x", "a")
        stand(lives, app, "completed")
        before = app.history("x")
        with pytest.raises(InputError, match="no checkpoint 'markd' to go back to; did you mean 'marked'"):
            app.restore("x", "markd")
        assert app.history("x") == before
        assert app.list()[0].owner is None


def test_no_restore_of_what_another_runs(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: holds, with: {name: on}, checkpoint: one}")

    async def both(one: Orchestrator, two: Orchestrator) -> None:
        running = asyncio.create_task(one.arun(definition, execution_id="x"))
        while not (lives.folder / "witness").exists():
            await asyncio.sleep(0.002)
        with pytest.raises(OwnedElsewhereError):
            two.restore("x", "initial")
        lives.touch("on")
        await running

    with lives.life() as one, lives.life() as two:
        asyncio.run(both(one, two))


def test_the_checkpoints_of_an_execution(lives: Lives) -> None:
    definition = pipeline(
        "\n".join(f"- {{id: s{n}, set: {{v{n}: {n}}}}}" for n in range(30))
        + "\n- {id: named, do: work, checkpoint: here}\n- {id: big, do: work, important: true}"
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        found = app.checkpoints("x")
        assert found[0].step is None
        assert ("here", "named") in [(c.name, c.step) for c in found]
        assert "big" in [c.step for c in found]
        assert [c.position for c in found] == sorted(c.position for c in found)
        assert all(c.kept for c in found if c.name)
        automatic = [c for c in found if not c.name]
        assert automatic
        app.restore("x", automatic[-1].id)
        assert app.resume("x").status is ExecutionStatus.COMPLETED


def test_restore_after_what_was_half_done_has_failed(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: block, steps: [{id: one, do: work, with: {value: 1}}, {id: gate, signal: go, needs: [one]},
            {id: two, do: needs, with: {name: there, value: "${gate}"}}]}
        - {id: now, signal: now}
        - {id: mark, do: work, needs: [now], checkpoint: half}
        """,
        'block: "${block}"',
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        app.signal("x", "now")
        app.resume("x")
        app.signal("x", "go", 5)
        assert app.resume("x").failed_step == "block.two"
        lives.witnessed()
        app.restore("x", "half")
        lives.touch("there")
        assert app.resume("x").outputs == {"block": {"one": 1, "gate": 5, "two": 5}}
        assert lives.ran() == ["block.two"]


HALF_DONE = pipeline(
    """
    - id: loop
      for_each: [1, 2, 3]
      max_parallel: 1
      steps: [{id: a, do: add, with: {left: "${item}"}}, {id: gate, signal: "go${item}"}]
    - {id: block, steps: [{id: a, do: work, with: {value: 1}}, {id: gate, signal: goblock, needs: [a]}]}
    - {id: child, pipeline: sub}
    - {id: rounds, while: "${(rounds or 0) < 2}", steps: [{id: a, do: work}, {id: gate, signal: goround, needs: [a]}],
       output: "${gate}"}
    - {id: now, signal: now}
    - {id: mark, do: work, needs: [now], checkpoint: half}
    """,
    'all: "${[loop, block, child, rounds]}"',
    more="""
    pipelines:
      sub: {steps: [{id: v, set: {x: 1}}, {id: a, do: work, with: {value: "${x}"}},
        {id: gate, signal: gosub, needs: [a]}], outputs: {x: "${x}", gate: "${gate}"}}
    """,
)


@pytest.mark.parametrize("end", ["completed", "cancelled", "paused"])
def test_restore_into_the_middle_of_what_holds_steps(lives: Lives, end: str) -> None:
    """What was done of it at the checkpoint is kept, but for the rounds of a `while`, which begin anew."""

    def go(app: Orchestrator, *names: str) -> Any:
        for name in names:
            app.signal("x", name, 2)
        return app.resume("x")

    with lives.life() as app:
        app.run(HALF_DONE, execution_id="x")
        go(app, "go1")
        assert go(app, "now").status is ExecutionStatus.PAUSED
        lives.witnessed()
        if end == "completed":
            result = go(app, "go2", "go3", "goblock", "gosub", "goround")
            wanted = result.outputs
            assert wanted["all"][0][2] == {"a": 4, "gate": 2}
            assert lives.ran() == ["loop[1].a", "loop[2].a"][1:]
        elif end == "cancelled":
            go(app, "go2")
            app.cancel("x")
            assert lives.ran() == ["loop[2].a"]
        app.restore("x", "half")
        result = app.resume("x")
        assert result.status is ExecutionStatus.PAUSED or end == "completed"
        if end != "completed":
            result = go(app, *(["go3"] if end == "cancelled" else ["go2", "go3"]), "goblock", "gosub", "goround")
        assert result.outputs["all"] == [
            [{"a": n + 1, "gate": 2} for n in (1, 2, 3)],
            {"a": 1, "gate": 2},
            {"x": 1, "gate": 2},
            2,
        ]
        ran = lives.ran()
        assert set(ran) <= {"loop[1].a", "loop[2].a", "block.a", "child/a", "rounds[0].a"}, ran
        assert "loop[0].a" not in ran


# -- forks -------------------------------------------------------------------------------------------------------------


def copied(app: Orchestrator, source: str, fork: str) -> int:
    """How many entries of a fork are those of its source."""
    one, two = app.history(source), app.history(fork)
    forked = next(n for n, entry in enumerate(two) if isinstance(entry.event, ev.ExecutionForked))
    assert [e.event for e in one[1:forked]] == [e.event for e in two[1:forked]]
    assert isinstance(two[forked].event, ev.ExecutionForked)
    assert (two[forked].event.source, two[forked].event.position) == (source, forked)
    return forked


def test_a_fork_at_every_position_ends_as_its_source(lives: Lives) -> None:
    with lives.life() as app:
        stand(lives, app, "completed")
        before = app.history("x")
        for position in range(1, len(before) + 1):
            fork = app.fork("x", at=position, fork_id=f"at{position}")
            assert copied(app, "x", fork) == position
            result = app.resume(fork)
            if result.status is ExecutionStatus.PAUSED:  # before the signal came
                app.signal(fork, "go", 5)
                result = app.resume(fork)
            assert result.outputs == WANTED, position
            assert app.show(fork).forked_from == ("x", position)
        assert app.history("x") == before


@pytest.mark.parametrize("status", ["completed", "failed", "paused"])
def test_a_fork_of_the_whole_goes_on_where_its_source_stands(lives: Lives, status: str) -> None:
    with lives.life() as app:
        stand(lives, app, status)
        lives.witnessed()
        app.fork("x", fork_id="y")
        assert app.show("y").status is ExecutionStatus.PAUSED
        assert app.resume("y").outputs == WANTED
        assert lives.ran() == {"completed": [], "failed": ["last"], "paused": sorted([*INSIDE, "last"])}[status]


@pytest.mark.parametrize("by", ["cancelled", "approved"])
def test_a_fork_of_what_was_given_up_goes_on(lives: Lives, by: str) -> None:
    definition = pipeline("- {id: a, approve: Go?}\n- {id: b, do: work, with: {value: '${a.choice}'}}", 'b: "${b}"')
    with lives.life() as app:
        app.run(definition, execution_id="x")
        if by == "cancelled":
            app.cancel("x", "enough")
        app.fork("x", fork_id="y")
        if by == "approved":
            assert sorted(q.execution_id for q in app.approvals()) == ["x", "y"]
        result = app.resume("y")
        assert result.status is ExecutionStatus.PAUSED
        app.answer("y", "a", "approve", by="Ada")
        assert app.resume("y").outputs == {"b": "approve"}
        assert app.show("x").status is (ExecutionStatus.CANCELLED if by == "cancelled" else ExecutionStatus.PAUSED)


def test_a_fork_with_other_variables_from_a_step_on(lives: Lives) -> None:
    with lives.life() as app:
        stand(lives, app, "completed")
        lives.witnessed()
        app.fork("x", fork_id="y", variables={"count": 10}, from_step="later")
        assert app.resume("y").outputs == {"all": [*WANTED["all"][:2], 15]}
        assert lives.ran() == ["last"]
        app.fork("x", fork_id="z", from_step="loop[1].a")
        assert app.resume("z").outputs == WANTED
        assert lives.ran() == sorted(["loop[1].a", "loop[1].b", "child/two", "mark", "last"])
        assert app.show("x").outputs == app.show("z").outputs


def test_inputs_are_set_in_a_fork(lives: Lives) -> None:
    definition = pipeline(
        "- {id: a, do: add, with: {left: '${n}'}}", 'a: "${a}"\nn: "${n}"', "n: {type: integer, default: 1}"
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        app.fork("x", fork_id="y", variables={"n": 5}, from_step="a")
        assert app.resume("y").outputs == {"a": 6, "n": 5}


def test_a_fork_of_a_fork(lives: Lives) -> None:
    with lives.life() as app:
        stand(lives, app, "completed")
        app.fork("x", at="marked", fork_id="y", variables={"count": 2})
        app.resume("y")
        app.fork("y", at="marked", fork_id="z")
        assert app.resume("z").outputs == WANTED  # the checkpoint stands before what was set
        app.fork("y", fork_id="w", from_step="last")
        assert app.resume("w").outputs == {"all": [*WANTED["all"][:2], 7]}
        app.restore("z", "begun")
        assert app.resume("z").outputs == WANTED


def test_no_fork_of_nothing(lives: Lives) -> None:
    with lives.life() as app:
        with pytest.raises(UnknownExecutionError):
            app.fork("x")
        stand(lives, app, "completed")
        with pytest.raises(InputError, match="no checkpoint 'bgun'; did you mean 'begun'"):
            app.fork("x", at="bgun")
        for position in (0, 10**6):
            with pytest.raises(InputError, match="positions 1 to"):
                app.fork("x", at=position)
        with pytest.raises(InputError, match="already"):
            app.fork("x", fork_id="x")
        with pytest.raises(InputError, match="has not begun"):
            app.fork("x", at="begun", from_step="last")
        with pytest.raises(InputError, match="id of an execution"):
            app.fork("x", fork_id="a b")
        with pytest.raises(InputError, match=r"no variable 'cuont'; did you mean 'count'"):
            app.fork("x", variables={"cuont": 1})
        assert [found.execution_id for found in app.list()] == ["x"]


def test_large_values_are_shared(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: work, with: {value: \"${'x' * 300000}\"}}", 'n: "${a | length}"')
    with lives.life() as app:
        app.run(definition, execution_id="x")
        app.fork("x", fork_id="y", from_step="a")
        assert app.resume("y").outputs == {"n": 300000}
        assert app.show("x").steps[StepKey("a")].output == app.show("y").steps[StepKey("a")].output
    assert sum(f.stat().st_size for f in lives.folder.glob("journal.db*")) < 1_500_000


def test_a_fork_runs_while_its_source_does(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: a, do: work, with: {value: 1}, checkpoint: one}
        - {id: b, do: holds, with: {name: "${'x' if v == 1 else 'y'}", value: "${v}"}, needs: [a]}
        """,
        'b: "${b}"',
        "v: {type: integer, default: 1}",
    )

    async def both(app: Orchestrator) -> list[Any]:
        source = asyncio.create_task(app.arun(definition, execution_id="x"))
        while "b 1 1 begins" not in lives.witnessed():
            await asyncio.sleep(0.002)
        app.fork("x", at="one", fork_id="y", variables={"v": 2})
        fork = asyncio.create_task(app.aresume("y"))
        while "b 1 1 begins" not in lives.witnessed():
            await asyncio.sleep(0.002)
        lives.touch("y")
        found = [(await fork).outputs]
        lives.touch("x")
        return [*found, (await source).outputs]

    with lives.life() as app:
        assert asyncio.run(both(app)) == [{"b": 2}, {"b": 1}]


def test_an_attempt_that_runs_in_the_source_is_in_doubt_in_the_fork(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: holds, with: {name: on, value: 1}, effect: {in_doubt: ask}}", 'a: "${a}"')

    async def both(app: Orchestrator) -> None:
        source = asyncio.create_task(app.arun(definition, execution_id="x"))
        while not (lives.folder / "witness").exists():
            await asyncio.sleep(0.002)
        app.fork("x", fork_id="y")
        assert (await app.aresume("y")).waiting
        lives.touch("on")
        assert (await source).outputs == {"a": 1}

    with lives.life() as app:
        asyncio.run(both(app))
        assert app.show("y").steps[StepKey("a")].status is StepStatus.RUNNING


def test_a_fork_after_a_rollback_and_a_rerun(lives: Lives) -> None:
    definition = pipeline(
        """
        - {id: a, set: {n: 1}, checkpoint: base}
        - {id: b, do: needs, with: {name: there, value: "${n}"}, on_error: [{strategy: rollback, checkpoint: base}]}
        """,
        'b: "${b}"',
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="x").failed_step == "b"
        lives.touch("there")
        for position in range(1, len(app.history("x")) + 1):
            assert app.resume(app.fork("x", at=position)).outputs == {"b": 1}, position


def test_a_fork_in_the_middle_of_a_race_that_is_decided(lives: Lives) -> None:
    """Who has lost does not begin anew."""
    definition = pipeline(
        """
        - id: race
          parallel: [{id: fast, do: work, with: {value: 1}}, {id: slow, do: holds, with: {name: never}}]
          join: any
        """,
        'race: "${race}"',
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
        for position in range(1, len(app.history("x")) + 1):
            assert app.resume(app.fork("x", at=position)).outputs == {"race": {"fast": 1}}, position


def test_what_ended_begins_anew_as_a_whole_where_anything_inside_of_it_differs(lives: Lives) -> None:
    """The race gave the same in another round; a branch of it that failed did so at another time."""
    race = pipeline(
        """
        - {id: one, set: {a: 1}}
        - id: race
          important: true
          join: any
          parallel: [{id: fast, set: {b: 2}}, {id: bad, fail: not to be}]
        """,
        'race: "${race}"',
    )
    with lives.life() as app:
        assert app.run(race, execution_id="x").outputs == {"race": {"fast": {"b": 2}}}
        made = [found.id for found in app.checkpoints("x") if found.step == "race"]
        app.rerun("x", "race")
        app.restore("x", made[0])
        assert app.resume("x").outputs == {"race": {"fast": {"b": 2}}}
        steps = app.show("x").steps
        assert {key: step.status for key, step in steps.items()} == {
            "one": StepStatus.COMPLETED,
            "race": StepStatus.COMPLETED,
            "race.fast": StepStatus.COMPLETED,
            "race.bad": StepStatus.FAILED,
        }

"""One at a time for each concurrency key, starts that may be repeated, and a pause or a cancel from outside."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest
from tests.unit.execution.lives import HERE, Lives, lives, pipeline
from tests.verb_handlers import FOLDER

from orchestrator import ExecutionStatus, Orchestrator, Pipeline, StepStatus
from orchestrator.errors import (
    ConcurrencyBusyError,
    ExecutionFailedError,
    InputError,
    InterruptedExecution,
    NotResumableError,
    UnknownExecutionError,
)
from orchestrator.journal import events as ev
from orchestrator.testing.clock import FakeClock
from orchestrator.types import StepKey

__all__ = ["lives"]


def keyed(busy: str, more: str = "") -> Pipeline:
    return pipeline(
        '- {id: a, do: holds, with: {name: "${\'go\' ~ who}", value: "${who}"}}\n' + more,
        'a: "${a}"',
        "who: {type: string}\ncustomer: {type: string, default: c}",
        f'concurrency: {{key: "of ${{customer}}", when_busy: {busy}}}\n',
    )


async def until(told: Any) -> None:
    while not told():
        await asyncio.sleep(0.002)


def seen(lives: Lives, line: str) -> bool:
    path = lives.folder / "witness"
    return path.exists() and line in path.read_text().splitlines()


def begun(lives: Lives) -> int:
    path = lives.folder / "witness"
    return path.read_text().count("begins") if path.exists() else 0


def test_queue_runs_one_after_the_other(lives: Lives) -> None:
    definition = keyed("queue")

    async def three(app: Orchestrator) -> None:
        tasks = []
        for who in "123":
            tasks.append(asyncio.create_task(app.arun(definition, {"who": who}, execution_id=who)))
            await until(lambda who=who: any(s.execution_id == who for s in app.list()))
        await until(lambda: begun(lives) == 1)
        for n, who in enumerate("123", 1):
            assert begun(lives) == n  # nobody else began
            lives.touch(f"go{who}")
            assert (await tasks[n - 1]).outputs == {"a": who}
            if n < 3:
                await until(lambda n=n: begun(lives) == n + 1)

    with lives.life() as app:
        asyncio.run(three(app))
        assert {s.concurrency_key for s in app.list()} == {"of c"}


def test_another_key_does_not_wait(lives: Lives) -> None:
    definition = keyed("refuse")

    async def two(app: Orchestrator) -> None:
        one = asyncio.create_task(app.arun(definition, {"who": "1"}))
        await until(lambda: begun(lives) == 1)
        two = asyncio.create_task(app.arun(definition, {"who": "2", "customer": "d"}))
        await until(lambda: begun(lives) == 2)
        for name in ("go1", "go2"):
            lives.touch(name)
        assert [(await task).outputs["a"] for task in (one, two)] == ["1", "2"]

    with lives.life() as app:
        asyncio.run(two(app))


def test_refuse(lives: Lives) -> None:
    definition = keyed("refuse")

    async def two(app: Orchestrator) -> None:
        one = asyncio.create_task(app.arun(definition, {"who": "1"}, execution_id="one"))
        await until(lambda: begun(lives) == 1)
        with pytest.raises(ConcurrencyBusyError, match="'of c'") as found:
            await app.arun(definition, {"who": "2"}, execution_id="two")
        assert found.value.holder == "one"
        lives.touch("go1")
        await one
        lives.touch("go2")
        assert (await app.arun(definition, {"who": "2"}, execution_id="two")).outputs == {"a": "2"}

    with lives.life() as app:
        asyncio.run(two(app))


def test_of_two_that_begin_at_once_one_is_refused(lives: Lives) -> None:
    definition = keyed("refuse")
    for name in ("go1", "go2"):
        lives.touch(name)

    async def both(one: Orchestrator, two: Orchestrator) -> list[Any]:
        runs = [app.arun(definition, {"who": who}, execution_id=who) for app, who in ((one, "1"), (two, "2"))]
        return await asyncio.gather(*runs, return_exceptions=True)

    with lives.life() as one, lives.life() as two:
        found = asyncio.run(both(one, two))
        refused = [r for r in found if isinstance(r, ConcurrencyBusyError)]
        assert len(refused) in (0, 1)  # none where the one was over before the other was made
        assert all(s.status is not ExecutionStatus.PENDING for s in one.list())


def test_cancel_older(lives: Lives) -> None:
    definition = keyed("cancel_older", "- {id: never, signal: none}")

    async def three(app: Orchestrator) -> None:
        app_list = lambda: {s.execution_id: s.status for s in app.list()}  # noqa: E731
        paused = await app.arun(
            keyed("queue", "- {id: never, signal: none, needs: [a]}"), {"who": "0"}, execution_id="0"
        )
        assert paused.status is ExecutionStatus.PAUSED
        one = asyncio.create_task(app.arun(definition, {"who": "1"}, execution_id="1"))
        await until(lambda: seen(lives, "a 1 1 begins") and begun(lives) == 2)
        assert app_list()["0"] is ExecutionStatus.CANCELLED
        two = asyncio.create_task(app.arun(definition, {"who": "2"}, execution_id="2"))
        assert (await one).status is ExecutionStatus.CANCELLED
        await until(lambda: begun(lives) == 3)
        lives.touch("go2")
        assert (await two).status is ExecutionStatus.PAUSED
        record = app.show("1")
        assert record.cancel is not None
        assert (record.cancel.reason, record.cancel.by) == ("2 is newer", "its concurrency key")

    lives.touch("go0")
    with lives.life() as app:
        asyncio.run(three(app))


def test_a_paused_holder_keeps_its_key_and_a_cancelled_one_in_the_queue_goes(lives: Lives) -> None:
    waiting = keyed("queue", "- {id: gate, signal: go, needs: [a]}")
    for who in "123":
        lives.touch(f"go{who}")
    with lives.life() as app:
        app.run(waiting, {"who": "1"}, execution_id="1")
        assert app.start(waiting, {"who": "2"}, execution_id="2") == "2"
        app.start(waiting, {"who": "3"}, execution_id="3")
        for queued in ("2", "3"):
            with pytest.raises(ConcurrencyBusyError, match="execution 1 has" if queued == "2" else "."):
                app.resume(queued)
        app.pause("1", "lunch")
        with pytest.raises(ConcurrencyBusyError):
            app.resume("2")
        app.cancel("2", "not needed")
        assert app.show("2").status is ExecutionStatus.CANCELLED
        assert "a" not in app.show("2").steps
        app.signal("1", "go")
        assert app.resume("1").status is ExecutionStatus.COMPLETED
        assert app.resume("3").status is ExecutionStatus.PAUSED
        assert lives.witnessed().count("a 1 1 begins") == 2


def test_a_fork_has_the_key_of_its_source(lives: Lives) -> None:
    lives.touch("go1")
    waiting = keyed("queue", "- {id: gate, signal: go, needs: [a]}")
    with lives.life() as app:
        app.run(waiting, {"who": "1"}, execution_id="1")
        app.fork("1", fork_id="2")
        with pytest.raises(ConcurrencyBusyError):
            app.resume("2")
        app.signal("1", "go")
        app.resume("1")
        assert app.resume("2").status is ExecutionStatus.PAUSED


RUN = """
import sys
from tests.unit.execution.test_concurrency import keyed
from orchestrator import Orchestrator
with Orchestrator(sys.argv[1], durability="process") as app:
    print(app.run(keyed("queue"), {"who": sys.argv[2]}, execution_id=sys.argv[3]).outputs)
"""


def process(lives: Lives, who: str, id_: str) -> subprocess.Popen[str]:
    environment = {**os.environ, FOLDER: str(lives.folder), "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, "-c", RUN, str(lives.folder / "journal.db"), who, id_]
    return subprocess.Popen(command, cwd=HERE.parent, env=environment, text=True, stdout=subprocess.PIPE)


def test_over_processes_one_waits_for_its_turn_and_one_for_the_result(lives: Lives) -> None:
    lives.clock = FakeClock()

    async def together() -> None:
        with Orchestrator(lives.folder / "journal.db", durability="process") as app:
            first = process(lives, "1", "x")
            try:
                await until(lambda: begun(lives) == 1)
                queued = asyncio.create_task(app.arun(keyed("queue"), {"who": "2"}, execution_id="y"))
                same = asyncio.create_task(app.arun(keyed("queue"), {"who": "1"}, execution_id="x"))
                with pytest.raises(InputError, match="with other inputs"):
                    await app.arun(keyed("queue"), {"who": "2"}, execution_id="x")
                await until(lambda: len(app.list()) == 2)
                lives.touch("go1")
                assert (await same).outputs == {"a": "1"}
                await until(lambda: begun(lives) == 2)
                lives.touch("go2")
                assert (await queued).outputs == {"a": "2"}
                assert first.communicate(timeout=10)[0] == "{'a': '1'}\n"
            finally:
                first.kill()
                first.wait()

    asyncio.run(together())


# -- starts that may be repeated ---------------------------------------------------------------------------------------


def test_the_same_start_again_attaches(lives: Lives) -> None:
    definition = pipeline(
        "- {id: a, do: work, with: {value: '${n}'}}\n- {id: g, signal: go}", 'a: "${a}"', "n: {type: integer}"
    )
    with lives.life() as app:
        assert app.start(definition, {"n": 1}, execution_id="x") == "x"
        assert app.start(definition, {"n": 1}, execution_id="x") == "x"
        assert app.run(definition, {"n": 1}, execution_id="x").status is ExecutionStatus.PAUSED
        for verb in (app.run, app.start):
            with pytest.raises(InputError, match="with other inputs; choose another id"):
                verb(definition, {"n": 2}, execution_id="x")
            with pytest.raises(InputError, match="with another pipeline; choose another id"):
                verb(pipeline("- {id: b, do: work}", inputs="n: {type: integer}"), {"n": 1}, execution_id="x")
        app.signal("x", "go")
        assert app.run(definition, {"n": 1}, execution_id="x").outputs == {"a": 1}
        assert app.run(definition, {"n": 1}, execution_id="x").outputs == {"a": 1}
        assert lives.ran() == ["a"]


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "paused"])
def test_who_attaches_while_another_runs_it_gets_its_result(lives: Lives, end: str) -> None:
    definition = pipeline(
        f"- {{id: a, do: holds, with: {{name: on, value: 1}}}}\n"
        f"- {{id: b, do: needs, with: {{name: {'nothing' if end == 'failed' else 'on'}}}, needs: [a]}}",
        'a: "${a}"',
    )

    async def both(one: Orchestrator, two: Orchestrator) -> list[Any]:
        first = asyncio.create_task(one.arun(definition, execution_id="x"))
        await until(lambda: begun(lives) == 1)
        second = asyncio.create_task(two.arun(definition, execution_id="x"))
        third = asyncio.create_task(one.arun(definition, execution_id="x"))
        await asyncio.sleep(0)
        if end == "cancelled":
            await two.acancel("x", "enough")
        elif end == "paused":
            await one.apause("x", "lunch")
            await asyncio.sleep(0.02)
        if end != "cancelled":
            lives.touch("on")
        return await asyncio.gather(first, second, third)

    lives.clock = None  # type: ignore[assignment]
    with lives.life(clock=None) as one, lives.life(clock=None) as two:
        results = asyncio.run(both(one, two))
    assert {result.status for result in results} == {end}
    assert begun(lives) == 1


def test_two_identical_starts_at_once(lives: Lives) -> None:
    lives.touch("on")
    definition = pipeline("- {id: a, do: holds, with: {name: on, value: 1}}", 'a: "${a}"')

    async def both(one: Orchestrator, two: Orchestrator) -> list[Any]:
        return await asyncio.gather(*(app.arun(definition, execution_id="x") for app in (one, two, one, two)))

    with lives.life() as one, lives.life() as two:
        assert [result.outputs for result in asyncio.run(both(one, two))] == [{"a": 1}] * 4
    assert begun(lives) == 1


def test_who_follows_goes_on_where_the_other_dies(lives: Lives) -> None:
    definition = pipeline("- {id: a, do: dies, with: {value: 1}}", 'a: "${a}"')
    lives.dying(lambda app: app.run(definition, execution_id="x"))
    with lives.life() as app:
        assert app.run(definition, execution_id="x").outputs == {"a": 1}


# -- pause and cancel --------------------------------------------------------------------------------------------------

NESTED = pipeline(
    """
    - {id: before, do: work}
    - id: loop
      for_each: [1, 2]
      steps: [{id: one, do: work}, {id: held, do: holds, with: {name: "${'go' ~ item}"}, needs: [one]}]
    - {id: child, pipeline: sub}
    - {id: gate, signal: never}
    - {id: after, do: work, needs: [loop, child]}
    """,
    more="""
    finally:
      - {id: tidy, do: work, with: {value: "${outcome.status}"}}
    pipelines:
      sub:
        steps: [{id: one, do: work}, {id: held, do: holds, with: {name: go3}, needs: [one]}]
        finally: [{id: tidy, do: work, with: {value: "${outcome.status}"}}]
        outputs: {x: "${one}"}
    """,
)


async def under_way(app: Orchestrator, lives: Lives, definition: Pipeline, count: int) -> asyncio.Task[Any]:
    task = asyncio.create_task(app.arun(definition, execution_id="x"))
    await until(lambda: begun(lives) == count)
    return task


@pytest.mark.parametrize("elsewhere", [False, True])
def test_cancel_reaches_everything_and_tidies_up(lives: Lives, elsewhere: bool) -> None:
    async def cancelled(app: Orchestrator, other: Orchestrator) -> Any:
        task = await under_way(app, lives, NESTED, 3)
        await (other if elsewhere else app).acancel("x", "enough", "Ada")
        return await task

    with lives.life(clock=None) as app, lives.life(clock=None) as other:
        result = asyncio.run(cancelled(app, other))
        assert (result.status, result.reason) == (ExecutionStatus.CANCELLED, "enough")
        with pytest.raises(ExecutionFailedError, match="execution x was cancelled: enough"):
            result.raise_for_status()
        record = app.show("x")
    statuses = {key: step.status for key, step in record.steps.items()}
    held = ["loop[0].held", "loop[1].held", "child/held", "gate", "loop", "loop[0]", "loop[1]", "child"]
    assert {statuses[StepKey(key)] for key in held} == {StepStatus.CANCELLED}
    assert {statuses[StepKey(k)] for k in ("before", "loop[0].one", "child/tidy", "tidy")} == {StepStatus.COMPLETED}
    assert "after" not in statuses
    assert "ended" in record.steps[StepKey("child/held")].reason
    assert record.cancel is not None
    assert record.cancel.by == "Ada"
    lines = lives.witnessed()
    assert not [line for line in lines if line.endswith("ends")]
    assert lines.index("child/tidy 1 1") < lines.index("tidy 1 1")


def test_pause_lets_what_runs_end_and_starts_nothing(lives: Lives) -> None:
    async def paused(app: Orchestrator) -> Any:
        task = await under_way(app, lives, NESTED, 3)
        await app.apause("x", "lunch", "Ada")
        await app.apause("x", "lunch", "Bob")  # twice harms nobody
        for n in "123":
            lives.touch(f"go{n}")
        return await task

    with lives.life(clock=None) as app:
        result = asyncio.run(paused(app))
        assert (result.status, result.reason, result.waits) == (ExecutionStatus.PAUSED, "paused by Ada: lunch", False)
        record = app.show("x")
        assert record.steps[StepKey("loop[0].held")].status is StepStatus.COMPLETED
        assert "after" not in record.steps
        assert not app.store.inbox("x")  # type: ignore[arg-type]
        lives.witnessed()
        assert app.resume("x").status is ExecutionStatus.PAUSED  # for the signal
        assert lives.ran() == ["after", "child/tidy"]


@pytest.mark.parametrize("state", ["queued", "waiting", "paused", "abandoned"])
@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_what_nobody_runs_is_paused_or_cancelled_on_the_spot(lives: Lives, state: str, verb: str) -> None:
    definition = pipeline(
        "- {id: a, do: dies}\n- {id: gate, signal: go, needs: [a]}\n- {id: b, do: work, needs: [gate]}",
        more="finally:\n  - {id: tidy, do: work}\n",
    )
    if state == "abandoned":
        lives.dying(lambda app: app.run(definition, execution_id="x"))
    with lives.life() as app:
        if state == "queued":
            app.start(definition, execution_id="x")
        elif state != "abandoned":
            app.run(definition, execution_id="x")
        if state == "paused":
            app.pause("x", "lunch")
        lives.witnessed()
        getattr(app, verb)("x", "enough", "Ada")
        found = app.list()[0]
        assert (found.owner, found.next_due) == (None, None)
        if verb == "pause":
            assert (found.status, found.message) == (ExecutionStatus.PAUSED, "paused by Ada: enough")
            assert lives.ran() == []
            app.signal("x", "go")
            assert app.list()[0].next_due is None  # no message wakes what a person paused
            assert app.resume("x").status is ExecutionStatus.COMPLETED
        else:
            assert (found.status, app.show("x").pause_reason) == (ExecutionStatus.CANCELLED, "enough")
            assert lives.ran() == ([] if state == "queued" else ["tidy"])  # nothing of it had begun
            for again in (app.cancel, app.pause):
                with pytest.raises(NotResumableError, match="x is cancelled; there is nothing to"):
                    again("x")
        assert not app.store.inbox("x")  # type: ignore[arg-type]


def test_no_pause_or_cancel_of_nothing(lives: Lives) -> None:
    with lives.life() as app:
        for verb in (app.cancel, app.pause):
            with pytest.raises(UnknownExecutionError):
                verb("x")


@pytest.mark.parametrize("verb", ["acancel", "apause"])
def test_one_that_comes_as_it_ends_is_too_late_or_not(lives: Lives, verb: str) -> None:
    definition = pipeline("- {id: a, do: holds, with: {name: on}}")

    async def race(app: Orchestrator, other: Orchestrator, passes: int) -> Any:
        task = asyncio.create_task(app.arun(definition, execution_id=f"x{passes}"))
        for _ in range(passes * 3):
            await asyncio.sleep(0)
        await until(lambda: any(s.execution_id == f"x{passes}" for s in app.list()))
        try:
            await getattr(other, verb)(f"x{passes}")
        except NotResumableError:
            assert (await task).status is ExecutionStatus.COMPLETED
        result = await task
        assert app.list()[0].owner is None
        return result.status

    lives.touch("on")
    with lives.life() as app:
        ends = {asyncio.run(race(app, app, passes)) for passes in range(8)}
        assert ends <= {"cancelled", "paused", "completed"}


def test_cancel_while_finally_runs_lets_it_end(lives: Lives) -> None:
    definition = pipeline(
        "- {id: a, do: work}",
        more="finally:\n  - {id: tidy, do: holds, with: {name: on}}\n  - {id: more, do: work, needs: [tidy]}\n",
    )

    async def cancelled(app: Orchestrator, first: str) -> Any:
        task = await under_way(app, lives, definition, 1)
        await app.acancel("x", "enough")
        await asyncio.sleep(0.02)
        lives.touch("on")
        return await task

    with lives.life(clock=None) as app:
        result = asyncio.run(cancelled(app, ""))
        assert [line for line in lives.witnessed() if "a 1" not in line] == [
            "tidy 1 1 begins",
            "tidy 1 1 ends",
            "more 1 1",
        ]
        assert result.status in (ExecutionStatus.CANCELLED, ExecutionStatus.COMPLETED)


def test_what_never_began_has_nothing_to_tidy_up(lives: Lives) -> None:
    """One that is cancelled while it queues leaves alone what the holder of the key uses."""
    definition = pipeline(
        "- {id: hold, signal: go}",
        inputs="",
        more="""
    concurrency: {key: machine}
    finally:
      - {id: stop, do: work, with: {value: 1}}
    """,
    )
    with lives.life() as app:
        assert app.run(definition, execution_id="a").status is ExecutionStatus.PAUSED
        app.start(definition, execution_id="b")
        app.cancel("b")
        assert app.show("b").status is ExecutionStatus.CANCELLED
        assert lives.witnessed() == []
        app.cancel("a")
        assert [line.split()[0] for line in lives.witnessed()] == ["stop"]


def test_cancel_twice_and_after_a_restart_goes_on_cancelling(lives: Lives) -> None:
    definition = pipeline(
        "- {id: a, do: work}\n- {id: gate, signal: go}",
        more="finally:\n  - {id: tidy, do: dies}\n",
    )
    with lives.life() as app:
        app.run(definition, execution_id="x")
    lives.dying(lambda app: app.cancel("x", "enough"))
    lives.witnessed()
    with lives.life() as app:
        assert app.show("x").cancel is not None
        assert app.resume("x").status is ExecutionStatus.CANCELLED
        assert lives.ran() == ["tidy"]
        assert sum(isinstance(e.event, ev.CancelRequested) for e in app.history("x")) == 1


def test_a_late_result_is_refused(lives: Lives) -> None:
    """A handler in a thread cannot be ended: its result comes when the step is cancelled, and counts for nothing."""
    (lives.folder / "late_handler.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "def late(path):\n"
        "    Path(path, 'witness').write_text('begins')\n"
        "    while not Path(path, 'on').exists(): time.sleep(0.002)\n"
        "    Path(path, 'late').touch()\n"
        "    return 'late'\n"
    )
    definition = Pipeline.from_canonical(
        {"pipeline": "p", "steps": [{"id": "a", "call": "late_handler:late", "with": {"path": str(lives.folder)}}]},
        str(lives.folder),
    )

    async def cancelled(app: Orchestrator) -> Any:
        task = await under_way(app, lives, definition, 1)
        await app.acancel("x")
        await asyncio.sleep(0.05)
        lives.touch("on")
        result = await task
        await until((lives.folder / "late").exists)
        return result

    with lives.life(clock=None) as app:
        assert asyncio.run(cancelled(app)).status is ExecutionStatus.CANCELLED
        step = app.show("x").steps[StepKey("a")]
        assert (step.status, step.output) == (StepStatus.CANCELLED, None)
        assert not any(isinstance(e.event, ev.StepSucceeded) for e in app.history("x"))


def test_an_interrupt_ends_the_wait_for_a_turn(lives: Lives) -> None:
    async def both(app: Orchestrator) -> Any:
        lives.touch("go1")
        await app.arun(keyed("queue", "- {id: gate, signal: go, needs: [a]}"), {"who": "1"})
        queued = asyncio.create_task(app.arun(keyed("queue"), {"who": "2"}))
        await until(lambda: len(app.list()) == 2)
        app.interrupt()
        return await queued

    with lives.life() as app:
        result = asyncio.run(both(app))
        assert result.status is ExecutionStatus.PENDING
        with pytest.raises(InterruptedExecution, match="go on with"):
            result.raise_for_status()

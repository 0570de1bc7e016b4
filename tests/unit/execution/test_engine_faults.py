"""What must not break the engine: errors that cannot be told, stores that fail, callers and handlers that cancel."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_handlers import WITNESS

from orchestrator import ExecutionStatus, Orchestrator, Pipeline, StepStatus
from orchestrator.errors import IllegalMoveError, OrchestratorError, StoreError
from orchestrator.execution.engine import drive
from orchestrator.execution.integration import Session
from orchestrator.journal import events as ev
from orchestrator.journal.store import Lease
from orchestrator.pipelines.plan import make_plan
from orchestrator.storage import open_store, this_owner
from orchestrator.types import ExecutionId

HERE = Path(__file__).parents[2]


def pipeline(*steps: dict[str, Any], **outputs: str) -> Pipeline:
    return Pipeline.from_canonical({"pipeline": "p", "steps": list(steps), "outputs": outputs}, str(HERE))


def call(id_: str, handler: str, **rest: Any) -> dict[str, Any]:
    return {"id": id_, "call": f"engine_handlers:{handler}", **rest}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Orchestrator]:
    with Orchestrator(tmp_path / "journal.db") as orchestrator:
        yield orchestrator


@pytest.mark.parametrize("handler", ["wordless", "undecodable", "verbose"])
@pytest.mark.parametrize("runner", [None, "process"])
def test_an_error_that_cannot_be_told_still_fails_its_step_alone(
    app: Orchestrator, handler: str, runner: str | None
) -> None:
    where = {"runner": runner} if runner else {}
    innocent = pipeline(call("long", "slow_async", **{"with": {"seconds": 0.2}}))

    async def both() -> list[Any]:
        bad = app.arun(pipeline(call("a", handler, **where)))
        return await asyncio.gather(app.arun(innocent), bad)

    good, failed = asyncio.run(both())
    assert good.status is ExecutionStatus.COMPLETED
    assert failed.failed_step == "a"
    assert len(failed.error["message"]) < 9000
    assert app.show(failed.execution_id).status is ExecutionStatus.FAILED


def test_a_handlers_own_store_error_fails_its_step_and_is_retried(
    app: Orchestrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WITNESS, str(tmp_path / "witness"))
    retry = {"max_attempts": 2, "initial_delay": 0.001, "on": ["execution"]}
    result = app.run(pipeline(call("a", "of_another_store", retry=retry)))
    assert result.failed_step == "a"
    assert len((tmp_path / "witness").read_text().splitlines()) == 2


def test_a_store_that_fails_while_the_outputs_are_made_fails_no_execution(tmp_path: Path) -> None:
    class Flawed:
        """Puts one blob, then is full until it is mended."""

        def __init__(self) -> None:
            self.inner, self.puts = open_store(str(tmp_path / "j.db")), 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def put_blobs(self, blobs: Any) -> None:
            self.puts += 1
            if self.puts == 2:
                raise StoreError("no room left on the disk")
            self.inner.put_blobs(blobs)

    app = Orchestrator(Flawed())  # type: ignore[arg-type]  # the rest is there
    with pytest.raises(StoreError, match="no room"):
        app.run(pipeline(call("a", "large", **{"with": {"size": 200_000}}), a="${a}", b="${a}"), execution_id="x")
    assert app.show("x").status is ExecutionStatus.RUNNING
    assert app.resume("x").status is ExecutionStatus.COMPLETED


def test_a_refused_claim_gives_the_lease_back(tmp_path: Path) -> None:
    class Flawed:
        """Cannot be read while `broken`."""

        broken = False

        def __init__(self) -> None:
            self.inner = open_store(str(tmp_path / "j.db"))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def read(self, *arguments: Any) -> Any:
            if self.broken:
                raise StoreError("the disk hiccups")
            return self.inner.read(*arguments)

    store = Flawed()
    app = Orchestrator(store)  # type: ignore[arg-type]  # the rest is there
    asyncio.run(_interrupted(app, pipeline(call("a", "slow_async", **{"with": {"seconds": 0.2}})), after=0.1))
    store.broken = True
    with pytest.raises(StoreError, match="hiccups"):
        app.resume("x")
    store.broken = False
    assert app.resume("x").status is ExecutionStatus.COMPLETED


async def _interrupted(app: Orchestrator, definition: Pipeline, after: float) -> Any:
    task = asyncio.create_task(app.arun(definition, execution_id="x"))
    await asyncio.sleep(after)
    app.interrupt()
    return await task


def test_a_caller_that_cancels_pauses_and_it_counts_as_no_crash(app: Orchestrator) -> None:
    definition = pipeline(call("a", "slow_async", **{"with": {"seconds": 0.3}}))

    async def impatient(go: Callable[[], Any]) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(go(), 0.05)

    asyncio.run(impatient(lambda: app.arun(definition, execution_id="x")))
    for _ in range(12):
        assert app.list()[0].status is ExecutionStatus.PAUSED
        asyncio.run(impatient(lambda: app.aresume("x")))
    assert app.show("x").claims_without_progress == 0
    assert app.resume("x").status is ExecutionStatus.COMPLETED


def test_a_handler_that_cancels_the_engines_tasks_hangs_nothing(app: Orchestrator) -> None:
    waits = call("b", "fail_until", **{"with": {"attempt": 9, "kind": "ConnectionError"}}, retry={"initial_delay": 60})
    definition = pipeline(waits, call("a", "cancels_others", retry={"max_attempts": 1}))
    with pytest.raises(OrchestratorError, match="cancelled by somebody else"):
        app.run(definition, execution_id="x")
    assert app.list()[0].owner is None


def test_a_step_that_was_asked_for_again_keeps_its_retries_beside_another_failure(
    app: Orchestrator, tmp_path: Path
) -> None:
    definition = pipeline(
        call("a", "fail_until", **{"with": {"attempt": 99, "kind": "ValueError"}}),
        call("b", "fail_in_order", **{"with": {"folder": str(tmp_path)}}, retry={"initial_delay": 0.01}),
    )
    assert app.run(definition, execution_id="x").status is ExecutionStatus.FAILED
    assert app.retry("x", "b").failed_step == "a"
    step = app.show("x").steps["b"]  # type: ignore[index]
    assert (step.status, step.generation, step.attempt) == (StepStatus.COMPLETED, 2, 2)


def test_nothing_is_recorded_after_the_last_event_of_a_life(app: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grace ends while the last record waits for a store that another process holds."""
    monkeypatch.setattr(drive, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(drive, "_LAST_SECONDS", 0.05)
    definition = pipeline(call("a", "slow_async", **{"with": {"seconds": 0.1}}))

    async def go() -> Any:
        flush, held = app.store.flush, [False]

        def slow_flush(*, blocking: bool = True) -> bool:
            if held[0] and not blocking:
                return False
            if held[0]:
                stalled_for.wait(0.5)
            return flush(blocking=blocking)

        stalled_for = threading.Event()
        monkeypatch.setattr(app.store, "flush", slow_flush)
        task = asyncio.create_task(app.arun(definition, execution_id="x"))
        await asyncio.sleep(0.05)
        held[0] = True
        await asyncio.sleep(0.1)
        app.interrupt()
        await asyncio.sleep(0.4)
        held[0] = False
        return await task

    first = asyncio.run(go())
    kinds = [type(entry.event) for entry in app.history("x")]
    assert kinds[-1] in (ev.ExecutionCompleted, ev.ExecutionPaused)
    assert not {ev.ExecutionCompleted, ev.ExecutionPaused} <= set(kinds)
    assert first.status in (ExecutionStatus.COMPLETED, ExecutionStatus.PAUSED)
    assert app.resume("x").status is ExecutionStatus.COMPLETED


def test_a_large_value_is_decoded_once_for_all_items_of_a_loop(
    app: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[bytes] = []
    get_blob = app.store.get_blob

    def counted(blob: Any) -> bytes:
        reads.append(blob)
        return get_blob(blob)

    monkeypatch.setattr(app.store, "get_blob", counted)
    loop = {"for_each": "${range(200)}", "with": {"left": "${item + a.n}"}}
    result = app.run(
        pipeline(call("a", "large", **{"with": {"size": 300_000}}), call("b", "add_async", **loop), last="${b[199]}")
    )
    assert result.outputs == {"last": 201}
    assert len(reads) < 10


def test_a_session_refuses_what_comes_after_its_end(app: Orchestrator) -> None:
    plan = make_plan(pipeline({"id": "a", "set": {"x": 1}}))
    session = Session.open(app.store, Lease(ExecutionId("y"), this_owner(app.clock), 1), plan, app.clock)
    session.add((ev.ExecutionClaimed("me", 1), ev.ExecutionPaused("enough")))
    with pytest.raises(IllegalMoveError):
        session.add((ev.ExecutionPaused("again"),))

"""`orchestrator scheduler` and `recover`: going on with whatever is to go on, for as long as one likes or once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from orchestrator.cli.options import address, is_missing, json_option, location_of, store_option

if TYPE_CHECKING:
    import asyncio

    from orchestrator.cli.paper import Paper
    from orchestrator.scheduling import Scheduler, Turn

#: What is done with the scheduler, until the event that the first Ctrl-C sets.
Serve: TypeAlias = "Callable[[Scheduler, asyncio.Event], Awaitable[Any]]"

_AT_ONCE = click.option(
    "--at-once", type=click.IntRange(min=1), default=100, show_default=True, help="So many executions run at a time."
)
_DURABILITY = click.option(
    "--durability",
    type=click.Choice(["disk", "process"]),
    default="disk",
    show_default=True,
    help="What a recorded result survives: a loss of power (disk) or the death of this process (process).",
)


@click.command()
@_AT_ONCE
@_DURABILITY
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, for programs.")
def scheduler(at_once: int, durability: str, store: str | None, as_json: bool) -> int:
    """Go on with what is due, queued or abandoned, until Ctrl-C.

    It wakes what waits when its time has come, or when a signal or an answer came for it; begins what queues, one at a
    time of each concurrency key; and carries on what lies abandoned since its process died. One line per event. Several
    may serve one store. The handlers are imported as for `resume`.

    Ctrl-C gives what runs ten seconds to end and gives it back, for the next scheduler; twice ends at once.
    """

    async def serve(scheduler: Scheduler, stop: asyncio.Event) -> None:
        await scheduler.run(stop)

    told = _Told(_paper(), as_json)
    if not as_json:
        told.paper.line(f"serving {location_of(address(store))}; Ctrl-C ends it")
        told.paper.stream.flush()
    _serve(store, durability, at_once, told, serve)
    return 0


@click.command()
@_AT_ONCE
@_DURABILITY
@store_option
@json_option
def recover(at_once: int, durability: str, store: str | None, as_json: bool) -> int:
    """Carry on what lies abandoned, once, and end.

    Abandoned is what a process ran that is gone. Each is gone on with until it has ended, or waits for what is not
    near. Exit code 0, or 1 where one of them failed or could not be gone on with.
    """
    import asyncio

    from orchestrator.cli.exits import ExitCode

    async def serve(scheduler: Scheduler, stop: asyncio.Event) -> None:
        work = asyncio.ensure_future(scheduler.recover())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()  # it gives back what runs
        stopped.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)

    told = _Told(_paper(), as_json=False)
    told.silent = as_json
    where = address(store)
    stopped = _serve(store, durability, at_once, told, serve) if not is_missing(where) else False
    if as_json:
        told.paper.json([_data(turn) for turn in told.over])
    elif not told.over:
        told.paper.lines(told.paper.prose(f"nothing lies abandoned in {location_of(where)}"))
    if stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if any(_went_wrong(turn) for turn in told.over) else ExitCode.DONE


class _Told:
    """Tells of each turn, and keeps those that are over."""

    def __init__(self, paper: Paper, as_json: bool) -> None:
        self.paper, self._as_json, self.silent = paper, as_json, False
        self.over: list[Turn] = []
        self._told_of: dict[str, str] = {}

    def _is_no_news(self, turn: Turn) -> bool:
        """Whether it was told before why one cannot be gone on with; that somebody else was first is no news at all."""
        from orchestrator.errors import ConcurrencyBusyError, NotResumableError, OwnedElsewhereError

        if turn.error is None:
            return False
        before = self._told_of.get(turn.execution_id)
        self._told_of[turn.execution_id] = str(turn.error)
        return before == str(turn.error) or isinstance(
            turn.error, OwnedElsewhereError | ConcurrencyBusyError | NotResumableError
        )

    def __call__(self, turn: Turn) -> None:
        from orchestrator.cli.words import moment, one_line
        from orchestrator.clock import SystemClock

        if turn.is_over:
            self.over.append(turn)
        if self.silent or self._is_no_news(turn):
            return
        if self._as_json:
            self.paper.line(json.dumps(_data(turn), ensure_ascii=False))
        else:
            told = _outcome(turn) if turn.is_over else f"goes on: it was {turn.why}"
            sign = self.paper.symbol(_sign(turn))
            self.paper.line(f"{moment(SystemClock().time())}  {sign} {turn.execution_id} {one_line(told)}")
        self.paper.stream.flush()


def _paper() -> Paper:
    from orchestrator.cli.paper import Paper

    return Paper(sys.stdout)


def _serve(store: str | None, durability: str, at_once: int, told: _Told, serve: Serve) -> bool:
    """Serve in front of a person; whether Ctrl-C ended it."""
    import asyncio
    import logging

    from orchestrator.app import Orchestrator
    from orchestrator.cli.exits import ExitCode
    from orchestrator.cli.signals import Interrupts
    from orchestrator.scheduling import Scheduler

    said = logging.StreamHandler()  # what concerns one execution is told by `told`
    said.addFilter(lambda record: "is put off" not in record.getMessage())
    logging.getLogger("orchestrator.scheduling").addHandler(said)
    logging.getLogger("orchestrator.scheduling").propagate = False
    with Orchestrator(store, durability=durability, capture_prints=True) as orchestrator:

        async def on_loop() -> bool:
            loop, stop = asyncio.get_running_loop(), asyncio.Event()
            scheduler = Scheduler(orchestrator, max_running=at_once, on_event=told)

            def end() -> None:
                loop.call_soon_threadsafe(stop.set)

            def leave() -> None:
                os._exit(ExitCode.INTERRUPTED)

            with Interrupts(end, leave, leave):
                await serve(scheduler, stop)
            return stop.is_set()

        return asyncio.run(on_loop())


def _went_wrong(turn: Turn) -> bool:
    from orchestrator.status import ExecutionStatus

    failed = turn.result is not None and turn.result.status is ExecutionStatus.FAILED
    return turn.error is not None or failed


def _sign(turn: Turn) -> str:
    from orchestrator.status import ExecutionStatus

    if turn.error is not None:
        return "failed"
    if turn.result is None:
        return "running"
    return "asleep" if turn.result.status is ExecutionStatus.PAUSED else str(turn.result.status)


def _outcome(turn: Turn) -> str:
    from orchestrator.status import ExecutionStatus

    if turn.error is not None:
        return f"cannot be gone on with: {turn.error}"
    assert turn.result is not None
    if turn.result.status is ExecutionStatus.PAUSED:
        return "waits"
    why = str((turn.result.error or {}).get("message", ""))
    where = f" at step {turn.result.failed_step}" if turn.result.failed_step is not None else ""
    return f"{turn.result.status}{where}" + (f": {why}" if why else "")


def _data(turn: Turn) -> Mapping[str, Any]:
    return {
        "execution_id": turn.execution_id,
        "why": turn.why,
        "over": turn.is_over,
        "status": turn.result.status if turn.result is not None else None,
        "error": str(turn.error) if turn.error is not None else None,
    }

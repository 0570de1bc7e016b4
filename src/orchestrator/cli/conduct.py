"""Running steps in front of somebody: the store, the view and Ctrl-C put together around one call of the library."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.app import Orchestrator
from orchestrator.cli.board import Board
from orchestrator.cli.ending import Ending
from orchestrator.cli.exits import ExitCode, exit_code_for
from orchestrator.cli.following import Follower, tell_queued
from orchestrator.cli.hints import Hints
from orchestrator.cli.outline import Outline
from orchestrator.cli.paper import Paper
from orchestrator.cli.signals import Interrupts
from orchestrator.cli.stopping import Stopper
from orchestrator.cli.streams import Stage, is_terminal
from orchestrator.cli.views import LineView, SilentView, View
from orchestrator.clock import SystemClock
from orchestrator.execution.engine import ExecutionResult
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Note
from orchestrator.status import ExecutionStatus
from orchestrator.types import ExecutionId


@dataclass(frozen=True, slots=True)
class Manner:
    """How the person wants it: the options of a command that runs steps."""

    store: str | None
    durability: str
    as_json: bool
    quiet: bool
    hints: Hints


#: Does the work with the library, on its loop.
Work = Callable[[Orchestrator], Awaitable[ExecutionResult]]
#: What happened before, read when the store is open.
Past = Callable[[Orchestrator], tuple[Outline, Sequence[Entry]]]


@dataclass
class Conductor:
    """Runs one execution and shows it."""

    manner: Manner
    execution_id: str
    clock: SystemClock = field(default_factory=SystemClock)

    def conduct(self, past: Past, work: Work, *, follows: bool = False) -> ExitCode:
        """Run `work` to its end, show it on the way, tell how it ended.

        With `follows` another process may run the execution: what that records is shown as well.
        """
        manner = self.manner
        show = sys.stderr if manner.as_json else sys.stdout
        live = is_terminal(show) and not manner.quiet
        with Stage(live=live, as_json=manner.as_json) as stage:
            ending, interrupted = self._within(stage, past, work, live=live, follows=follows)
        self._tell(ending)
        return exit_code_for(ending.result.status, interrupted=interrupted)

    def _within(self, stage: Stage, past: Past, work: Work, *, live: bool, follows: bool) -> tuple[Ending, bool]:
        board = Board(ExecutionId(self.execution_id))
        view: View = SilentView()

        def on_event(entry: Entry) -> None:
            if follows and entry.position <= board.record.position:  # read from the store already
                return
            board.apply(entry)
            view.event(entry)

        def on_note(_id: ExecutionId, note: Note) -> None:
            board.note(note)
            view.note(note)

        orchestrator = Orchestrator(
            self.manner.store,
            durability=self.manner.durability,
            clock=self.clock,
            capture_prints=True,
            on_event=[on_event],
            on_note=[on_note],
        )
        with orchestrator:
            outline, before = past(orchestrator)
            board.show(outline)
            board.replay(before)
            view = self._view(board, stage, orchestrator, live=live)
            try:
                follow = Follower(orchestrator, board, on_event) if follows and before else None
                result, interrupted = self._run(orchestrator, board, view, stage, work, follow)
            finally:
                view.stop()
            seconds = board.seconds(self.clock.time())
            return Ending(result, board, orchestrator.store, self.manner.hints, seconds), interrupted

    def _view(self, board: Board, stage: Stage, orchestrator: Orchestrator, *, live: bool) -> View:
        if self.manner.quiet:
            return SilentView()
        kept = orchestrator.store.survives_process
        paper = Paper(stage.show)
        if not live:
            return LineView(board, paper, self.manner.hints, kept=kept)
        from orchestrator.cli.live import LiveView

        return LiveView(board, stage, self.clock, paper.symbols, self.manner.hints, kept=kept)

    def _run(
        self,
        orchestrator: Orchestrator,
        board: Board,
        view: View,
        stage: Stage,
        work: Work,
        follow: Follower | None,
    ) -> tuple[ExecutionResult, bool]:
        # The process is ours: what has been imported by now stays, and need not be looked through again and again.
        gc.freeze()
        stopper = Stopper(orchestrator, view, stage, self._last_words(orchestrator, stage))

        async def on_loop() -> ExecutionResult:
            stopper.loop = asyncio.get_running_loop()
            beside = [asyncio.create_task(tell_queued(board, view))]
            if follow is not None:
                beside.append(asyncio.create_task(follow.run(view)))
            try:
                result = await work(orchestrator)
                if follow is not None:
                    follow.catch_up()
                return result
            finally:
                for task in beside:
                    task.cancel()

        with Interrupts(stopper.pause, stopper.leave, stopper.end) as interrupts:
            return asyncio.run(on_loop()), interrupts.received > 0

    def _last_words(self, orchestrator: Orchestrator, stage: Stage) -> str:
        if not orchestrator.store.survives_process:
            return "stopped at once"
        between = "\r\n  " if stage.is_live else " "
        return f"stopped at once; go on with{between}{self.manner.hints.command('resume', self.execution_id)}"

    def _tell(self, ending: Ending) -> None:
        if self.manner.as_json:
            Paper(sys.stdout).json(ending.data())
        done = ending.result.status is ExecutionStatus.COMPLETED
        if done and (self.manner.quiet or self.manner.as_json):
            return
        paper = Paper(sys.stdout if done else sys.stderr)
        sys.stdout.flush()
        paper.line()
        paper.lines(ending.lines(paper))

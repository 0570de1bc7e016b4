"""What stands there when a command that ran steps is over: what came out, where it is kept, what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.paper import Paper
from orchestrator.cli.story import story
from orchestrator.cli.waiting import only_a_time, only_waits, waiting_lines, waits_data
from orchestrator.cli.words import duration, in_brief, one_line
from orchestrator.execution.engine import ExecutionResult
from orchestrator.journal.store import Store
from orchestrator.status import ExecutionStatus

_TRACEBACK_LINES = 4


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended, and what is needed to tell."""

    result: ExecutionResult
    board: Board
    store: Store
    hints: Hints
    seconds: float

    def lines(self, paper: Paper) -> Iterator[str]:
        """For a person."""
        status = self.result.status
        if status is ExecutionStatus.COMPLETED:
            yield from self._completed(paper)
        elif status is ExecutionStatus.FAILED:
            yield from self._failed(paper)
        else:
            yield from self._stopped(paper)

    def data(self) -> Mapping[str, Any]:
        """For a program."""
        result = self.result
        return {
            "execution_id": result.execution_id,
            "pipeline": self.board.record.pipeline_id,
            "status": result.status,
            "outputs": result.outputs,
            "failed_step": result.failed_step,
            "error": result.error,
            "waiting": {question.key: question.instructions for question in self.board.questions.unanswered()},
            "waits": waits_data(self.board),
            "seconds": round(self.seconds, 3),
            "steps_done": self.board.record.steps_done,
            "steps_total": self.board.steps_total,
            "store": self.store.location,
        }

    def _completed(self, paper: Paper) -> Iterator[str]:
        already = " already," if self.board.events_before == self.board.record.position else ""
        returned = self.board.outline.returned_by(self.board.record)
        early = f": returned by step {returned}" if returned is not None else ""
        yield f"{paper.symbol('completed')} completed{already} in {duration(self.seconds)}{early}"
        if self.result.outputs:
            yield ""
            yield from output_lines(self.result.outputs, paper)
        yield from self._where(paper, "show")

    def _failed(self, paper: Paper) -> Iterator[str]:
        yield from story(self.board, paper, traceback_lines=_TRACEBACK_LINES)
        yield ""
        yield from paper.prose(f"failed after {duration(self.seconds)}; {self._kept_steps()}")
        yield from self._where(paper, "retry", "show")

    def _stopped(self, paper: Paper) -> Iterator[str]:
        status = self.result.status
        hints = self.hints if self.store.survives_process else None
        yield from waiting_lines(self.board, paper, hints, traceback_lines=_TRACEBACK_LINES)
        sign = paper.symbol("cancelled" if status is ExecutionStatus.CANCELLED else "unfinished")
        told = f"{sign} {status} after {duration(self.seconds)}{self._why()}; {self._kept_steps()}"
        yield from paper.prose(told, hanging="  ")
        yield from self._where(paper, *self._verbs(), "show")

    def _why(self) -> str:
        """What it was cancelled for, or who paused it; other pauses need no more words than there are already."""
        reason = one_line(self.board.record.pause_reason)
        if self.result.status is ExecutionStatus.CANCELLED or reason.startswith("paused "):
            return f" ({reason.removeprefix('paused ')})" if reason not in ("", "cancelled") else ""
        return ""

    def _verbs(self) -> Iterator[str]:
        status = self.result.status
        told = only_waits(self.board) or only_a_time(self.board)
        if status is ExecutionStatus.PENDING or (status is ExecutionStatus.PAUSED and not told):
            yield "resume"

    def _kept_steps(self) -> str:
        record = self.board.record
        done = f"{self.board.counted(record.steps_done)} done"
        return f"{done}, and kept" if self.store.survives_process and record.steps_done else done

    def _where(self, paper: Paper, *verbs: str) -> Iterator[str]:
        if not self.store.survives_process:
            return
        yield ""
        yield f"  {'kept in':<9}{self.store.location}"
        for verb in verbs:
            yield f"  {_PURPOSE[verb]:<9}{paper.bold(self.hints.command(verb, self.result.execution_id))}"


_PURPOSE = {"show": "look", "retry": "retry", "resume": "go on"}


def output_lines(outputs: Mapping[str, Any], paper: Paper) -> Iterator[str]:
    """Each output on a line, shortened to the width of the paper."""
    names = min(24, max(len(name) for name in outputs))
    for name, value in outputs.items():
        yield f"  {name:<{names}}  {in_brief(value, max(20, paper.width - names - 6))}"

"""Asking an execution to pause or to end, and looking on until it has.

What is asked is a message in the execution's inbox. Whoever runs it takes that, and records how each thing that ran
came to its end; this reads what is recorded, line by line, and asks again where nobody is there any more to do it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.cli.board import Board
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.hints import Hints
from orchestrator.cli.look import outline_of
from orchestrator.cli.paper import Paper
from orchestrator.cli.sentences import Sentences
from orchestrator.cli.thrift import Thrift
from orchestrator.cli.words import duration, one_line, stopwatch
from orchestrator.journal import events as ev
from orchestrator.journal.records import entries
from orchestrator.journal.store import Query, Summary
from orchestrator.status import ENDED, ExecutionStatus
from orchestrator.types import ExecutionId

#: The journal is looked at this often.
_LOOK_SECONDS = 0.1
#: What still runs is told when it has run for this long, and then this often at most.
_PATIENCE_SECONDS, _AGAIN_SECONDS = 1.5, 5.0
#: Where nobody has the execution any more, it is asked again this often.
_ASK_SECONDS = 1.0
#: So many of what still runs are named.
_NAMED = 5
#: How what ends because it is asked to is told; anything else could not be ended.
_ENDED = "ended "


@dataclass
class Asking:
    """One request (`verb` is pause or cancel) to one execution, told on `paper`."""

    verb: str
    execution_id: str
    paper: Paper
    hints: Hints
    #: The process that had it when it was asked; None where nobody had.
    owner: str | None = None
    status: ExecutionStatus = ExecutionStatus.PENDING
    seconds: float = 0.0
    #: What was given up: step -> how it came to its end, empty where nothing ran.
    cancelled: dict[str, str] = field(default_factory=dict)
    _seen: int = 0
    _board: Board = field(init=False)
    _thrift: Thrift = field(init=False)

    def run(self, store: str | None, reason: str, by: str, *, wait: bool) -> ExitCode:
        """Ask, and wait for it to have happened; the exit code."""
        with Orchestrator(store, capture_prints=True) as orchestrator:
            began = orchestrator.clock.time()
            self._board = self._before(orchestrator)
            self._thrift = Thrift(self._board)
            self.owner = self._owner(orchestrator)
            self._ask(orchestrator, reason, by)
            if self.owner is not None:
                self.paper.line(f"asked {self.owner} to {self.verb} execution {self.execution_id}")
                self.paper.stream.flush()
            asked = orchestrator.clock.monotonic()
            told_at = asked + _PATIENCE_SECONDS - _AGAIN_SECONDS
            while not self._is_done(orchestrator, began) and wait:
                now = orchestrator.clock.monotonic()
                if now - told_at >= _AGAIN_SECONDS:
                    told_at = now
                    self._tell_what_runs(orchestrator)
                if now - asked >= _ASK_SECONDS and self._owner(orchestrator) is None:
                    asked = now
                    self._ask(orchestrator, reason, by)
                time.sleep(_LOOK_SECONDS)
            self.seconds = orchestrator.clock.time() - began
        self.paper.lines(self._ending(wait=wait))
        return self._code(wait=wait)

    def not_ended(self) -> Mapping[str, str]:
        """What could not be ended, and why: a thread runs on in its process."""
        return {key: how for key, how in self.cancelled.items() if how and not how.startswith(_ENDED)}

    def _before(self, orchestrator: Orchestrator) -> Board:
        journal = orchestrator.history(self.execution_id)
        board = Board(ExecutionId(self.execution_id))
        board.show(outline_of(orchestrator, journal))
        board.replay(journal)
        self._seen = len(journal)
        return board

    def _ask(self, orchestrator: Orchestrator, reason: str, by: str) -> None:
        """Ask. Where nobody has the execution, this does it as well."""
        ask = orchestrator.cancel if self.verb == "cancel" else orchestrator.pause
        ask(self.execution_id, reason, by)

    def _summary(self, orchestrator: Orchestrator) -> Summary:
        (found,) = orchestrator.list(Query(execution_id=self.execution_id))
        return found

    def _owner(self, orchestrator: Orchestrator) -> str | None:
        found = self._summary(orchestrator)
        return None if found.abandoned else found.owner

    def _is_done(self, orchestrator: Orchestrator, began: float) -> bool:
        """Tell what was recorded since; whether it has come to what was asked."""
        sentences, thrift = Sentences(self._board, None), self._thrift
        for entry in entries(orchestrator.store.read(ExecutionId(self.execution_id), self._seen)):
            self._seen = entry.position
            self._board.apply(entry)
            if isinstance(entry.event, ev.StepCancelled):
                self.cancelled[entry.event.key] = entry.event.how
            if isinstance(entry.event, ev.ExecutionCancelled):
                continue  # the last line tells
            for text in thrift.of(entry, sentences):
                self.paper.line(f"{stopwatch(entry.at - began)} {text}")
        self.paper.stream.flush()
        record = self._board.record
        self.status = record.status
        paused = self.verb == "pause" and self.status is ExecutionStatus.PAUSED and not record.waits
        return self.status in ENDED or paused

    def _tell_what_runs(self, orchestrator: Orchestrator) -> None:
        now = orchestrator.clock.time()
        running = dict.fromkeys(doing.key for row in self._board.rows(now) if not row.depth for doing in row.doing)
        if running:
            more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
            self.paper.line(f"still runs: {', '.join([*running][:_NAMED])}{more}")
            self.paper.stream.flush()

    def _ending(self, *, wait: bool) -> Iterator[str]:
        paper, status = self.paper, self.status
        for key, how in self.not_ended().items():
            yield from paper.prose(
                f"{paper.symbol('failed')} could not be stopped: {key}: {one_line(how)}", hanging="  "
            )
        after = duration(self.seconds)
        reason = one_line(self._board.record.pause_reason)
        if status in ENDED or (status is ExecutionStatus.PAUSED and not self._board.record.waits):
            expected = {"cancel": ExecutionStatus.CANCELLED, "pause": ExecutionStatus.PAUSED}[self.verb]
            sign = paper.symbol("unfinished" if status is ExecutionStatus.PAUSED else str(status))
            if status is expected:
                why = f" ({reason})" if reason not in ("", "cancelled", "paused") else ""
                yield from paper.prose(f"{sign} {status} after {after}{why}", hanging="  ")
            else:
                yield from paper.prose(f"{sign} it is {status}: it had come to that before", hanging="  ")
        elif not wait:
            yield from paper.prose("it is asked; `show` tells how it stands", hanging="  ")
        verb = {"paused": ("go on", "resume"), "failed": ("retry", "retry")}.get(status, ("look", "show"))
        yield ""
        yield f"  {verb[0]:<9}{paper.bold(self.hints.command(verb[1], self.execution_id))}"

    def _code(self, *, wait: bool) -> ExitCode:
        if not wait and self.status not in ENDED:
            return ExitCode.DONE
        expected = {"cancel": ExecutionStatus.CANCELLED, "pause": ExecutionStatus.PAUSED}[self.verb]
        return ExitCode.DONE if self.status is expected else ExitCode.FAILED


def told_as_data(asking: Asking) -> Mapping[str, Any]:
    """What came of it, for programs."""
    return {
        "execution_id": asking.execution_id,
        "asked": asking.verb,
        "owner": asking.owner,
        "status": asking.status,
        "seconds": round(asking.seconds, 3),
        "cancelled": asking.cancelled,
        "not_stopped": asking.not_ended(),
    }

"""Looking on while nothing happens here: an execution waits for its turn, or another process runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.app import Orchestrator
from orchestrator.cli.board import Board
from orchestrator.cli.views import QUEUED, View
from orchestrator.journal.events import Entry
from orchestrator.journal.records import entries
from orchestrator.journal.store import Query
from orchestrator.status import ExecutionStatus
from orchestrator.storage import this_owner

#: One that has not begun by then is in a queue.
_QUEUED_SECONDS = 1.0
#: How often the journal is looked at that another process writes.
_FOLLOW_SECONDS = 0.25


async def tell_queued(board: Board, view: View) -> None:
    """Say so where an execution does not begin, since its turn has not come."""
    await asyncio.sleep(_QUEUED_SECONDS)
    if board.record.position and board.record.status is ExecutionStatus.PENDING:
        view.say(QUEUED)


@dataclass(frozen=True, slots=True)
class Follower:
    """Shows what another process records of an execution that it runs."""

    orchestrator: Orchestrator
    board: Board
    on_event: Callable[[Entry], None]

    async def run(self, view: View) -> None:
        """Look again and again."""
        (found,) = self.orchestrator.list(Query(execution_id=self.board.execution_id))
        if found.owner not in (None, str(this_owner(self.orchestrator.clock))) and not found.abandoned:
            view.say(f"{found.owner} runs it; this looks on, and Ctrl-C leaves it to that process")
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            self.catch_up()

    def catch_up(self) -> None:
        """Show what is new in the journal."""
        for entry in entries(self.orchestrator.store.read(self.board.execution_id, self.board.record.position)):
            self.on_event(entry)

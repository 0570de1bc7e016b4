"""`orchestrator list`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import address, json_option, location_of, opened, store_option

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.cli.paper import Paper
    from orchestrator.journal.store import Summary

#: A message in fewer columns than these says too little.
_MESSAGE_COLUMNS = 24
_STATUSES = ("pending", "running", "paused", "completed", "failed", "cancelled", "abandoned")


@click.command("list")
@click.option("--status", "statuses", type=click.Choice(_STATUSES), multiple=True, help="Only these; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@store_option
@json_option
def list_executions(statuses: Sequence[str], limit: int, store: str | None, as_json: bool) -> None:
    """List executions, newest first.

    An execution whose process was killed is shown as abandoned: `resume` goes on with it.
    """
    import sys

    from orchestrator.cli.paper import Paper

    with opened(store) as orchestrator:
        found = _found(orchestrator, frozenset(statuses), limit)
    paper = Paper(sys.stdout)
    if as_json:
        paper.json([_data(summary) for summary in found])
    elif found:
        _table(found, paper)
    else:
        where = location_of(address(store))
        start = f"no executions yet in {where}; `orchestrator run FILE` starts one"
        paper.lines(paper.prose(f"no such executions in {where}" if statuses else start))


def _found(orchestrator: Orchestrator, words: Set[str], limit: int) -> Sequence[Summary]:
    """Those with one of these words. `abandoned` is no status: who is gone is found among those that run."""
    from orchestrator.cli.look import state_of
    from orchestrator.journal.store import Query
    from orchestrator.status import ExecutionStatus

    if "abandoned" not in words:
        return orchestrator.list(Query(statuses=frozenset(map(ExecutionStatus, words)) or None, limit=limit))
    statuses = frozenset(ExecutionStatus(word) for word in {*words, "running"} - {"abandoned"})
    found = orchestrator.list(Query(statuses=statuses, limit=None))
    return [summary for summary in found if {str(summary.status), state_of(summary)} & words][:limit]


def _data(summary: Summary) -> Mapping[str, Any]:
    from orchestrator.cli.words import iso

    return {
        "execution_id": summary.execution_id,
        "pipeline": summary.pipeline_id,
        "status": summary.status,
        "abandoned": summary.abandoned,
        "steps_done": summary.steps_done,
        "steps_failed": summary.steps_failed,
        "steps_total": summary.steps_total,
        "created_at": iso(summary.created_at),
        "updated_at": iso(summary.updated_at),
        "message": summary.message or None,
        "waits": summary.next_due is not None,
        "waits_until": iso(summary.next_due) if summary.next_due is not None and isfinite(summary.next_due) else None,
        "concurrency_key": summary.concurrency_key,
        "owner": summary.owner,
    }


def _table(found: Sequence[Summary], paper: Paper) -> None:
    from orchestrator.cli.look import state_of
    from orchestrator.cli.paper import COLOURS
    from orchestrator.cli.words import moment, shorten

    rows = [
        [
            summary.execution_id,
            summary.pipeline_id,
            paper.paint(state_of(summary), COLOURS.get(state_of(summary))),
            f"{summary.steps_done}/{summary.steps_total}",
            moment(summary.created_at),
        ]
        for summary in found
    ]
    table = [[paper.dim(word) for word in ("EXECUTION", "PIPELINE", "STATUS", "STEPS", "CREATED")], *rows]
    if any(_message(summary) for summary in found) and _room(table, paper) < _MESSAGE_COLUMNS:
        table = [cells[:-1] for cells in table]  # why it stands still says more than when it began
    room = _room(table, paper)
    messages = [shorten(_message(summary), room) if room > 0 else "" for summary in found]
    paper.table([[*cells, message] for cells, message in zip(table, ["", *messages], strict=True)])


def _message(summary: Summary) -> str:
    """Why it stands still or failed; of one that waits for a time also until when."""
    from orchestrator.cli.words import moment, one_line
    from orchestrator.status import ExecutionStatus

    due = summary.next_due
    if summary.status is ExecutionStatus.PENDING and summary.concurrency_key is not None and not summary.message:
        return f"queued by its concurrency key {one_line(summary.concurrency_key)!r}"
    return one_line(summary.message) + (f" until {moment(due)}" if due is not None and isfinite(due) else "")


def _room(table: Sequence[Sequence[str]], paper: Paper) -> int:
    """How many columns are left for a message."""
    from orchestrator.cli.paper import visible

    return paper.width - sum(max(visible(cells[i]) for cells in table) + 2 for i in range(len(table[0])))

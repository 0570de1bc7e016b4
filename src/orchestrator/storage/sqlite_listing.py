"""Listings: which query answers a `Query` without walking the whole table, and its rows as summaries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from orchestrator.journal.store import Owner, Query, Summary
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.storage.owners import is_gone


def statement_for(query: Query) -> tuple[str, dict[str, Any]]:
    """The named statement with the most telling index, and its bindings."""
    bindings: dict[str, Any] = {
        "pipeline_id": query.pipeline_id,
        "statuses": None if query.statuses is None else json.dumps(sorted(query.statuses)),
        "limit": -1 if query.limit is None else query.limit,
    }
    if query.execution_id is not None:
        return "find_one", {**bindings, "execution_id": query.execution_id, "due_before": query.due_before}
    if query.due_before is not None:
        return "find_due", {**bindings, "due_before": query.due_before}
    if query.statuses is not None and query.statuses <= UNFINISHED:
        return "find_unfinished", bindings
    return "find_newest", bindings


def summaries(rows: Iterable[tuple[Any, ...]], now: float) -> Iterator[Summary]:
    """Rows of the view `listing` as summaries. Each owner is looked after once."""
    gone: dict[str, bool] = {}
    for _, execution_id, pipeline_id, status, *columns, token, host, boot_id, pid, started, heartbeat in rows:
        summary = Summary(execution_id, pipeline_id, ExecutionStatus(status), *columns)
        if token is None:
            yield summary
            continue
        owner = Owner(token, host, boot_id, pid, started)
        if token not in gone:
            gone[token] = is_gone(owner, heartbeat_age_seconds=now - heartbeat)
        yield replace(summary, owner=str(owner), abandoned=gone[token])

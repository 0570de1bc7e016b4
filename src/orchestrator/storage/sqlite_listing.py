"""Listings: which statements answer a `Query` without walking the whole table, and their rows as summaries."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from typing import Any

import apsw

from orchestrator.journal.store import Owner, Query, Summary
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.storage.owners import is_gone
from orchestrator.storage.selection import Standing, matches


def find(connection: apsw.Connection, sql: Mapping[str, str], query: Query, now: float) -> list[Summary]:
    """The summaries that match. No row is read after the last one that is wanted."""
    bindings: dict[str, Any] = {
        "execution_id": query.execution_id,
        "pipeline_id": query.pipeline_id,
        "statuses": None if query.statuses is None else json.dumps(sorted(query.statuses)),
        "due_before": query.due_before,
        "concurrency_key": query.concurrency_key,
    }
    names = _statements_for(query)
    if names == ("find_owned",):
        gone = [id_ for id_, *owner, beat in connection.execute(sql["owners"]) if _is_gone(Owner(*owner), now - beat)]
        bindings["owners"] = json.dumps(gone)
    with ExitStack() as cursors:  # one that is left in the middle would keep its snapshot
        rows = [cursors.enter_context(closing(connection.execute(sql[name], bindings))) for name in names]
        found = summaries(heapq.merge(*rows, key=_age_of) if len(rows) > 1 else rows[0], now)
        return [*islice((summary for summary in found if matches(summary, query)), query.limit)]


def _statements_for(query: Query) -> tuple[str, ...]:
    """The named statements with the most telling index; two are both in order of age, the oldest first."""
    match query:
        case Query(startable=True):
            return ("find_queue", "find_heads") if query.concurrency_key is None else ("find_heads",)
        case Query(concurrency_key=str()):
            return "find_begun", "find_queue"
        case Query(execution_id=str()):
            return ("find_one",)
        case Query(due_before=float() | int()):
            return ("find_waiting",) if query.unowned else ("find_due",)
        case Query(abandoned=True):
            return ("find_owned",)
        case Query(statuses=frozenset() as statuses) if statuses <= UNFINISHED:
            return ("find_unfinished",)
        case _:
            return ("find_newest",)


def _age_of(row: tuple[Any, ...]) -> tuple[float, int]:
    """Of a row of `listing`: `created_at`, then the number, which rises in the order of creation."""
    return row[4], row[0]


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
            gone[token] = _is_gone(owner, now - heartbeat)
        yield replace(summary, owner=str(owner), abandoned=gone[token])


def standings(rows: Iterable[tuple[Any, ...]], now: float) -> list[Standing]:
    """Rows of the view `listing` as what a claim asks of them."""
    rows = list(rows)
    return [Standing.of(summary, row[0]) for row, summary in zip(rows, summaries(rows, now), strict=True)]


def _is_gone(owner: Owner, heartbeat_age_seconds: float) -> bool:
    return is_gone(owner, heartbeat_age_seconds=heartbeat_age_seconds)

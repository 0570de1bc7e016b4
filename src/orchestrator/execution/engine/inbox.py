"""The inbox: what was posted to an execution from outside, turned into events by whoever holds its lease.

Nothing but an answer is understood yet. A message is taken with the commit of the event that stands for it, so that
none is lost and none counts twice; an answer that fits nothing (a second one, one to a step that does not wait) is
taken as well and leaves no event.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.errors import InputError, UnknownExecutionError
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.fold import ExecutionRecord, StepRecord
from orchestrator.journal.records import entries
from orchestrator.journal.store import Message, Query, Store, Summary
from orchestrator.status import ExecutionStatus
from orchestrator.types import BlobHash, ExecutionId, StepKey

#: The kind of a message that answers a manual intervention; its payload has step, decision, value and by.
ANSWER = "answer"
#: What a person may say.
DECISIONS = ("retry", "skip", "abort")


def events_of(
    messages: Sequence[Message],
    questions: Mapping[StepKey, StepRecord],
    now: float,
    put_blob: Callable[[BlobHash, bytes], None],
) -> tuple[list[ev.InterventionAnswered], list[int]]:
    """The events that these messages stand for, and the ids of the messages that are done with.

    `questions` are the steps that wait. One whose deadline has passed by `now` (seconds since the epoch) is answered
    with `abort`.
    """
    waiting = dict(questions)
    events: list[ev.InterventionAnswered] = []
    taken: list[int] = []
    for message in messages:
        if message.kind != ANSWER:
            continue
        taken.append(message.id)
        payload = message.payload
        step = waiting.pop(StepKey(str(payload.get("step"))), None)
        if step is not None and payload.get("decision") in DECISIONS:
            value = encode(payload.get("value"), put_blob)
            by = str(payload.get("by") or "")
            events.append(ev.InterventionAnswered(step.key, step.generation, payload["decision"], value, by))
    for step in waiting.values():
        asked = step.intervention
        if asked is not None and asked.deadline is not None and asked.deadline <= now:
            events.append(ev.InterventionAnswered(step.key, step.generation, "abort", None, "the deadline"))
    return events, taken


def post_answer(store: Store, execution_id: str, step: str, decision: str, value: Any, by: str | None) -> None:
    """Put an answer into the inbox. Raises UnknownExecutionError, and InputError where it answers nothing."""
    if decision not in DECISIONS:
        raise InputError(f"{decision!r} is no answer; say {', '.join(DECISIONS[:-1])} or {DECISIONS[-1]}")
    require_known(store, execution_id)
    waiting = waiting_steps(store, execution_id)
    if step not in waiting:
        given = next((m.payload for m in store.inbox(ExecutionId(execution_id)) if m.payload.get("step") == step), None)
        if given is not None:
            by = f" by {given['by']}" if given.get("by") else ""
            raise InputError(
                f"step {step!r} of execution {execution_id} is answered already: {given.get('decision')}{by}"
                f"; `orchestrator resume {execution_id}` goes on with that"
            )
        known = f"these do: {', '.join(waiting)}" if waiting else "no step of it does"
        raise InputError(f"step {step!r} of execution {execution_id} waits for no answer; {known}")
    store.post(ExecutionId(execution_id), ANSWER, {"step": step, "decision": decision, "value": value, "by": by})


def require_known(store: Store, execution_id: str) -> Summary:
    """The summary of an execution. Raises UnknownExecutionError, which names the nearest ids."""
    found = store.find(Query(execution_id=execution_id))
    if not found:
        known = [summary.execution_id for summary in store.find(Query(limit=200))]
        raise UnknownExecutionError(execution_id, store.location, difflib.get_close_matches(execution_id, known, 2))
    return found[0]


def waiting_steps(store: Store, execution_id: str) -> list[StepKey]:
    """The steps of an execution that wait for a person and for which no answer was posted yet."""
    id_ = ExecutionId(execution_id)
    record = ExecutionRecord.of(id_, entries(store.read(id_)))
    posted = {message.payload.get("step") for message in store.inbox(id_) if message.kind == ANSWER}
    return [key for key, step in record.steps.items() if step.waiting and key not in posted]


def has_posted_answers(store: Store, execution_id: str) -> bool:
    """Whether an answer was posted that whoever runs the execution has not taken yet."""
    return any(message.kind == ANSWER for message in store.inbox(ExecutionId(execution_id)))


def waiting_for(store: Store, step: str) -> list[ExecutionId]:
    """The paused executions in which such a step waits for a person."""
    paused = store.find(Query(statuses=frozenset({ExecutionStatus.PAUSED}), limit=None))
    return [found.execution_id for found in paused if step in waiting_steps(store, found.execution_id)]

"""The inbox: what was posted to an execution from outside, turned into events by whoever holds its lease.

A message is taken with the commit of the event that stands for it, so that none is lost and none counts twice. A signal
becomes an event at once, whether anybody waits for it or not, and is kept until a step takes it. An answer that fits
nothing (a second one, one to a step that does not wait) is taken as well and leaves no event.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator.errors import InputError, NotResumableError, UnknownExecutionError
from orchestrator.execution.engine.questions import Question, check_answer, question_of, questions_of
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.events import Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.step_record import StepRecord
from orchestrator.journal.store import Message, Query, Store, Summary
from orchestrator.status import UNFINISHED, ExecutionStatus, StepStatus
from orchestrator.types import BlobHash, ExecutionId, StepKey

#: The kinds of messages, and what their payloads have.
ANSWER = "answer"  # step, decision, value, by
SIGNAL = "signal"  # name, payload, by
PAUSE = "pause"  # reason, by
CANCEL = "cancel"  # reason, by

PutBlob = Callable[[BlobHash, bytes], None]
QuestionId: TypeAlias = tuple[StepKey, int, int, int]


@dataclass(slots=True)
class Taken:
    """What messages came to: events, the ids of the messages that are done with, and what was asked for."""

    events: list[Event] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    #: The messages that ask for a pause, each with the reason to be recorded.
    pauses: dict[int, str] = field(default_factory=dict)
    #: The answers that fit nothing yet.
    early: list[Message] = field(default_factory=list)


def take_messages(
    messages: Sequence[Message],
    record: ExecutionRecord,
    answered: Collection[Any],
    put: PutBlob,
    *,
    is_current: bool = True,
) -> Taken:
    """The events that these messages stand for. `answered` are the questions that events were queued for already.

    Where the record `is_current`, an answer that fits nothing never will; else its question may not be applied yet.
    """
    taken = Taken()
    given: set[StepKey] = set()
    for message in messages:
        payload = message.payload
        match message.kind:
            case "answer":
                key = StepKey(str(payload.get("step")))
                step = record.steps.get(key) if key not in given else None
                if step is not None and step.waiting and question_id(step) not in answered:
                    if (event := _answer(record, step, payload, put)) is not None:
                        given.add(key)
                        taken.events.append(event)
                elif not is_current:
                    taken.early.append(message)
                    continue
            case "signal":
                value = encode(payload.get("payload"), put)
                by = str(payload.get("by") or "")
                taken.events.append(ev.SignalReceived(str(payload.get("name")), value, by, message.id))
            case "cancel":
                if record.cancel is None and not any(isinstance(e, ev.CancelRequested) for e in taken.events):
                    reason = str(payload.get("reason") or "")
                    taken.events.append(ev.CancelRequested(reason, str(payload.get("by") or "")))
            case "pause":
                by = f" by {payload['by']}" if payload.get("by") else ""
                reason = f": {payload['reason']}" if payload.get("reason") else ""
                taken.pauses[message.id] = f"paused{by}{reason}"
            case _:
                continue
        taken.ids.append(message.id)
    return taken


def question_id(step: StepRecord) -> QuestionId:
    """Which question of a step it is: a step may ask again, after another attempt, or when what it awaited failed."""
    return step.key, step.generation, max(step.failed_attempts, step.attempt), len(step.failures or ())


def _answer(
    record: ExecutionRecord, step: StepRecord, payload: Mapping[str, Any], put: PutBlob
) -> ev.InterventionAnswered | None:
    question = question_of(record, step)
    by = str(payload.get("by") or "")
    if question is None:
        return None
    try:
        value = check_answer(question, str(payload.get("decision")), payload.get("value"), by)
    except InputError:
        return None
    return ev.InterventionAnswered(step.key, step.generation, str(payload["decision"]), encode(value, put), by)


def due_events(step: StepRecord, now: float) -> list[Event]:
    """What a step that waits comes to when its time is over: nothing while it is not."""
    asked, awaited = step.intervention, step.waiting_for
    if step.status in (StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.FAILED, StepStatus.CANCELLED):
        return []
    if awaited is not None and awaited.over is None and awaited.until is not None and awaited.until <= now:
        return [ev.WaitOver(step.key, step.generation)]
    if asked is not None and asked.decision is None and asked.deadline is not None and asked.deadline <= now:
        return [ev.InterventionAnswered(step.key, step.generation, "abort", None, "the deadline")]
    block = step.block
    if block is not None and block.deadline is not None and block.deadline <= now and not block.late:
        return [ev.DeadlinePassed(step.key, step.generation)]
    return []


def matches(record: ExecutionRecord, waiting: Collection[StepKey], promised: Collection[int]) -> list[ev.SignalTaken]:
    """Which step takes which signal: the one that waits longest gets the one that came first, of each name.

    `promised` are the positions of signals that events were queued for already.
    """
    kept: dict[str, Iterator[int]] = {}
    events = []
    for key in waiting if record.signals_kept else ():
        step = record.steps[key]
        awaited = step.waiting_for
        if awaited is None or awaited.kind != "signal" or awaited.over is not None:
            continue
        if (name := awaited.subject) not in kept:
            kept[name] = (position for position in record.signals_kept.get(name, ()) if position not in promised)
        if (found := next(kept[name], None)) is not None:
            events.append(ev.SignalTaken(key, step.generation, found))
    return sorted(events, key=lambda event: event.position)


# -- posting -----------------------------------------------------------------------------------------------------------


def post_answer(store: Store, execution_id: str, step: str, decision: str, value: Any, by: str | None) -> None:
    """Put an answer into the inbox. Raises UnknownExecutionError, and InputError where it answers nothing."""
    require_known(store, execution_id)
    id_ = ExecutionId(execution_id)
    record = ExecutionRecord.of(id_, entries(store.read(id_)))
    posted = _posted(store, id_)
    known = record.steps.get(StepKey(step))
    question = question_of(record, known) if known is not None else None
    if question is None or step in posted:
        raise InputError(_waits_for_none(store, record, step))
    value = check_answer(question, decision, value, by)
    store.post(id_, ANSWER, {"step": step, "decision": decision, "value": value, "by": by})


def post_signal(store: Store, execution_id: str, name: str, payload: Any, by: str | None) -> None:
    """Put a signal into the inbox. Raises UnknownExecutionError, NotResumableError, InputError for an empty name."""
    found = require_known(store, execution_id)
    if found.status not in UNFINISHED:
        raise NotResumableError(execution_id, str(found.status), "nothing of it can take a signal")
    if not name:
        raise InputError("a signal has a name")
    store.post(ExecutionId(execution_id), SIGNAL, {"name": name, "payload": payload, "by": by})


def _waits_for_none(store: Store, record: ExecutionRecord, step: str) -> str:
    id_ = record.execution_id
    given = next((m.payload for m in store.inbox(id_) if m.kind == ANSWER and m.payload.get("step") == step), None)
    if given is not None:
        by = f" by {given['by']}" if given.get("by") else ""
        return (
            f"step {step!r} of execution {id_} is answered already: {given.get('decision')}{by}"
            f"; `orchestrator resume {id_}` goes on with that"
        )
    waiting = waiting_steps(store, id_)
    known = f"these do: {', '.join(waiting)}" if waiting else "no step of it does"
    return f"step {step!r} of execution {id_} waits for no answer; {known}"


def require_known(store: Store, execution_id: str) -> Summary:
    """The summary of an execution. Raises UnknownExecutionError, which names the nearest ids."""
    found = store.find(Query(execution_id=execution_id))
    if not found:
        known = [summary.execution_id for summary in store.find(Query(limit=200))]
        raise UnknownExecutionError(execution_id, store.location, difflib.get_close_matches(execution_id, known, 2))
    return found[0]


def _posted(store: Store, id_: ExecutionId) -> set[Any]:
    """The steps for which an answer was posted that nobody has taken yet."""
    return {message.payload.get("step") for message in store.inbox(id_) if message.kind == ANSWER}


def open_questions(store: Store, execution_id: str) -> list[Question]:
    """The questions of an execution for which no answer was posted yet."""
    id_ = ExecutionId(execution_id)
    posted = _posted(store, id_)
    return [q for q in questions_of(ExecutionRecord.of(id_, entries(store.read(id_)))) if q.key not in posted]


def waiting_steps(store: Store, execution_id: str) -> list[StepKey]:
    """The steps of an execution that wait for a person and for which no answer was posted yet."""
    return [question.key for question in open_questions(store, execution_id)]


def has_posted_answers(store: Store, execution_id: str) -> bool:
    """Whether an answer was posted that whoever runs the execution has not taken yet."""
    return any(message.kind == ANSWER for message in store.inbox(ExecutionId(execution_id)))


def waiting_for(store: Store, step: str) -> list[ExecutionId]:
    """The paused executions in which such a step waits for a person."""
    paused = store.find(Query(statuses=frozenset({ExecutionStatus.PAUSED}), limit=None))
    return [found.execution_id for found in paused if step in waiting_steps(store, found.execution_id)]

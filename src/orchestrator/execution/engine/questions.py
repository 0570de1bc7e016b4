"""What waits for a person: the questions of an execution, and what counts as an answer to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import InputError
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.step_record import StepRecord
from orchestrator.pipelines.input_types import unfit
from orchestrator.pipelines.wording import did_you_mean, one_of
from orchestrator.types import ExecutionId, StepKey

#: What a person may say of a step that failed, or whose effect is in doubt.
DECISIONS = ("retry", "skip", "abort")
APPROVAL, INTERVENTION = "approval", "intervention"


@dataclass(frozen=True, slots=True)
class Question:
    """A step that waits for a person: an `approval` that the pipeline asks for, or an `intervention` after a failure.

    `choices` are the words that answer it; `who` may answer (empty: everybody). `form` are the fields that an answer
    may have, each with its type. Without an answer until `deadline` (epoch seconds), `default` counts; where there is
    none, the step fails.
    """

    execution_id: ExecutionId
    pipeline_id: str
    key: StepKey
    kind: str
    prompt: str
    choices: Sequence[str]
    since: float
    deadline: float | None = None
    who: Sequence[str] = ()
    form: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    default: str | None = None
    error: Mapping[str, Any] | None = None


def questions_of(record: ExecutionRecord) -> list[Question]:
    """The questions of an execution that were not answered, in the order in which they were asked."""
    found = [question for step in record.steps.values() if (question := question_of(record, step)) is not None]
    return sorted(found, key=lambda question: question.since)


def question_of(record: ExecutionRecord, step: StepRecord) -> Question | None:
    """What a step asks a person; None where it asks nothing (any more)."""
    id_, pipeline = record.execution_id, record.pipeline_id
    awaited, asked = step.waiting_for, step.intervention
    if not step.waiting:
        return None
    if awaited is not None and awaited.kind == "approval" and awaited.over is None:
        ask = awaited.ask
        return Question(
            id_,
            pipeline,
            step.key,
            APPROVAL,
            awaited.subject,
            tuple(ask.get("choices", ())),
            awaited.since,
            awaited.until,
            tuple(ask.get("who", ())),
            ask.get("form", {}),
            ask.get("default"),
        )
    if asked is not None and asked.decision is None:
        text, since = asked.instructions, asked.asked_at
        return Question(id_, pipeline, step.key, INTERVENTION, text, DECISIONS, since, asked.deadline, error=step.error)
    return None


def check_answer(question: Question, decision: str, value: Any, by: str | None) -> Any:
    """The value of an answer with the defaults of its form. Raises InputError, which says what would be one."""
    what = f"step {question.key!r} of execution {question.execution_id}"
    if decision not in question.choices:
        hint = did_you_mean(str(decision), question.choices)
        raise InputError(
            f"{decision!r} is no answer; say {one_of(list(question.choices))}" + (f"; {hint}" if hint else "")
        )
    if question.who and by not in question.who:
        raise InputError(f"{what} is to be answered by {one_of(list(question.who))}, not by {by or 'nobody named'}")
    if question.kind == INTERVENTION:
        return value
    return _filled(question, value)


def _filled(question: Question, value: Any) -> dict[str, Any]:
    given = {} if value is None else value
    if not isinstance(given, Mapping):
        raise InputError("the form of an answer is a mapping of its fields")
    faults = []
    for name in given:
        if name not in question.form:
            known = f"it has {one_of(list(question.form))}" if question.form else "it has none"
            faults.append(f"the form has no field {name!r}; {did_you_mean(str(name), question.form) or known}")
    form: dict[str, Any] = {}
    for name, spec in question.form.items():
        if name not in given and "default" not in spec:
            faults.append(f"the field {name!r} is required; give it with --field {name}=…")
            continue
        form[name] = given.get(name, spec.get("default"))
        if name in given and (fault := unfit(form[name], spec.get("type", "any"))):
            faults.append(f"field {name!r}: {fault}")
        elif name in given and "choices" in spec and form[name] not in spec["choices"]:
            faults.append(f"field {name!r}: expected {one_of([str(c) for c in spec['choices']])}, got {form[name]!r}")
    if faults:
        raise InputError("\n".join(faults))
    return form

"""From the journal to progress: what one entry of it means to somebody who watches."""

from __future__ import annotations

from typing import Any

from orchestrator.clock import utc
from orchestrator.execution.progress.decisions import Decider, Events
from orchestrator.execution.progress.events import ProgressEventType
from orchestrator.execution.progress.flow_events import held, told
from orchestrator.execution.progress.ledger import Ledger
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry, ErrorData
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import StepKey

_Type = ProgressEventType


def translated(ledger: Ledger, entry: Entry, total_steps: int, record: ExecutionRecord | None) -> Events:
    """The progress events of an entry. One that the ledger has taken in before gives none.

    `record` is what the entries up to this one (or a later one) have come to, where that is at hand.
    """
    if entry.position <= ledger.position:
        return
    ledger.position = entry.position
    decide = Decider(ledger, utc(entry.at))
    match entry.event:
        case ev.ExecutionClaimed() | ev.ExecutionPaused() | ev.ExecutionCompleted():
            yield from _life(decide, entry.event, total_steps)
        case ev.ExecutionFailed() | ev.ExecutionCancelled() | ev.ExecutionForked():
            yield from _life(decide, entry.event, total_steps)
        case ev.StepStarted(key=key, name=name):
            yield from decide.start_step(key, name or None)
        case ev.StepRetrying(key=key, attempt=attempt, error=error, due_at=due_at):
            yield decide.event(_Type.STEP_RETRYING, key, _message(error), attempt=attempt, due_at=utc(due_at))
        case ev.StepSucceeded(key=key, generation=generation, checkpoint=checkpoint):
            yield from decide.complete_step(key, True, None, ledger.expected.pop((key, generation), 100.0))
            if checkpoint is not None:
                yield decide.event(_Type.CHECKPOINT_CREATED, key, checkpoint_id=checkpoint, description=checkpoint)
        case ev.StepSkipped(key=key, reason=reason):
            yield from decide.skip_step(key, reason)
        case ev.StepFailed(key=key, generation=generation, error=error):
            percentage = ledger.expected.pop((key, generation), 100.0)
            yield from decide.complete_step(key, False, _message(error), percentage)
        case ev.StepCancelled(key=key):
            yield from decide.cancel_step(key)
        case ev.LoopExpanded() | ev.BlockEntered() | ev.IterationStarted():
            yield from held(decide, entry.event)
        case ev.ExecutionRetried(keys=keys):
            for key in keys:
                yield from decide.try_again(key)
        case ev.CheckpointCreated(checkpoint=checkpoint, description=description, key=step):
            yield decide.event(_Type.CHECKPOINT_CREATED, step, checkpoint_id=checkpoint, description=description)
        case ev.ExecutionRestored(checkpoint=checkpoint) as restored:
            back = _set_back(ledger, restored, record)
            yield decide.event(_Type.CHECKPOINT_RESTORED, checkpoint_id=checkpoint, **back)
        case ev.ExecutionRerun(by=by) as rerun:
            status = ExecutionStatus.PAUSED if ledger.ended else ledger.status
            back = {"status": status, **_set_back(ledger, rerun, record)}
            yield decide.event(_Type.PROGRESS_UPDATE, message="steps are run afresh", by=by, **back)
        case ev.StepRecovering() | ev.InterventionRequested() | ev.InterventionAnswered():
            yield from _recovery(decide, entry.event)
        case ev.StepWaiting() | ev.SignalTaken() | ev.WaitOver() | ev.DeadlinePassed() | ev.StepInDoubt():
            yield from told(decide, entry.event)
        case ev.CancelRequested() | ev.SignalReceived() | ev.PipelineChanged():
            yield from told(decide, entry.event)
    yield from decide.announce(max(total_steps, ledger.total_steps))


def _life(decide: Decider, event: ev.Event, total_steps: int) -> Events:
    match event:
        case ev.ExecutionClaimed() if decide.ledger.status is ExecutionStatus.PENDING:
            yield decide.event(_Type.EXECUTION_STARTED, total_steps=total_steps)
        case ev.ExecutionClaimed(owner=owner):
            yield decide.event(_Type.EXECUTION_RESUMED, owner=owner)
        case ev.ExecutionPaused(reason=reason):
            yield decide.event(_Type.EXECUTION_PAUSED, message=reason)
        case ev.ExecutionCompleted():
            yield decide.event(_Type.EXECUTION_COMPLETED)
        case ev.ExecutionForked(source=source):
            yield decide.event(_Type.EXECUTION_PAUSED, message=f"forked from {source}")
        case ev.ExecutionFailed(step_key=step, error=error):
            if step is not None:
                yield from decide.fail_around(step, _message(error))
            yield decide.event(_Type.EXECUTION_FAILED, step, _message(error))
        case ev.ExecutionCancelled(reason=reason):
            yield decide.event(_Type.EXECUTION_CANCELLED, message=reason)


def _recovery(decide: Decider, event: ev.StepRecovering | ev.InterventionRequested | ev.InterventionAnswered) -> Events:
    custom = _Type.CUSTOM_EVENT
    match event:
        case ev.StepRecovering(key=key, error=error, plan=plan):
            yield decide.event(custom, key, _message(error), kind="step_recovering", plan=plan)
        case ev.InterventionRequested(key=key, instructions=instructions, deadline=deadline):
            until = None if deadline is None else utc(deadline)
            yield decide.event(custom, key, instructions, kind="intervention_requested", deadline=until)
        case ev.InterventionAnswered(key=key, decision=decision, by=by):
            yield decide.event(custom, key, kind="intervention_answered", decision=decision, by=by)


def _set_back(
    ledger: Ledger, event: ev.ExecutionRestored | ev.ExecutionRerun, record: ExecutionRecord | None
) -> dict[str, Any]:
    """How the execution and the steps that are set back stand now: as the record says, else pending."""
    renewed = [key for key in event.keys if record is not None or key not in event.expanded]
    gone = ledger.steps.belonging_to(renewed)  # as far as is known here
    steps: dict[str, StepStatus | None] = dict.fromkeys(gone)
    steps |= dict.fromkeys(event.keys, StepStatus.PENDING)
    if record is None:
        return {"steps": steps | dict.fromkeys(event.expanded, StepStatus.RUNNING)}
    known = dict(record.steps)
    return {
        "steps": {key: known[StepKey(key)].status if key in known else word for key, word in steps.items()},
        "status": record.status,
    }


def _message(error: ErrorData) -> str:
    return str(error.get("message", ""))

"""What the journal says of steps that hold others, of what waits, and of what is given up, as progress."""

from __future__ import annotations

from typing import TypeAlias

from orchestrator.clock import utc
from orchestrator.execution.progress.decisions import Decider, Events
from orchestrator.execution.progress.events import ProgressEventType
from orchestrator.journal import events as ev

_CUSTOM = ProgressEventType.CUSTOM_EVENT

#: The events of steps that hold others.
Holding: TypeAlias = ev.BlockEntered | ev.IterationStarted | ev.LoopExpanded
#: The events that only tell something: no count changes with them, but that a step which waits is under way.
Telling: TypeAlias = (
    ev.StepWaiting
    | ev.SignalTaken
    | ev.WaitOver
    | ev.DeadlinePassed
    | ev.StepInDoubt
    | ev.CancelRequested
    | ev.SignalReceived
    | ev.PipelineChanged
)


def held(decide: Decider, event: Holding) -> Events:
    """A step holds others from now on."""
    match event:
        case ev.LoopExpanded(key=key, items=items):
            yield from decide.hold(key, items=len(items))
        case ev.BlockEntered(key=key, attempt=attempt):
            yield from decide.hold(key, block=attempt)
        case ev.IterationStarted(key=key, index=index):
            yield from decide.hold(key, round=index)


def told(decide: Decider, event: Telling) -> Events:
    """Something that a person who watches wants to know."""
    match event:
        case ev.StepWaiting(key=key, kind=kind, until=until, subject=subject):
            yield from decide.start_step(key)
            due = None if until is None else utc(until)
            yield decide.event(_CUSTOM, key, subject or None, kind="step_waiting", waits_for=kind, until=due)
        case ev.SignalTaken(key=key, position=position):
            yield decide.event(_CUSTOM, key, kind="signal_taken", position=position)
        case ev.WaitOver(key=key):
            yield decide.event(_CUSTOM, key, kind="wait_over")
        case ev.DeadlinePassed(key=key):
            yield decide.event(_CUSTOM, key, kind="deadline_passed")
        case ev.StepInDoubt(key=key, attempt=attempt, policy=policy):
            yield decide.event(_CUSTOM, key, kind="step_in_doubt", attempt=attempt, policy=policy)
        case ev.CancelRequested(reason=reason, by=by):
            yield decide.event(_CUSTOM, message=reason or None, kind="cancel_requested", by=by)
        case ev.SignalReceived(name=name, by=by):
            yield decide.event(_CUSTOM, message=name, kind="signal_received", by=by)
        case ev.PipelineChanged(changed=changed):
            yield decide.event(_CUSTOM, kind="pipeline_changed", changed=list(changed))

"""Effects in doubt: what is done with a step whose attempt had begun when its engine died.

Any other step is simply run again, at least once. A step that declares an `effect` has its start committed before it
runs, so that a later life knows that the effect may have happened, and does what the step says: run it again all the
same, look whether it happened, leave it out, or ask a person.

To look is part of the next attempt: where who looks cannot say, that attempt has failed, and `retry` and `on_error` say
what follows. The doubt stands until somebody could say, also over a retry by hand: the step does not run before.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from orchestrator.errors import StepError
from orchestrator.execution.driver import Invoke, Keep, PythonCall, Record, Request
from orchestrator.execution.step.task import StepTask
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.step_record import StepRecord
from orchestrator.pipelines.plan import CallSpec, PlannedStep
from orchestrator.status import StepStatus

#: The policy of which the doubt stands until somebody could say.
VERIFY = "verify"


def in_doubt(step: PlannedStep, known: StepRecord | None) -> bool:
    """Whether an attempt of the step began in an earlier life, and nobody knows what it did."""
    if step.effect is None or known is None:
        return False
    begun = known.status is StepStatus.RUNNING and known.attempt > known.failed_attempts
    return begun or known.in_doubt == VERIFY


def resolve_doubt(task: StepTask) -> Generator[Request, Any, bool]:
    """Do what the step's policy says; whether the step has its outcome with that, or waits for a person.

    Where it is to be verified, that is left to `looker`.
    """
    effect, known = task.step.effect, task.known
    assert effect is not None and known is not None
    yield Record((ev.StepInDoubt(task.key, task.generation, known.attempt, effect.in_doubt),))
    match effect.in_doubt:
        case "skip":
            reason = "its effect was in doubt after a crash"
            yield Record((ev.StepSkipped(task.key, task.generation, reason),))
            return True
        case "ask":
            yield Record((_question(task, known.attempt),))
            return True
    return False


def looker(task: StepTask) -> Callable[[int, float | None], Generator[Request, Any, Encoded | None]] | None:
    """What an attempt of a step in doubt begins with: gives the output where the effect has happened already."""
    effect = task.step.effect
    if effect is None or effect.in_doubt != VERIFY or not in_doubt(task.step, task.known):
        return None
    doubts = True

    def look(number: int, seconds: float | None) -> Generator[Request, Any, Encoded | None]:
        nonlocal doubts
        output = None
        if doubts:
            happened, value = yield from _verify(task, effect.verify or "", number, seconds)
            doubts = happened
            output = (yield Keep(value)) if happened else None
        return output

    return look


def _question(task: StepTask, attempt: int) -> ev.InterventionRequested:
    error = task.describe(
        StepError(f"the engine died while step {task.key!r} ran; whether its effect happened is not known"), task.key
    )
    told = "look whether it happened: `skip` with its output where it did, `retry` where it did not, `abort` to give up"
    return ev.InterventionRequested(task.key, task.generation, attempt, error.to_dict(), told)


def _verify(
    task: StepTask, target: str, number: int, seconds: float | None
) -> Generator[Request, Any, tuple[bool, Any]]:
    """Ask the handler that looks; it gets the arguments of the step. Raises StepError where it says neither."""
    spec = task.step.spec
    own = getattr(task.scope, "own", lambda value: value)
    arguments = own(spec.arguments.resolve(task.scope)) if isinstance(spec, CallSpec) else {}
    call = PythonCall(target, arguments)
    if task.verify is not None:  # of a durable function: the arguments are those of the call
        made = task.prepare()
        assert isinstance(made, PythonCall)
        call = PythonCall(target, made.arguments, function=task.verify, positional=made.positional)
    found = yield Invoke(task.attempt(task.key, task.generation, number, call, seconds))
    happened, output = found, None
    if isinstance(found, Mapping) and "happened" in found:
        happened, output = found["happened"], found.get("output")
    if not isinstance(happened, bool):
        raise StepError(
            f"{target} is to say whether the effect of step {task.key!r} happened: true, false, or "
            f"{{happened: true, output: …}}; it gave a {type(found).__name__}"
        )
    return happened, output

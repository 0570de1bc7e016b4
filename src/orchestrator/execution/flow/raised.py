"""Exceptions that a durable function sees, in the first run as in every later one.

What a step raised is recorded with its failure: the class by its name, the arguments and attributes as far as they can
be. The function is given what that comes to, also when the step has just failed, so that its `except` clauses take the
same way after a restart. Nothing is pickled, no class is imported or called: `__new__` of the exception's own class
makes it, and only where its module is imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import CodecError, InnerStepError, StepFailedError
from orchestrator.failure import scrub
from orchestrator.journal.codec import from_json, to_json
from orchestrator.journal.events import ErrorData
from orchestrator.types import StepKey

#: Where an exception that a step raised says which one that was.
_STEP = "__orchestrator_step__"


def raised_data(exc: BaseException) -> Mapping[str, Any]:
    """What is recorded of an exception, so that it can be raised again."""
    if isinstance(exc, InnerStepError) and "raised" in exc.error:
        return exc.error["raised"]  # type: ignore[no-any-return]  # what this function made
    kind = type(exc)
    lost: list[str] = []
    args = _kept([*exc.args])
    if args is None:
        lost.append("args")
    state: dict[str, Any] = {}
    for name, value in vars(exc).items():
        if name.startswith("__"):
            continue
        if (kept := _kept(value)) is None:
            lost.append(name)
        else:
            state[name] = kept
    return {"module": kind.__module__, "name": kind.__qualname__, "args": args, "state": state, "lost": lost}


def _kept(value: Any) -> Any:
    """A value as plain data with nothing that looks like a credential in it; None where it cannot be recorded."""
    try:
        return to_json(_scrubbed(value))
    except (CodecError, RecursionError):
        return None


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if type(value) in (list, tuple):
        return type(value)(map(_scrubbed, value))
    if type(value) is dict:
        return {key: _scrubbed(part) for key, part in value.items()}
    return value


def rebuilt(error: ErrorData, key: StepKey) -> Exception:
    """The exception of a step that failed: of its own class where that is known here, else a StepFailedError."""
    data = error.get("raised")
    exc = _rebuilt(data) if isinstance(data, Mapping) else None
    if exc is None:
        exc = StepFailedError(key, str(error.get("message", "")), str(error.get("type") or ""))
    if isinstance(data, Mapping) and data.get("lost"):
        names = ", ".join(map(str, data["lost"]))
        exc.add_note(
            f"of this exception {names} could not be recorded; catch it inside of step {key!r}, and give back or raise "
            "what can be"
        )
    exc.__dict__[_STEP] = key
    return exc


def _rebuilt(data: Mapping[str, Any]) -> Exception | None:
    kind: Any = sys.modules.get(str(data.get("module")))
    for name in str(data.get("name")).split("."):
        kind = getattr(kind, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or data.get("args") is None:
        return None
    try:
        exc: Any = kind.__new__(kind, *from_json(data["args"]))
        if not isinstance(exc, Exception):  # a class may do as it likes
            return None
        exc.__dict__.update({name: from_json(value) for name, value in data["state"].items()})
    except (CodecError, TypeError, KeyError, AttributeError):
        return None
    return exc


def step_of(exc: BaseException | None) -> StepKey | None:
    """The step that an exception comes from, or what it came of; None where it is the function's own."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        if (found := vars(exc).get(_STEP)) is not None:
            return found  # type: ignore[no-any-return]  # a key, put there by `rebuilt`
        if isinstance(exc, BaseExceptionGroup):
            for inner in exc.exceptions:
                if (key := step_of(inner)) is not None:
                    return key
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return None

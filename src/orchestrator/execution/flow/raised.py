"""Exceptions that a durable function sees, in the first run as in every later one.

What a step raised is recorded with its failure: the class by its name, the arguments and attributes as far as they can
be. The function is given what that comes to, also when the step has just failed, so that its `except` clauses take the
same way after a restart. Nothing is pickled, no class is imported or called: `__new__` of the exception's own class
makes it, and only where its module is imported already. A group is made of what is in it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import WrapperDescriptorType
from typing import Any

from orchestrator.errors import CodecError, InnerStepError, StepFailedError
from orchestrator.failure import scrub
from orchestrator.journal.codec import from_json, program_name, to_json
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
    # An OSError keeps the names of its files beside its arguments.
    args = _kept([*(OSError.__reduce__(exc)[1] if isinstance(exc, OSError) else exc.args)])
    module = program_name() if kind.__module__ == "__main__" else kind.__module__
    data: dict[str, Any] = {"module": module, "name": kind.__qualname__, "args": args}
    if isinstance(exc, BaseExceptionGroup):
        data |= {"args": _kept([exc.message]), "exceptions": [raised_data(inner) for inner in exc.exceptions]}
    elif args is None:
        lost.append("args")
    state: dict[str, Any] = {}
    for name, value in vars(exc).items():
        if name.startswith("__") and name != "__notes__":
            continue
        if (kept := _kept(_hidden(name, value))) is None:
            lost.append(name)
        else:
            state[name] = kept
    return data | {"state": state, "lost": lost}


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
        return {key: _hidden(key, part) for key, part in value.items()}
    return value


def _hidden(name: Any, value: Any) -> Any:
    """The value of this name: nothing of a text whose name says that it is a secret."""
    if isinstance(name, str) and isinstance(value, str) and scrub(named := f"{name}=x") != named:
        return "***"
    return _scrubbed(value)


def rebuilt(error: ErrorData, key: StepKey) -> Exception:
    """The exception of a step that failed: of its own class where that is known here, else a StepFailedError."""
    data = error.get("raised")
    exc = _rebuilt(data, key) if isinstance(data, Mapping) else None
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


def _rebuilt(data: Mapping[str, Any], key: StepKey) -> Exception | None:
    module = str(data.get("module"))
    kind: Any = sys.modules.get(module) or (sys.modules.get("__main__") if module == program_name() else None)
    for name in str(data.get("name")).split("."):
        kind = getattr(kind, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or data.get("args") is None:
        return None
    try:
        args = from_json(data["args"])
        if "exceptions" in data:
            args.append([_rebuilt(inner, key) or _lost(inner, key) for inner in data["exceptions"]])
        exc: Any = kind.__new__(kind, *args)
        if not isinstance(exc, Exception):
            return None
        # What the interpreter's own classes keep beside the arguments; nothing of the exception's class is called.
        next(init for base in kind.__mro__ if isinstance(init := base.__dict__.get("__init__"), WrapperDescriptorType))(
            exc, *args
        )
        exc.__dict__.update({name: from_json(value) for name, value in data["state"].items()})
    except Exception:  # noqa: BLE001 - a class may do as it likes
        return None
    return exc


def _lost(data: Mapping[str, Any], key: StepKey) -> StepFailedError:
    """In the place of one that was in a group and cannot be made again."""
    args = from_json(data["args"]) if data.get("args") is not None else []
    return StepFailedError(key, ", ".join(map(str, args)), str(data.get("name")))


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

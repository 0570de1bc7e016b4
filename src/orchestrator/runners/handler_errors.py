"""What handlers raise: made into something that can fail an attempt, and taken out of a worker process as plain data.

Nothing is pickled. A built-in exception is rebuilt from its arguments where they are plain, so that it is classified
as if it had been raised here; one of Orchestrator's own from its message and facts. Of any other class only the name
is known on this side: it becomes a RemoteError, with the few attributes that classification reads. Causes travel
along.
"""

from __future__ import annotations

import builtins
import signal
import threading
import traceback
from collections.abc import Mapping
from typing import Any

from orchestrator import errors
from orchestrator.errors import HandlerExitError, RemoteError
from orchestrator.failure import attribute, text_of

#: Attributes of foreign exceptions that say what kind of fault it is.
_TELLING = ("errno", "status_code", "status", "code", "retry_after")
_PLAIN = (str, int, float, bool, type(None))
_CAUSES_KEPT = 8


def as_failure(exc: BaseException) -> Exception:
    """What an attempt fails with when its handler raised this: an Exception, whatever it was.

    A StopIteration cannot travel through a coroutine and becomes a RuntimeError (as PEP 479 has it).
    """
    failure: Exception
    if isinstance(exc, StopIteration | StopAsyncIteration):
        failure = RuntimeError(f"the handler raised {type(exc).__name__}")
    elif isinstance(exc, Exception):
        return exc
    else:
        failure = HandlerExitError(type(exc).__name__, text_of(exc))
    failure.__cause__ = exc
    return failure


def is_ctrl_c(exc: BaseException) -> bool:
    """Whether this may be the user's Ctrl-C: Python raises it wherever the main thread happens to be."""
    return (
        isinstance(exc, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


# -- over the wire -------------------------------------------------------------------------------------------------


def describe(exc: BaseException, depth: int = 0) -> dict[str, Any]:
    """An exception as JSON-ready data."""
    kind = type(exc)
    own = kind.__module__ == errors.__name__
    facts = vars(exc) if own else {name: attribute(exc, name) for name in _TELLING}
    args = (*exc.args, exc.filename) if isinstance(exc, OSError) and exc.filename is not None else exc.args
    cause = exc.__cause__ if depth < _CAUSES_KEPT else None
    return {
        "module": kind.__module__,
        "name": kind.__qualname__,
        "message": text_of(exc),
        "args": [*args] if all(isinstance(arg, _PLAIN) for arg in args) else None,
        "facts": {name: fact for name, fact in facts.items() if fact is not None and isinstance(fact, _PLAIN)},
        "traceback": "" if depth else "".join(traceback.format_exception(exc)),
        "cause": describe(cause, depth + 1) if cause is not None else None,
    }


def rebuild(data: Mapping[str, Any]) -> Exception:
    """The exception that `describe` described, or the nearest thing to it. Its `remote_traceback` is text."""
    exc = _builtin(data) or _own(data)
    if exc is None:
        exc = RemoteError(f"{data['module']}.{data['name']}", data["message"], data["traceback"])
        vars(exc).update({name: fact for name, fact in data["facts"].items() if name not in vars(exc)})
    exc.__dict__["remote_traceback"] = data["traceback"]
    if data["cause"] is not None:
        exc.__cause__ = rebuild(data["cause"])
    return exc


def _builtin(data: Mapping[str, Any]) -> Exception | None:
    kind = getattr(builtins, data["name"], None) if data["module"] == "builtins" else None
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return None
    try:
        return kind(*(data["args"] if data["args"] is not None else (data["message"],)))
    except TypeError:  # a UnicodeDecodeError, an ExceptionGroup: they take more than text
        return None


def _own(data: Mapping[str, Any]) -> Exception | None:
    kind = getattr(errors, data["name"], None) if data["module"] == errors.__name__ else None
    if not (isinstance(kind, type) and issubclass(kind, errors.OrchestratorError)):
        return None
    exc = kind.__new__(kind, data["message"])  # its __init__ would compose the message anew
    vars(exc).update(data["facts"])
    return exc

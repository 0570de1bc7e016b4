"""What a file says a step comes to: `{returns: 3}`, `{raises: TimeoutError, message: too late}`, `real`, or a list."""

from __future__ import annotations

import builtins
from importlib import import_module
from typing import Any

from orchestrator import errors
from orchestrator.pipelines.unfit import Parts, Unfit
from orchestrator.pipelines.wording import kind_of
from orchestrator.testing.script import REAL, returns

_KEYS = ("returns", "raises", "message")
_FORMS = "for example `{returns: 3}`, `{raises: TimeoutError}` or `real`"


def outcome_of(value: Any) -> Any:
    """An outcome of `script.Script`. Raises Unfit, with the place inside of the value."""
    if not isinstance(value, list):
        return _one(value)
    if not value:
        raise Unfit("a list of attempts has at least one", hint=_FORMS)
    parts, found = Parts(), []
    for index, item in enumerate(value):
        found += parts.check(index, _one, item)
    parts.finish()
    return found


def _one(value: Any) -> Any:
    if value == "real":
        return REAL
    if not isinstance(value, dict):
        raise Unfit(f"expected what the step comes to, got {kind_of(value)}", hint=_FORMS)
    parts = Parts()
    for key in value:
        parts.check(key, _known, key, at_key=True)
    parts.finish()
    if ("returns" in value) is ("raises" in value):
        raise Unfit("expected either returns or raises", hint=_FORMS)
    if "returns" in value:
        if "message" in value:
            raise Unfit("message goes with raises")
        return returns(value["returns"])
    found = parts.check("raises", exception_of, value["raises"])
    parts.finish()
    try:
        return found[0](value.get("message", "as the test says"))
    except Exception as error:  # noqa: BLE001 - a constructor of somebody else's
        raise Unfit(f"{value['raises']} cannot be made of a message alone: {error}") from None


def _known(key: Any) -> Any:
    if key not in _KEYS:
        raise Unfit(f"unknown key {str(key)!r}", name=str(key), known=_KEYS)
    return key


def exception_of(name: Any) -> type[Exception]:
    """The class of that name: a builtin one, one of Orchestrator's, or `module.Class`. Raises Unfit."""
    if not isinstance(name, str):
        raise Unfit(f"expected the name of an exception, got {kind_of(name)}")
    module, _, last = name.rpartition(".")
    try:
        homes = [import_module(module)] if module else [builtins, errors]
    except ImportError as error:
        raise Unfit(f"there is no module {module!r}: {error}") from None
    known = {word: kind for home in homes for word, kind in vars(home).items() if _is_exception(kind)}
    if last not in known:
        raise Unfit(f"there is no exception {name!r}", name=last, known=list(known))
    found: type[Exception] = known[last]
    return found


def _is_exception(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)

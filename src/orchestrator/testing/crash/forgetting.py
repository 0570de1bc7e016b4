"""What a new process would not know: the plain globals of the modules that the handlers are of.

A simulated crash leaves the process alive, and with it whatever a handler has put into its module. So each life begins
with the globals as they were before the first one: numbers, texts, lists, mappings and sets, and the caches of
functools. They are set back in place, and only where they changed. What an object of a class keeps is not seen.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from orchestrator.errors import HandlerNotFoundError
from orchestrator.pipelines.definition import steps_of
from orchestrator.runners.handlers import resolve_handler

_PLAIN = (int, float, str, bytes, type(None), tuple, list, dict, set, frozenset, bytearray)
_INSTALLED = ("site-packages", "dist-packages")


class Forgetful:
    """The globals of some modules, as they were when this was made."""

    def __init__(self, namespaces: Iterable[dict[str, Any]]) -> None:
        self._before = [(namespace, _snapshot(namespace)) for namespace in namespaces]

    def forget(self) -> None:
        """Set them back."""
        for namespace, before in self._before:
            for name, value in list(namespace.items()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
                elif name not in before and _is_plain(name, value):
                    del namespace[name]
            for name, value in before.items():
                _put_back(namespace, name, value)


def namespaces_of(subject: Any) -> list[dict[str, Any]]:
    """The globals of the modules that a pipeline's handlers are of, or a durable function is; of our own ones none."""
    found = {id(space): space for function in _functions_of(subject) if (space := _globals_of(function)) is not None}
    return list(found.values())


def globals_of(thing: ModuleType | Callable[..., Any]) -> dict[str, Any]:
    """The globals of a module, or of the one that a function is of."""
    return vars(thing) if isinstance(thing, ModuleType) else _globals_of(thing, own=True) or {}


def _functions_of(subject: Any) -> Iterator[Callable[..., Any]]:
    if not hasattr(subject, "canonical"):
        yield subject
        return
    definition = subject.canonical()
    folder = str(subject.base_dir or "")
    for member in (definition, *definition.get("pipelines", {}).values()):
        for _, step in steps_of(member):
            if isinstance(target := step.get("call"), str):
                try:
                    yield resolve_handler(target, folder)
                except HandlerNotFoundError:
                    continue


def _globals_of(function: Any, own: bool = False) -> dict[str, Any] | None:
    """The globals of the module that a function is of; None where that is installed, and nobody's own."""
    function = inspect.unwrap(function) if callable(function) else function
    module = getattr(function, "__module__", None) or ""
    namespace = getattr(function, "__globals__", None)
    if namespace is None and module in sys.modules:
        namespace = vars(sys.modules[module])
    if not isinstance(namespace, dict):
        return None
    file = str(namespace.get("__file__", ""))
    top = module.partition(".")[0]
    is_installed = top in sys.stdlib_module_names or top == "orchestrator" or any(word in file for word in _INSTALLED)
    return namespace if own or not is_installed else None


def _is_plain(name: str, value: Any) -> bool:
    return not name.startswith("__") and isinstance(value, _PLAIN)


def _snapshot(namespace: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in list(namespace.items()):
        if _is_plain(name, value):
            try:
                found[name] = copy.deepcopy(value)
            except Exception:  # noqa: BLE001 - it holds what cannot be copied: it stays as it is
                continue
    return found


def _put_back(namespace: dict[str, Any], name: str, before: Any) -> None:
    now = namespace.get(name)
    if name in namespace and type(now) is type(before) and _are_equal(now, before):
        return
    fresh = copy.deepcopy(before)
    if type(now) is not type(before):
        namespace[name] = fresh
    elif isinstance(now, list):
        now[:] = fresh
    elif isinstance(now, dict | set):
        now.clear()
        now.update(fresh)
    else:
        namespace[name] = fresh


def _are_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - an `==` of somebody else's
        return False

"""A look at the source of a durable function for what would come out otherwise in its next life.

It sees what the function itself calls by name, and no further: a warning, where the journal tells only after the fact.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

#: What is called -> what is wrong with that, and what to write.
_CLOCK = "reads the clock, and would read another time in the next life; use `orchestrator.now()`, or do it in a step"
_CHANCE = "draws lots, and would draw others in the next life; use `orchestrator.random()`, or do it in a step"
_IDS = "makes an id, and would make another in the next life; use `orchestrator.uuid()`, or do it in a step"
_SLEEP = "sleeps, and would sleep again in every life; use `orchestrator.sleep()`, which is over when it is over"
_WORLD = "asks the world, which may answer otherwise in the next life; do it in a step"
_TOLD = {
    "time": dict.fromkeys(("time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime"), _CLOCK)
    | {"sleep": _SLEEP},
    "datetime": dict.fromkeys(("datetime.now", "datetime.utcnow", "datetime.today", "date.today"), _CLOCK),
    "uuid": dict.fromkeys(("uuid1", "uuid4"), _IDS),
    "os": {"urandom": _CHANCE},
    "asyncio": {"sleep": _SLEEP, "tasks.sleep": _SLEEP},
    "builtins": {"input": _WORLD},
    "_io": {"open": _WORLD},
}
#: Modules of which every function does.
_WHOLE = {
    "random": _CHANCE,
    "secrets": _CHANCE,
    "subprocess": _WORLD,
    "requests": _WORLD,
    "httpx": _WORLD,
    "urllib.request": _WORLD,
}


class DeterminismWarning(UserWarning):
    """A durable function does what may come out otherwise when it runs again."""


def warn_of_chance(function: Callable[..., Any], name: str) -> None:
    """Warn of each call that reads the clock, draws lots, sleeps or asks the world; of none without a source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return
    code = function.__code__
    for line, called, told in _found(tree.body[0], function.__globals__):
        where = code.co_firstlineno + line - 1
        text = f"pipeline {name!r}: {called}() {told}"
        warnings.warn_explicit(text, DeterminismWarning, code.co_filename, where)


def _found(tree: ast.AST, names: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            continue  # a step of its own
        if isinstance(node, ast.Call) and (dotted := _dotted(node.func)) and (told := _told(dotted, names)):
            yield node.lineno, dotted, told
        yield from _found(node, names)


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := _dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def _told(dotted: str, names: dict[str, Any]) -> str | None:
    """What is to be said of a call, by what its name stands for in the module."""
    first, *rest = dotted.split(".")
    found = names.get(first, _BUILTINS.get(first))
    if found is None:
        return None
    path = rest
    while isinstance(found, ModuleType) and path and isinstance(getattr(found, path[0], None), ModuleType):
        found, path = getattr(found, path[0]), path[1:]
    if isinstance(found, ModuleType):
        module, name = found.__name__, ".".join(path)
    else:
        module = getattr(found, "__module__", None) or ""
        name = ".".join([getattr(found, "__qualname__", ""), *path])
        if module == "asyncio.tasks":
            module = "asyncio"
        self_ = getattr(found, "__self__", None)
        if self_ is not None and type(self_).__module__ == "random":  # `from random import choice`
            module = "random"
    return _TOLD.get(module, {}).get(name) or (_WHOLE.get(module) if _is_function(name) else None)


def _is_function(name: str) -> bool:
    """Whether the last part of a dotted name is written as that of a function, and not of a class."""
    return name.rpartition(".")[2][:1].islower()


_BUILTINS = {"open": open, "input": input}

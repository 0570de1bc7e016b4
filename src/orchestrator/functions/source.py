"""Where a function stands: what a later process calls it, and what is wrong with it before it runs."""

from __future__ import annotations

import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.journal.codec import program_name

_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_INSTALLED = tuple(f"{path}{os.sep}" for name in ("purelib", "platlib", "stdlib") if (path := sysconfig.get_path(name)))
#: From Python 3.14 on annotations are evaluated when somebody asks for them.
_FORMAT: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    from annotationlib import Format

    _FORMAT = {"annotation_format": Format.FORWARDREF}
_MUTABLE = (list, dict, set, bytearray)


def place_of_function(function: Callable[..., Any]) -> tuple[str, str]:
    """`module:function`, and the folder that the module is imported from; empty for one that is installed.

    The program itself goes by the name of its file, so that another process finds it.
    """
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    name = function.__module__
    path = function.__qualname__
    if file is None:
        return f"{name}:{path}", ""
    folder = Path(file).absolute().parent
    if name == "__main__":
        name = program_name()
    parts = name.count(".") + (Path(file).name == "__init__.py")
    for _ in range(parts):
        folder = folder.parent
    return f"{name}:{path}", "" if f"{folder}{os.sep}".startswith(_INSTALLED) else str(folder)


def named(function: Callable[..., Any], name: str | None, what: str) -> str:
    """The name of a step or a pipeline. Raises InputError for one that cannot be part of a key."""
    where = _line_of(function)
    found = name if name is not None else function.__name__
    if found == "<lambda>":
        raise InputError(f"{where}: a lambda has no name to be recorded under; write a `def`, or `@{what}(name=...)`")
    if not is_name(found):
        raise InputError(
            f"{where}: {found!r} cannot be the name of a {what}; use letters, digits, _ and -, a letter or _ first"
        )
    return found


def is_name(name: str) -> bool:
    """Whether a text can be the name of a step."""
    return bool(_NAME.fullmatch(name))


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function; annotations that are there for a type checker alone need not be resolvable."""
    return inspect.signature(function, **_FORMAT)


def check_function(function: Any, what: str) -> None:
    """Raise InputError for what cannot be a step or a pipeline."""
    if isinstance(function, staticmethod | classmethod):
        raise InputError(f"@{what} stands below @{type(function).__name__}, not above it")
    decorated = hasattr(type(function), "planned")  # a step, or a pipeline
    if inspect.isclass(function) or not callable(function) or decorated or not hasattr(function, "__qualname__"):
        raise InputError(f"@{what} is for functions, not for {function!r:.60}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InputError(
            f"{_line_of(function)}: {function.__name__} is a generator, whose items would be lost with the process; "
            "return a list"
        )


def check_defaults(function: Callable[..., Any]) -> None:
    """Raise InputError for a default that one execution would share with the next."""
    for name, parameter in signature_of(function).parameters.items():
        if isinstance(parameter.default, _MUTABLE):
            raise InputError(
                f"{_line_of(function)}: the default of {name!r} of pipeline {function.__name__!r} can be changed "
                f"({parameter.default!r:.40}), and the next execution would see that; write `{name}=None`, and make it "
                "in the function"
            )


def _line_of(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def where_called(package: str) -> str:
    """`file:line` of the nearest caller outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"

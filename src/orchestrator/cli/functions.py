"""Durable functions by the name that a person types: `module:function`, or `path/to/file.py:function`.

A module is looked for in the working folder first, as `python -m` does, and then among what is installed. One in a
package is imported as a part of that, wherever the path to its file begins.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.cli.arguments import Parameter
    from orchestrator.cli.outline import Outline
    from orchestrator.errors import InputError
    from orchestrator.functions import PipelineFunction

_ENDINGS = (".yaml", ".yml")


def is_function(named: str) -> bool:
    """Whether it names a function of a module, or Python code at all, and no file of a pipeline."""
    return named.endswith(".py") or (
        ":" in named and not named.lower().endswith(_ENDINGS) and not Path(named).is_file()
    )


def find_function(named: str) -> PipelineFunction[..., Any]:
    """The durable function of this name; imports its module.

    Raises InputError where it is none, and HandlerNotFoundError where it cannot be imported.
    """
    from orchestrator.functions import PipelineFunction
    from orchestrator.runners.handlers import resolve_handler

    place, function = _parted(named)
    target, folder = _of_file(place, function) if place.endswith(".py") else (f"{place}:{function}", str(Path.cwd()))
    found: object = resolve_handler(target, folder)
    if not isinstance(found, PipelineFunction):
        raise _no_pipeline(named, function, found)
    return found


def _parted(named: str) -> tuple[str, str]:
    """The module or file, and the function in it. Raises InputError where a part is missing."""
    from orchestrator.errors import InputError

    if named.endswith(".py"):
        example = f"{named}:{_pipelines_in(Path(named)) or 'FUNCTION'}"
        if not Path(named).is_file():
            raise InputError(f"there is no file {named}; a durable function is named `{example}`")
        raise InputError(f"{named} is Python code; name the durable function in it: `{example}`")
    place, _, function = named.rpartition(":")
    if not place or not function:
        raise InputError(f"{named!r} names no function; write `module:function` or `path/to/file.py:function`")
    return place, function


def _pipelines_in(file: Path) -> str:
    """The name of the first function with @pipeline, as far as can be seen without running the file."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return next((node.name for node in functions if any(map(_is_pipeline, node.decorator_list))), "")


def _is_pipeline(decorator: ast.expr) -> bool:
    inner = decorator.func if isinstance(decorator, ast.Call) else decorator
    return "pipeline" in (getattr(inner, "id", ""), getattr(inner, "attr", ""))


def _of_file(path: str, function: str) -> tuple[str, str]:
    """`module:function` of a file, and the folder that its module, or the package around it, is imported from."""
    from orchestrator.errors import InputError

    file = Path(path).absolute()
    if not file.is_file():
        raise InputError(f"there is no file {path}")
    names, folder = ([] if file.stem == "__init__" else [file.stem]), file.parent
    while (folder / "__init__.py").is_file():
        names, folder = [folder.name, *names], folder.parent
    for name in names:
        if not name.isidentifier():
            raise InputError(
                f"{path} cannot be imported: {name!r} is no name of a module; use letters, digits and _ alone"
            )
    return f"{'.'.join(names)}:{function}", str(folder)


def _no_pipeline(named: str, function: str, found: object) -> InputError:
    from orchestrator.errors import InputError
    from orchestrator.functions import StepFunction

    if isinstance(found, StepFunction):
        return InputError(f"{named} is a step; run a function with @pipeline that calls it")
    return InputError(
        f"{named} is no pipeline; write `@pipeline` above {function} (`from orchestrator import pipeline`)"
    )


def parameters_of_recorded(outline: Outline, folder: str) -> Mapping[str, Parameter]:
    """What the durable function of an execution takes; nothing where it is of a file, or its code cannot be had."""
    from orchestrator.cli.arguments import parameters_of
    from orchestrator.errors import HandlerNotFoundError
    from orchestrator.functions import PipelineFunction
    from orchestrator.runners.handlers import resolve_handler

    if outline.function is None:
        return {}
    try:
        found: object = resolve_handler(outline.function, folder)
    except HandlerNotFoundError:
        return {}
    return parameters_of(found.function) if isinstance(found, PipelineFunction) else {}


def refuse_code(file: object) -> None:
    """Raise InputError where `--file` names Python code."""
    from orchestrator.errors import InputError

    if is_function(str(file)):
        told = f"--file takes the file of a pipeline, not {file}; the code of a function is read anew anyhow"
        raise InputError(told)


def takes_no_file(execution_id: str, function: str) -> InputError:
    """Why `--file` does not go with an execution of a durable function."""
    from orchestrator.errors import InputError

    told = f"execution {execution_id} is of the durable function {function}, whose code is read anew; leave --file out"
    return InputError(told)

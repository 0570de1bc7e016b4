"""What a step does, as data: templates compiled, nothing resolved. The engine and the step kinds read these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import TemplateError
from orchestrator.pipelines.templates import Compiled
from orchestrator.pipelines.wording import kind_of

#: The loop variable of a `for_each` without `as`.
DEFAULT_VARIABLE = "item"


@dataclass(frozen=True, slots=True)
class CallSpec:
    """Call `target` (`module:function`) with keyword arguments; `arguments` resolves to a mapping."""

    target: str
    arguments: Compiled


@dataclass(frozen=True, slots=True)
class ShellText:
    """A script for `sh -c`; `arguments[n]` is the value of the environment variable `ORCHESTRATOR_ARG_<n>` in it."""

    script: str
    arguments: tuple[Compiled, ...]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Run a program. Exactly one of `argv` and `shell` is set.

    An element of `argv` that resolves to a list stands for several arguments. `env` resolves to a mapping of additions.
    """

    argv: tuple[Compiled, ...] | None
    shell: ShellText | None
    env: Compiled
    cwd: Compiled | None
    parse: str


@dataclass(frozen=True, slots=True)
class SetSpec:
    """Set global variables."""

    variables: Mapping[str, Compiled]


@dataclass(frozen=True, slots=True)
class LoopSpec:
    """Do the step once for each item; at most `max_parallel` at a time, None for no bound."""

    items: Compiled
    variable: str
    max_parallel: int | None


Spec = CallSpec | RunSpec | SetSpec


def loop_items(value: Any) -> list[Any]:
    """What a `for_each` goes through: the elements of a list, `{"key": …, "value": …}` for each entry of a mapping.

    Raises TemplateError for anything else.
    """
    if isinstance(value, Mapping):
        return [{"key": key, "value": item} for key, item in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return list(value)
    hint = "a text has no items; split it, as in ${text.split(',')}" if isinstance(value, str) else "give it a list"
    if isinstance(value, (set, frozenset)):
        hint = "a set has no order; sort it, as in ${names | sort}"
    raise TemplateError(f"for_each takes a list or a mapping, not {kind_of(value)}; {hint}")

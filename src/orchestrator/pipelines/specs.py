"""What a step does and what modifies it, as data: templates compiled, nothing resolved.

The engine and the step kinds read these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import TemplateError
from orchestrator.failure import ErrorCategory, ErrorSeverity, RetryConfig
from orchestrator.pipelines.flow_specs import (
    ApproveSpec,
    BlockSpec,
    FailSpec,
    ParallelSpec,
    PipelineSpec,
    ReturnSpec,
    SignalSpec,
    SwitchSpec,
    WaitSpec,
)
from orchestrator.pipelines.templates import Compiled
from orchestrator.pipelines.wording import kind_of

#: The loop variable of a `for_each` without `as`.
DEFAULT_VARIABLE = "item"
#: How many rounds a `while` without `max_iterations` may take.
MAX_ITERATIONS = 1000


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


@dataclass(frozen=True, slots=True)
class WhileSpec:
    """Do the step again as long as `condition` holds, which is judged before each round.

    The step's own id names the output of the last round in it; `variable` is the name of the round's number.
    """

    condition: Compiled
    max_iterations: int
    variable: str | None


@dataclass(frozen=True, slots=True)
class Effect:
    """What to do when it is not known whether a step has had its effect: `retry`, `verify`, `skip` or `ask`.

    `verify` is the handler (`module:function`) that looks.
    """

    in_doubt: str
    verify: str | None = None


Spec = (
    CallSpec
    | RunSpec
    | SetSpec
    | BlockSpec
    | SwitchSpec
    | ParallelSpec
    | PipelineSpec
    | WaitSpec
    | SignalSpec
    | ApproveSpec
    | ReturnSpec
    | FailSpec
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """A rule of `on_error`: which errors it is for, and the way out of them.

    What is empty matches every error. `strategy` is a word of `definition.STRATEGIES`; what follows it is set where the
    strategy has it: `retry` for both that try again (it covers every category: the rule chose the error), `output` for
    `skip`, `checkpoint` for `rollback` (None is the latest), `steps` for `alternative_path`, `instructions` for
    `manual_intervention`. `timeout` is in seconds.
    """

    categories: frozenset[ErrorCategory] = frozenset()
    severities: frozenset[ErrorSeverity] = frozenset()
    exceptions: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    message: str = ""
    strategy: str
    retry: RetryConfig | None = None
    output: Any = field(default=None, hash=False)
    checkpoint: str | None = None
    steps: tuple[str, ...] = ()
    instructions: str = ""
    timeout: float | None = None

    def matches(
        self,
        category: ErrorCategory,
        severity: ErrorSeverity,
        type_names: Collection[str],
        status: int | None,
        message: str,
    ) -> bool:
        """Whether the rule is for this error.

        `type_names` are the names of its type and of the bases, each alone and with its module (`Timeout`,
        `requests.exceptions.Timeout`); `status` is its HTTP status, if it has one.
        """
        return (
            (not self.categories or category in self.categories)
            and (not self.severities or severity in self.severities)
            and (not self.exceptions or not self.exceptions.isdisjoint(type_names))
            and (not self.statuses or status in self.statuses)
            and self.message.casefold() in message.casefold()
        )


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

"""The canonical form of a pipeline: plain data, keys as in a file, only what was set, durations in seconds.

It is what is recorded, compared and planned. The classes of `model` make it; checks, graph and plan read it. So a
recorded pipeline is planned again without loading the validation library, and a file with faults is checked as far as
it goes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

if TYPE_CHECKING:
    from orchestrator.pipelines.positions import Positions

Kind = Literal["call", "run", "set"]

#: The kinds of steps: exactly one of these keys stands in each.
KINDS: tuple[Kind, ...] = ("call", "run", "set")

#: The ways out of a failed attempt: the words of `on_error`.
STRATEGIES = (
    "fail_fast",
    "retry",
    "retry_with_backoff",
    "skip",
    "rollback",
    "manual_intervention",
    "alternative_path",
)


class RetryDef(TypedDict, total=False):
    """`retry`, of a step or of the defaults."""

    max_attempts: int
    initial_delay: float
    max_delay: float
    backoff_factor: float
    exponential_backoff: bool
    jitter: float
    on: list[str]


class ErrorRuleDef(TypedDict, total=False):
    """One rule of `on_error`: what it matches, its strategy, and the options of that."""

    category: list[str]
    severity: list[str]
    exception: list[str]
    status: list[int]
    message: str
    strategy: str
    max_attempts: int
    initial_delay: float
    max_delay: float
    backoff_factor: float
    jitter: float
    output: Any
    checkpoint: str
    instructions: str
    steps: list[str]
    timeout: float


class DefaultsDef(TypedDict, total=False):
    """`defaults`."""

    timeout: float
    retry: RetryDef


class InputDef(TypedDict, total=False):
    """One of `inputs`; required where it has no default."""

    type: str
    default: Any
    description: str


#: One of `steps`. Functional syntax, since some keys are words of Python.
StepDef = TypedDict(
    "StepDef",
    {
        "id": str,
        "call": str,
        "run": str | list[str],
        "set": dict[str, Any],
        "with": dict[str, Any],
        "env": dict[str, str],
        "cwd": str,
        "parse": str,
        "needs": list[str],
        "when": Any,
        "for_each": Any,
        "as": str,
        "max_parallel": int,
        "timeout": float,
        "retry": RetryDef,
        "on_error": list[ErrorRuleDef],
        "checkpoint": str,
        "important": bool,
        "runner": str,
        "returns": list[str] | dict[str, str],
    },
    total=False,
)


class PipelineDef(TypedDict, total=False):
    """A whole pipeline."""

    pipeline: str
    description: str
    inputs: dict[str, InputDef]
    defaults: DefaultsDef
    steps: list[StepDef]
    outputs: dict[str, Any]


class Definition(Protocol):
    """What checks and plans ask of a pipeline."""

    def canonical(self) -> PipelineDef:
        """Its canonical form; a copy."""
        ...

    @property
    def base_dir(self) -> Path | None:
        """The folder of its file; None where it has none."""
        ...

    @property
    def positions(self) -> Positions | None:
        """Where its nodes stand in its file; None where it has none."""
        ...


def kind_of_step(step: StepDef) -> Kind:
    """Which of the kinds a step is; `call` where its definition is at fault."""
    return next((kind for kind in KINDS if kind in step), "call")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(canonical: Mapping[str, Any]) -> str:
    """A short hash (16 hex digits) that is equal for equal definitions, in whatever order their keys stand."""
    text = _ENCODER.encode(canonical)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fingerprint_of(pipeline: PipelineDef, steps: Sequence[str] | None = None) -> str:
    """The fingerprint of a whole pipeline, made of those of its steps (given, where they are at hand)."""
    prints = steps if steps is not None else [fingerprint(step) for step in pipeline["steps"]]
    return fingerprint({**pipeline, "steps": list(prints)})

"""The canonical form of a pipeline: plain data, keys as in a file, only what was set, durations in seconds.

It is what is recorded, compared and planned. The classes of `model` make it; checks, graph and plan read it. So a
recorded pipeline is planned again without loading the validation library, and a file with faults is checked as far as
it goes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, get_args

from orchestrator.pipelines.wording import Path as Place

if TYPE_CHECKING:
    from orchestrator.pipelines.positions import Positions

Kind = Literal[
    "call",
    "run",
    "set",
    "steps",
    "switch",
    "parallel",
    "pipeline",
    "wait",
    "signal",
    "approve",
    "return",
    "fail",
]

#: The kinds of steps: exactly one of these keys stands in each.
KINDS: tuple[Kind, ...] = get_args(Kind)

#: The kinds that are made of steps: of their own, or of a pipeline's.
COMPOUND: tuple[Kind, ...] = ("steps", "switch", "parallel", "pipeline")

#: What a person is asked, where an `approve` step does not say.
CHOICES = ("approve", "reject")

#: What is done with an effect in doubt: the words of `effect.in_doubt`.
IN_DOUBT = ("retry", "verify", "skip", "ask")

#: What becomes of an execution whose `concurrency.key` is taken.
WHEN_BUSY = ("queue", "cancel_older", "refuse")

#: How a pipeline names itself in its own `pipeline` steps.
SELF = "."

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
    timeout: float


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
    on_error: list[ErrorRuleDef]


class InputDef(TypedDict, total=False):
    """One of `inputs`; required where it has no default."""

    type: str
    default: Any
    description: str


class FieldDef(TypedDict, total=False):
    """A field of the `form` of an `approve` step; required where it has no default."""

    type: str
    default: Any
    description: str
    choices: list[Any]


class CaseDef(TypedDict, total=False):
    """A case of `switch`; without `when` the last one, which is taken otherwise."""

    when: Any
    steps: list[StepDef]
    output: Any


class EffectDef(TypedDict, total=False):
    """`effect`: what is done where nobody knows whether a step's effect has happened."""

    in_doubt: str
    verify: str


class ConcurrencyDef(TypedDict, total=False):
    """`concurrency`: executions with an equal key run one at a time."""

    key: str
    when_busy: str


#: One of `steps`. Functional syntax, since some keys are words of Python.
StepDef = TypedDict(
    "StepDef",
    {
        "id": str,
        "call": str,
        "run": str | list[str],
        "set": dict[str, Any],
        "steps": "list[StepDef]",
        "switch": list[CaseDef],
        "parallel": "list[StepDef]",
        "join": int | str,
        "output": Any,
        "pipeline": str,
        "wait": float | str,
        "signal": str,
        "approve": str,
        "who": list[str],
        "choices": list[str],
        "form": dict[str, FieldDef],
        "deadline": float,
        "default": Any,
        "return": dict[str, Any],
        "fail": str,
        "with": dict[str, Any],
        "env": dict[str, str],
        "cwd": str,
        "parse": str,
        "needs": list[str],
        "when": Any,
        "for_each": Any,
        "as": str,
        "max_parallel": int,
        "on_item_failure": str | float,
        "while": Any,
        "max_iterations": int,
        "timeout": float,
        "retry": RetryDef,
        "on_error": list[ErrorRuleDef],
        "effect": EffectDef,
        "checkpoint": str,
        "important": bool,
        "runner": str,
        "returns": list[str] | dict[str, str],
    },
    total=False,
)


#: A whole pipeline. Functional syntax likewise.
#:
#: `pipelines` stands in the root only: every pipeline that is reached from it, under the name by which steps refer to
#: it (the root itself is `SELF` and does not stand there). `folder` stands in those only: the folder of the pipeline's
#: file, seen from that of the root; absent where it is the same.
PipelineDef = TypedDict(
    "PipelineDef",
    {
        "pipeline": str,
        "description": str,
        "inputs": dict[str, InputDef],
        "defaults": DefaultsDef,
        "steps": list[StepDef],
        "finally": list[StepDef],
        "outputs": dict[str, Any],
        "returns": dict[str, str],
        "concurrency": ConcurrencyDef,
        "pipelines": "dict[str, PipelineDef]",
        "folder": str,
    },
    total=False,
)


class FunctionDef(PipelineDef, total=False):
    """That of a durable function (`module:function`), which has no steps but those that it asks for."""

    function: str


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


def blocks_of(step: Mapping[str, Any]) -> Iterator[tuple[Place, list[StepDef]]]:
    """The lists of steps that stand inside of a step, each with its path from there; what is malformed is left out."""
    for key in ("steps", "parallel"):
        if isinstance(inner := step.get(key), list):
            yield (key,), inner
    cases = step.get("switch")
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        if isinstance(case, Mapping) and isinstance(inner := case.get("steps"), list):
            yield ("switch", index, "steps"), inner


def steps_below(steps: Sequence[StepDef], path: Place) -> Iterator[tuple[Place, StepDef]]:
    """Each step of a list that stands at `path`, and each inside of those, with its path, in the order of a file."""
    for index, step in enumerate(steps):
        if isinstance(step, Mapping):
            yield (*path, index), step
            for inner, block in blocks_of(step):
                yield from steps_below(block, (*path, index, *inner))


def steps_of(pipeline: PipelineDef) -> Iterator[tuple[Place, StepDef]]:
    """Each step of a pipeline at every depth, those of `finally` included, with its path; those of members are not."""
    for key in ("steps", "finally"):
        if isinstance(listed := pipeline.get(key), list):
            yield from steps_below(listed, (key,))


def members_of(pipeline: PipelineDef) -> Iterator[tuple[Place, PipelineDef]]:
    """The pipelines that a root holds, with their paths, the root itself first (its path is empty).

    A finding below the path of a member is shown in the file of that member.
    """
    yield (), pipeline
    for ref, member in pipeline.get("pipelines", {}).items():
        yield ("pipelines", ref), member


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(canonical: Mapping[str, Any]) -> str:
    """A short hash (16 hex digits) that is equal for equal definitions, in whatever order their keys stand."""
    text = _ENCODER.encode(canonical)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fingerprint_of(pipeline: PipelineDef, steps: Sequence[str] | None = None) -> str:
    """The fingerprint of a whole pipeline, made of those of its steps (given, where they are at hand)."""
    prints = steps if steps is not None else [fingerprint(step) for step in pipeline["steps"]]
    return fingerprint({**pipeline, "steps": list(prints)})

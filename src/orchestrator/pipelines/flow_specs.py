"""What a step does that is no work of its own: steps within it, another pipeline, waiting, asking, an end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.pipelines.templates import Compiled

if TYPE_CHECKING:
    from orchestrator.pipelines.definition import FieldDef


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """Do the steps of a block; `output`, resolved inside of it at its end, replaces the mapping of their outputs."""

    output: Compiled | None


@dataclass(frozen=True, slots=True)
class CaseSpec:
    """A case of a switch: taken where `when` holds; None for what is taken otherwise."""

    when: Compiled | None
    output: Compiled | None


@dataclass(frozen=True, slots=True)
class SwitchSpec:
    """Do the steps of the first case that holds."""

    cases: tuple[CaseSpec, ...]


@dataclass(frozen=True, slots=True)
class ParallelSpec:
    """Do branches at the same time; `output` as that of a block."""

    output: Compiled | None


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """Run another pipeline; `ref` is its name among the plan's `pipelines`, `arguments` resolves to its inputs."""

    ref: str
    arguments: Compiled


@dataclass(frozen=True, slots=True)
class WaitSpec:
    """Wait for a duration, or for a moment; what `time` resolves to is read by the engine."""

    time: Compiled


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """Wait for a message of a name. After `deadline` seconds its payload is `default`; without one the step fails."""

    name: Compiled
    deadline: float | None
    has_default: bool
    default: Any = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class ApproveSpec:
    """Ask a person. `who` resolves to the names of those who may answer, none for everybody.

    After `deadline` seconds `default` is the choice; without one the step fails.
    """

    prompt: Compiled
    who: Compiled
    choices: tuple[str, ...]
    form: Mapping[str, FieldDef] = field(hash=False)
    deadline: float | None
    default: str | None


@dataclass(frozen=True, slots=True)
class ReturnSpec:
    """End the pipeline, well, with these outputs."""

    outputs: Mapping[str, Compiled]


@dataclass(frozen=True, slots=True)
class FailSpec:
    """Fail with a message."""

    message: Compiled

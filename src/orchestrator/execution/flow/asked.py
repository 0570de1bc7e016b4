"""One call of a durable function: what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from orchestrator.execution.driver import Prepared
from orchestrator.journal.codec import Encoded
from orchestrator.pipelines.definition import StepDef
from orchestrator.pipelines.plan import CallSpec, Plan, PlannedStep
from orchestrator.pipelines.templates import Compiled
from orchestrator.types import StepKey

#: Makes the work of a call afresh for each attempt; a call in a `map` is given the arguments of its item.
Make: TypeAlias = Callable[[Any], Prepared]


class Answer(Protocol):
    """Who waits for a call: an asyncio future, or one of a thread."""

    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...
    def done(self) -> bool: ...


class Given(Compiled):
    """A value that is there already, where a field of a pipeline has a template."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def resolve(self, scope: Mapping[str, Any], strict: bool = True) -> Any:
        """The value."""
        return self.value


def planned(definition: StepDef) -> PlannedStep:
    """A step of a durable function, ready to run: nothing of it is a template."""
    step = PlannedStep(definition, {}, frozenset(), ())
    step.when, step.when_per_item, step.loop, step.repeat = None, False, None, None
    step.spec = CallSpec(definition.get("call", ""), Given({}))
    return step


@dataclass(slots=True, eq=False)
class Asked:
    """A call. It has its key from when it is made; it is asked for when somebody awaits it.

    `is_function` says that it runs a durable function, `alternatives` are the other calls that its recovery may make,
    by name; `plan`, `model` and `graph` are of the pipeline that it runs, where it runs one. `where` is the line of the
    caller, for messages.
    """

    name: str
    key: StepKey
    step: PlannedStep
    make: Make
    where: str = ""
    is_function: bool = False
    alternatives: Mapping[str, tuple[PlannedStep, Make]] = field(default_factory=lambda: _NONE)
    plan: Plan | None = None
    model: Encoded | None = None
    graph: Encoded | None = None
    #: What looks whether its effect has happened.
    verify: Callable[..., Any] | None = None
    generation: int = 0
    #: The function that asked for it (a Flow), from when it did.
    flow: Any = None
    #: Who waits for it; None before anybody does.
    answer: Answer | None = None
    #: Whether whoever awaits it is the function itself, and not a task that it made.
    by_root: bool = False
    #: The task that waits for it, in an async function.
    task: Any = None

    def close(self) -> None:
        """It has its outcome: what it was called with, and what came of it, is not kept here."""
        self.answer = self.task = None
        self.make, self.alternatives = _over, _NONE


_NONE: Mapping[str, tuple[PlannedStep, Make]] = {}


def _over(_: Any) -> Prepared:
    raise RuntimeError("this call has its outcome, and is not made again")

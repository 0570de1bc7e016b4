"""A step of a plan, and a graph of such steps.

The graphs inside of a step are made with it, since the engine's machine needs them whole; what is compiled of a step is
made when it is first asked for. So a resume of a thousand steps compiles those that are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.failure import RetryConfig
from orchestrator.pipelines.compiling import CompiledStep, compile_step
from orchestrator.pipelines.definition import COMPOUND, DefaultsDef, Kind, StepDef, blocks_of, fingerprint, kind_of_step
from orchestrator.pipelines.needs import in_order
from orchestrator.pipelines.plan_policies import effect_of, error_rules_of, item_failure_of, join_of, retry_of
from orchestrator.pipelines.specs import Effect, ErrorRule, LoopSpec, Spec, WhileSpec
from orchestrator.pipelines.templates import Compiled

#: What is recorded of a graph: for each step, in the order of the definition, the indices of those it needs; for one
#: with graphs inside, `{"needs": […], "blocks": [graph, …]}`.
FlowGraph = Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A graph of steps, in an order in which they can run."""

    steps: Mapping[str, PlannedStep]


class PlannedStep:
    """One step. `needs` and `dependents` are ids of the same flow; `when_per_item` says that `when` is judged once for
    each item.

    `blocks` are the flows inside: one of `steps` and `parallel`, one for each case of `switch`. What is compiled of it
    (`spec`, `when`, `loop`, `repeat`) and made of its policies is made when it is first asked for. Two threads that ask
    at once make the same.
    """

    __slots__ = (
        "_defaults",
        "blocks",
        "checkpoint",
        "definition",
        "dependents",
        "effect",
        "id",
        "important",
        "is_compound",
        "item_failure",
        "join",
        "kind",
        "loop",
        "max_parallel",
        "needs",
        "on_error",
        "recovers",
        "repeat",
        "retry",
        "runner",
        "spec",
        "timeout_seconds",
        "when",
        "when_per_item",
    )

    id: str
    needs: frozenset[str]
    dependents: tuple[str, ...]
    #: Its canonical form.
    definition: StepDef
    #: Which of the kinds it is.
    kind: Kind
    blocks: tuple[Flow, ...]
    #: Whether it is made of other steps: its own, or a pipeline's.
    is_compound: bool
    spec: Spec
    when: Compiled | None
    when_per_item: bool
    loop: LoopSpec | None
    repeat: WhileSpec | None
    timeout_seconds: float | None
    retry: RetryConfig
    on_error: tuple[ErrorRule, ...]
    effect: Effect | None
    #: Of `parallel`: how many branches must end well; None for all.
    join: int | None
    #: What a failed item of a loop does: `stop` it, be kept as one that failed, or be borne up to a share of all.
    item_failure: Literal["stop", "collect"] | float
    #: Whether it is made of other steps, and has a word to say when these have failed: more attempts, or rules.
    recovers: bool

    def __init__(
        self,
        definition: StepDef,
        defaults: DefaultsDef,
        needs: frozenset[str],
        dependents: tuple[str, ...],
        blocks: tuple[Flow, ...] = (),
    ) -> None:
        self.id, self.definition = definition["id"], definition
        self.needs, self.dependents, self.blocks = needs, dependents, blocks
        self._defaults = defaults if not defaults or "call" in definition else defaults_for(definition, defaults)
        self.timeout_seconds = definition.get("timeout", self._defaults.get("timeout"))
        self.checkpoint = definition.get("checkpoint")
        self.important = definition.get("important", False)
        self.runner = definition.get("runner")
        #: How many items of its loop run at a time; None where it says nothing, or has no loop.
        self.max_parallel = definition.get("max_parallel") if "for_each" in definition else None

    @property
    def is_loop(self) -> bool:
        """Whether it is done for each of some items."""
        return "for_each" in self.definition

    @property
    def is_repeated(self) -> bool:
        """Whether it is done as long as a condition holds."""
        return "while" in self.definition

    @property
    def target(self) -> str | None:
        """The handler that it calls, `module:function`; None where it calls none."""
        return self.definition.get("call")

    @property
    def fingerprint(self) -> str:
        """A short hash of its canonical form."""
        return fingerprint(self.definition)

    def take(self, compiled: CompiledStep) -> None:
        """Take what was compiled of it, and of the steps inside."""
        self.when, self.when_per_item = compiled.when, compiled.when_per_item
        self.loop, self.repeat, self.spec = compiled.loop, compiled.repeat, compiled.spec
        for flow, block in zip(self.blocks, compiled.blocks, strict=False):
            for step in block:
                flow.steps[step.id].take(step)

    def __getattr__(self, name: str) -> Any:
        """A slot that was not filled yet."""
        if name in ("spec", "when", "when_per_item", "loop", "repeat"):
            self.take(compile_step(self.definition, ("steps", self.id)))
        elif name in _POLICIES:
            setattr(self, name, _POLICIES[name](self.definition, self._defaults))
        elif name == "kind":
            self.kind = kind_of_step(self.definition)
        elif name == "is_compound":
            self.is_compound = self.kind in COMPOUND
        elif name == "recovers":
            self.recovers = self.is_compound and (self.retry.max_attempts > 1 or bool(self.on_error))
        else:
            raise AttributeError(f"a planned step has no {name}")
        return getattr(self, name)


_POLICIES = {
    "retry": retry_of,
    "on_error": error_rules_of,
    "effect": effect_of,
    "join": join_of,
    "item_failure": item_failure_of,
}

_NONE: DefaultsDef = {}


def defaults_for(step: StepDef, defaults: DefaultsDef) -> DefaultsDef:
    """What of the defaults holds for a step: all for work; of those made of others, the rules for errors."""
    kind = kind_of_step(step)
    if kind in ("call", "run"):
        return defaults
    return {"on_error": defaults["on_error"]} if kind in COMPOUND and "on_error" in defaults else _NONE


def planned_steps(steps: Sequence[StepDef], defaults: DefaultsDef, graph: FlowGraph) -> dict[str, PlannedStep]:
    """The steps of a flow, none of them compiled, in an order in which they can run."""
    ids = [step["id"] for step in steps]
    needs = [element["needs"] if type(element) is dict else element for element in graph]
    dependents: list[list[str]] = [[] for _ in steps]
    for id_, needed in zip(ids, needs, strict=True):
        for need in needed:
            dependents[need].append(id_)
    return {
        ids[index]: PlannedStep(
            steps[index],
            defaults,
            frozenset([ids[need] for need in needs[index]]),
            tuple(dependents[index]),
            _blocks(steps[index], defaults, graph[index]) if type(graph[index]) is dict else (),
        )
        for index in in_order(needs)
    }


def _blocks(step: StepDef, defaults: DefaultsDef, element: Any) -> tuple[Flow, ...]:
    lists = [steps for _, steps in blocks_of(step)]
    return tuple(
        Flow(steps=planned_steps(steps, defaults, graph)) for steps, graph in zip(lists, element["blocks"], strict=True)
    )

"""Frames: the inside of a step that holds others, and of the pipeline itself, as far as it decides what is next.

    GraphFrame   the steps of a block, of a case, of branches, of a sub-pipeline: a graph with needs
    ItemsFrame   the items of a `for_each`, or the rounds of a `while`: a list
    CallsFrame   the calls of a durable function: steps that come to be when the function asks for them

A frame that is *closing* hands out nothing new. It is over when nothing of it is under way any more, which only whoever
drives can see; then its `finally` steps run, where it has some, and then its owner is asked what it came to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.journal.keys import item_key
from orchestrator.status import Closing, StepStatus
from orchestrator.types import StepKey

#: What depends on a step goes on after these.
WELL = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
#: Nothing of a step in one of these runs again in its generation.
ENDED = WELL | {StepStatus.FAILED, StepStatus.CANCELLED}


class Flow(Protocol):
    """A graph of steps."""

    @property
    def steps(self) -> Mapping[str, Node]: ...


class Node(Protocol):
    """What the machine needs to know of a planned step."""

    @property
    def kind(self) -> str: ...
    @property
    def needs(self) -> frozenset[str]: ...
    @property
    def dependents(self) -> tuple[str, ...]: ...
    @property
    def blocks(self) -> Sequence[Flow]: ...
    @property
    def join(self) -> int | None: ...
    @property
    def item_failure(self) -> str | float: ...
    @property
    def max_parallel(self) -> int | None: ...
    @property
    def recovers(self) -> bool: ...
    @property
    def is_loop(self) -> bool: ...
    @property
    def is_repeated(self) -> bool: ...


@dataclass(slots=True)
class Step:
    """One step: how many of its needs have not ended, where it stands, in which generation."""

    unmet: int = 0
    status: StepStatus = StepStatus.PENDING
    generation: int = 1


@dataclass(slots=True, eq=False)
class Frame:
    """What both kinds have. `owner` is `""` for the pipeline itself; `node` is the owner's."""

    owner: StepKey
    parent: Frame | None = None
    node: Node | None = None
    closing: Closing | None = None
    #: The steps of it that failed for good and are not borne, in the order in which they did.
    failed: list[StepKey] = field(default_factory=list)
    #: Whether its owner was asked what it came to. Not kept over a restart: the question is asked again.
    concluded: bool = False

    def bears(self, more: int = 1) -> bool:
        """Whether so many more failures in it would not make it fail."""
        raise NotImplementedError

    def present(self) -> Iterator[tuple[StepKey, Step]]:
        """Its steps, each with its key."""
        raise NotImplementedError

    def get(self, mark: str, name: str) -> Step | None:
        """The step of this name, or number, behind this mark; None where there is none."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class GraphFrame(Frame):
    """A graph. `mark` stands between the owner's key and the names: `.`, `/`, or nothing for the pipeline itself."""

    mark: str = ""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    last: Mapping[str, Node] = field(default_factory=dict)
    #: How many of its steps must end well; None for all of them.
    join: int | None = None
    steps: dict[str, Step] = field(default_factory=dict)
    last_steps: dict[str, Step] = field(default_factory=dict)
    #: Whether its `finally` steps have begun, and why it had been closing then.
    last_begun: bool = False
    ending: Closing | None = None
    #: The steps that ended well, in that order, where somebody asks for the order; those that failed and are borne.
    order: list[str] = field(default_factory=list)
    borne: int = 0
    remaining: int = 0
    #: The step that said `return`.
    returned: StepKey | None = None
    #: Whether it was given up before anybody worked on it: there is nothing to tidy up.
    never_began: bool = False

    @classmethod
    def of(
        cls,
        owner: StepKey,
        parent: Frame | None,
        node: Node | None,
        mark: str,
        nodes: Mapping[str, Node],
        last: Mapping[str, Node] = {},
        join: int | None = None,
        generation: int = 1,
    ) -> GraphFrame:
        """A frame of which nothing has begun."""
        return cls(
            owner,
            parent,
            node,
            mark=mark,
            nodes=nodes,
            last=last,
            join=join,
            steps={name: Step(len(node.needs), generation=generation) for name, node in nodes.items()},
            last_steps={name: Step(len(node.needs), generation=generation) for name, node in last.items()},
            remaining=len(nodes),
        )

    def key(self, name: str) -> StepKey:
        """The key of one of its steps."""
        return StepKey(f"{self.owner}{self.mark}{name}")

    def is_last(self, key: StepKey) -> bool:
        """Whether a step of it is one of its `finally` steps."""
        return key[len(self.owner) + len(self.mark) :] in self.last_steps

    def bears(self, more: int = 1) -> bool:
        return self.join is not None and len(self.nodes) - self.borne - more >= self.join

    @property
    def why(self) -> Closing | None:
        """Why it closes, or did before its `finally` steps began."""
        return self.closing or self.ending

    def present(self) -> Iterator[tuple[StepKey, Step]]:
        for name, step in self.steps.items():
            yield self.key(name), step
        for name, step in self.last_steps.items():
            yield self.key(name), step

    def get(self, mark: str, name: str) -> Step | None:
        return self.steps.get(name) or self.last_steps.get(name) if mark == self.mark else None

    def count(self) -> None:
        """Everything that is counted, afresh."""
        for nodes, steps in ((self.nodes, self.steps), (self.last, self.last_steps)):
            for name, node in nodes.items():
                steps[name].unmet = sum(steps[need].status not in WELL for need in node.needs)
        self.borne = sum(step.status is StepStatus.FAILED for step in self.steps.values()) if self.join else 0
        self.order = [name for name in self.order if self.steps[name].status in WELL]
        self.remaining = sum(not self.has_ended(step) for step in self.steps.values())

    @property
    def is_decided(self) -> bool:
        """Whether as many of its steps as must have ended well, and others have not ended."""
        return self.join is not None and self.remaining > 0 and len(self.order) >= self.join

    @property
    def last_is_over(self) -> bool:
        """Whether none of its `finally` steps can still go on: what needs one that failed does not."""
        return all(step.unmet or step.status in ENDED for step in self.last_steps.values())

    def has_ended(self, step: Step) -> bool:
        """Whether nothing waits for a step any more."""
        return step.status in WELL or (self.join is not None and step.status is StepStatus.FAILED)


@dataclass(frozen=True, slots=True)
class Called:
    """What is known of a call before the function has asked for it in this life: what its events say."""

    kind: str = "call"
    item_failure: str | float = "stop"
    is_loop: bool = False
    max_parallel: int | None = None
    definition: Mapping[str, Any] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    dependents: tuple[str, ...] = ()
    blocks: Sequence[Flow] = ()
    join: int | None = None
    recovers: bool = False
    is_repeated: bool = False


_CALLED = Called()


@dataclass(slots=True, eq=False)
class CallsFrame(GraphFrame):
    """The calls of a durable function. The function decides what is next, and what a failure means.

    So nothing in it follows from an event. `nodes` has the calls that the function has asked for in this life: what
    others there are is not gone on with before it does.
    """

    #: Which generation a call has that is asked for first.
    first: int = 1
    #: Rises when the function is to begin anew from its first line.
    life: int = 1

    def known(self, name: str) -> Node:
        """What is known of a call."""
        return self.nodes.get(name, _CALLED)

    def call(self, name: str) -> Step:
        """The step of a call; made where it was never asked for."""
        if (step := self.steps.get(name)) is None:
            step = self.steps[name] = Step(generation=self.first)
        return step

    def bears(self, more: int = 1) -> bool:
        return True

    def count(self) -> None:
        """Nothing is counted: it is over when the function has ended."""


@dataclass(slots=True, eq=False)
class ItemsFrame(Frame):
    """The items of one loop. `next` is the first index that was never handed out since the last claim."""

    items: list[Step] = field(default_factory=list)
    window: int = 1
    next: int = 0
    done: int = 0
    borne: int = 0
    #: The share of the items that may fail: 1 for all of them, 0 for none.
    share: float = 0.0
    #: Whether these are the rounds of a `while`: how many there are is found out one by one.
    repeated: bool = False

    def bears(self, more: int = 1) -> bool:
        return self.share > 0 and self.borne + more <= self.share * len(self.items) + 1e-9

    def present(self) -> Iterator[tuple[StepKey, Step]]:
        for index, step in enumerate(self.items):
            yield item_key(self.owner, index), step

    def get(self, mark: str, name: str) -> Step | None:
        return self.items[index] if mark == "[" and (index := int(name)) < len(self.items) else None

    def count(self) -> None:
        """Everything that is counted, afresh."""
        self.next = 0
        self.borne = sum(item.status is StepStatus.FAILED for item in self.items) if self.share else 0
        self.done = sum(item.status in WELL for item in self.items) + self.borne


def share_of(policy: str | float) -> float:
    """The share of a loop's items that may fail, of its `on_item_failure`."""
    return {"stop": 0.0, "collect": 1.0}[policy] if isinstance(policy, str) else policy


#: Gives the steps and the `finally` steps of the sub-pipeline that a step runs.
SubFlow = Callable[[Node], tuple[Mapping[str, Node], Mapping[str, Node]]]

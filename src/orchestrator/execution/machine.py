"""The machine: events in, instructions out.

It knows the graph and what has ended, and says what is to be done next. It has no clock, no store, no thread and awaits
nothing, so that a live execution and a replayed one are the same calls. It never sees attempts, values or errors: only
that a step started, ended, was skipped or failed. Work per event does not depend on how many steps there are.

    PENDING ── started ──> RUNNING ── succeeded ──> COMPLETED          (the table is status.STEP_MOVES)
       └─ skipped ──> SKIPPED  └── failed ──> FAILED ── retried ──> PENDING of the next generation

A loop step is RUNNING from its expansion on; each item is a step of its own, and when the last has ended the machine
asks for the join, which ends the loop step. After a failure nothing new is started (`Fail` is said once, and whoever
drives lets finish what runs). A step that waits for a person is not handed out until the answer came. A restore brings
steps back to PENDING in a new generation; what belongs to an older one is refused. What a step's recovery runs under
keys of its own (`fetch/mirror`) is the step's business, and passes by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from orchestrator.errors import IllegalMoveError
from orchestrator.journal import events as ev
from orchestrator.journal.events import Event
from orchestrator.journal.fold import ENDED_WELL, is_part, item_key, split_item_key
from orchestrator.status import EXECUTION_MOVES, STEP_MOVES, ExecutionStatus, StepStatus, check_move
from orchestrator.types import StepKey


class Node(Protocol):
    """What the machine needs to know of a planned step."""

    @property
    def needs(self) -> frozenset[str]: ...
    @property
    def dependents(self) -> tuple[str, ...]: ...


# -- instructions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Execute:
    """Carry this step on: it may start, or was under way when its engine died."""

    key: StepKey
    generation: int


@dataclass(frozen=True, slots=True)
class Join:
    """Every item of this loop has ended: end the loop step."""

    key: StepKey
    generation: int


@dataclass(frozen=True, slots=True)
class Complete:
    """Every step has ended well: end the execution."""


@dataclass(frozen=True, slots=True)
class Fail:
    """This step failed for good: start nothing new, let finish what runs, end the execution."""

    key: StepKey


Instruction: TypeAlias = Execute | Join | Complete | Fail


@dataclass(slots=True)
class _Step:
    unmet: int = 0
    status: StepStatus = StepStatus.PENDING
    generation: int = 1


@dataclass(slots=True)
class _Loop:
    """The items of one expanded loop. `next` is the first index that was never handed out since the last claim."""

    items: list[_Step]
    window: int
    next: int = 0
    done: int = 0


@dataclass(slots=True)
class Machine:
    """The state of one execution, as far as it decides what is next. `windows` gives `max_parallel` of loops."""

    nodes: Mapping[str, Node]
    windows: Mapping[str, int] = field(default_factory=dict)
    status: ExecutionStatus = ExecutionStatus.PENDING
    failed: list[StepKey] = field(default_factory=list)
    #: Steps that wait for a person, in the order in which they asked.
    waiting: dict[StepKey, None] = field(default_factory=dict)
    _renewed: dict[StepKey, None] = field(default_factory=dict)
    _steps: dict[str, _Step] = field(init=False)
    _loops: dict[str, _Loop] = field(default_factory=dict)
    #: Loop -> the highest generation that an item of it had before the loop itself began anew.
    _past_items: dict[str, int] = field(default_factory=dict)
    _remaining: int = field(init=False)
    _story: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._steps = {key: _Step(len(node.needs)) for key, node in self.nodes.items()}
        self._remaining = len(self._steps)

    def apply(self, event: Event) -> list[Instruction]:
        """Take in an event and say what follows from it. Raises IllegalMoveError, with the latest events."""
        match event:
            case ev.StepStarted(key=key, generation=generation):
                self._move(key, generation, StepStatus.RUNNING)
                return []
            case ev.StepSucceeded(key=key, generation=generation) | ev.StepSkipped(key=key, generation=generation):
                ended = StepStatus.COMPLETED if isinstance(event, ev.StepSucceeded) else StepStatus.SKIPPED
                if not self._move(key, generation, ended):
                    return []
                return list(self._after_item(key) if key not in self._steps else self._after_step(key))
            case ev.StepFailed(key=key, generation=generation):
                if not self._move(key, generation, StepStatus.FAILED):
                    return []
                self.failed.append(key)
                return [Fail(key)] if len(self.failed) == 1 else []
            case ev.LoopExpanded(key=key, generation=generation, items=items):
                self._move(key, generation, StepStatus.RUNNING)
                first = self._past_items.get(key, 0) + 1
                made = [_Step(generation=first) for _ in items]
                self._loops[key] = _Loop(made, self.windows.get(key) or len(items))
                return list(self._fill(StepKey(key)))
            case ev.InterventionRequested(key=key):
                self.waiting[key] = None
            case ev.InterventionAnswered(key=key, generation=generation):
                self.waiting.pop(key, None)
                return [Execute(key, generation)] if not self.failed else []
            case ev.ExecutionRetried(keys=keys):
                for key in keys:
                    self._renew(key)
                return []
            case ev.ExecutionRestored(keys=keys, expanded=expanded):
                self._restore(keys, expanded)
                return list(self.outstanding())
            case ev.ExecutionClaimed():
                self._become(ExecutionStatus.RUNNING)
                return list(self.outstanding())
            case ev.ExecutionPaused():
                self._become(ExecutionStatus.PAUSED)
            case ev.ExecutionCompleted():
                self._become(ExecutionStatus.COMPLETED)
            case ev.ExecutionFailed():
                self._become(ExecutionStatus.FAILED)
            case ev.ExecutionCancelled():
                self._become(ExecutionStatus.CANCELLED)
        return []

    def outstanding(self) -> Iterator[Instruction]:
        """All that is to be done now, by somebody who has nothing under way."""
        if self.failed:  # what was asked for again runs first, although another failure will end the execution
            # (A loop that has its items by now goes on with the others, when the failed step is retried.)
            renewed = [key for key in self._renewed if key not in self._loops]
            yield from (Execute(key, self._find(key).generation) for key in renewed)
            yield Fail(self.failed[0])
        elif not self._remaining:
            yield Complete()
        else:
            for key, step in self._steps.items():
                if step.status in ENDED_WELL or step.unmet or key in self.waiting:
                    continue
                if loop := self._loops.get(key):
                    loop.next = 0
                    yield from self._fill(StepKey(key))
                else:
                    yield Execute(StepKey(key), step.generation)

    def has_ended(self, key: StepKey) -> bool:
        """Whether a step completed or was skipped, so that nothing of it will run again."""
        return self._find(key).status in ENDED_WELL

    def check(self, event: Event) -> None:
        """Raise IllegalMoveError for an outcome that comes too late: the step has ended, or is of a new generation."""
        match event:
            case (
                ev.StepStarted(key=key, generation=generation)
                | ev.StepSucceeded(key=key, generation=generation)
                | ev.StepSkipped(key=key, generation=generation)
                | ev.StepFailed(key=key, generation=generation)
            ):
                if is_part(key):
                    return
                step = self._find(key)
                if step.generation != generation or step.status in ENDED_WELL or step.status is StepStatus.FAILED:
                    raise IllegalMoveError(
                        f"step {key} (generation {generation})", str(step.status), type(event).__name__
                    )

    def validate(self) -> None:
        """Raise AssertionError where the invariants do not hold; for tests."""
        for key, node in self.nodes.items():
            step = self._steps[key]
            met = sum(self._steps[need].status in ENDED_WELL for need in node.needs)
            assert step.unmet == len(node.needs) - met, (
                f"{key}: {step.unmet} unmet needs, {met} of {len(node.needs)} met"
            )
            assert not step.unmet or step.status is StepStatus.PENDING, (
                f"{key} is {step.status} before its needs are met"
            )
        assert self._remaining == sum(s.status not in ENDED_WELL for s in self._steps.values())
        for key, loop in self._loops.items():
            assert loop.done == sum(item.status in ENDED_WELL for item in loop.items), (
                f"{key}: items are counted wrongly"
            )
        if self.status is ExecutionStatus.COMPLETED:
            assert not self._remaining, "completed with steps that have not ended"

    # -- moves ---------------------------------------------------------------------------------------------------------

    def _find(self, key: StepKey) -> _Step:
        step = self._steps.get(key)
        if step is not None:
            return step
        found = split_item_key(key)
        if found is None or found[0] not in self._loops or found[1] >= len(self._loops[found[0]].items):
            raise IllegalMoveError(f"step {key}", "unknown", "anything", self._told())
        return self._loops[found[0]].items[found[1]]

    def _is_item(self, key: StepKey) -> bool:
        found = split_item_key(key)
        return found is not None and found[0] in self._loops

    def _move(self, key: StepKey, generation: int, new: StepStatus) -> bool:
        """Bring a step to a status; False for what is no step of the graph."""
        if is_part(key):
            return False
        step = self._find(key)
        self._tell(f"{key}: {step.status} -> {new}")
        if step.generation != generation:
            raise IllegalMoveError(
                f"step {key}", f"generation {step.generation}", f"an event of {generation}", self._told()
            )
        if step.status is new is StepStatus.RUNNING:  # a further attempt
            return True
        try:
            check_move(STEP_MOVES, step.status, new, f"step {key}")
        except IllegalMoveError as exc:
            raise IllegalMoveError(exc.what, exc.old, exc.new, self._told()) from None
        step.status = new
        if new is not StepStatus.RUNNING:
            self._renewed.pop(key, None)
        return True

    def _become(self, new: ExecutionStatus) -> None:
        self._tell(f"execution: {self.status} -> {new}")
        if self.status is new is ExecutionStatus.RUNNING:  # claimed again after a crash
            return
        try:
            check_move(EXECUTION_MOVES, self.status, new, "the execution")
        except IllegalMoveError as exc:
            raise IllegalMoveError(exc.what, exc.old, exc.new, self._told()) from None
        self.status = new

    def _renew(self, key: StepKey) -> None:
        step = self._find(key)
        if step.status is not StepStatus.FAILED:
            raise IllegalMoveError(f"step {key}", str(step.status), "a new generation", self._told())
        step.status, step.generation = StepStatus.PENDING, step.generation + 1
        self.failed.remove(key)
        self._renewed[key] = None

    def _restore(self, keys: Sequence[StepKey], expanded: Sequence[StepKey]) -> None:
        """Bring these steps back in a new generation, and count everything afresh."""
        self._tell(f"restored: {', '.join(keys)}")
        for key in keys:
            if key not in expanded and (loop := self._loops.pop(key, None)):
                past = max((item.generation for item in loop.items), default=0)
                self._past_items[key] = max(past, self._past_items.get(key, 0))
        for key in keys:
            if not is_part(key) and (key in self._steps or self._is_item(key)):
                step = self._find(key)
                step.status = StepStatus.RUNNING if key in expanded else StepStatus.PENDING
                step.generation += 1
        renewed = set(keys)
        self._renewed.clear()
        self.failed[:] = [key for key in self.failed if key not in renewed]
        for key in [*self.waiting]:
            if key in renewed or not (key in self._steps or self._is_item(key)):
                del self.waiting[key]
        self._count()

    def _count(self) -> None:
        for key, node in self.nodes.items():
            self._steps[key].unmet = sum(self._steps[need].status not in ENDED_WELL for need in node.needs)
        self._remaining = sum(step.status not in ENDED_WELL for step in self._steps.values())
        for loop in self._loops.values():
            loop.next, loop.done = 0, sum(item.status in ENDED_WELL for item in loop.items)

    def _after_step(self, key: StepKey) -> Iterator[Instruction]:
        self._remaining -= 1
        for dependent in self.nodes[key].dependents:
            step = self._steps[dependent]
            step.unmet -= 1
            if not step.unmet and not self.failed:
                yield Execute(StepKey(dependent), step.generation)
        if not self._remaining and not self.failed:
            yield Complete()

    def _after_item(self, key: StepKey) -> Iterator[Instruction]:
        found = split_item_key(key)
        assert found is not None
        self._loops[found[0]].done += 1
        yield from self._fill(found[0], 1)

    def _fill(self, key: StepKey, places: int | None = None) -> Iterator[Instruction]:
        """Hand out items of a loop: as many as have a place, or the join where none is left."""
        loop = self._loops[key]
        if self.failed:
            return
        if loop.done == len(loop.items):
            yield Join(key, self._steps[key].generation)
            return
        places = loop.window if places is None else places
        while places and loop.next < len(loop.items):
            index, item = loop.next, loop.items[loop.next]
            loop.next += 1
            if item.status not in ENDED_WELL:
                places -= 1  # one that waits for a person keeps its place
                if item_key(key, index) not in self.waiting:
                    yield Execute(item_key(key, index), item.generation)

    def _tell(self, line: str) -> None:
        self._story.append(line)
        if len(self._story) > 40:
            del self._story[:20]

    def _told(self) -> str:
        return "what led to it:\n  " + "\n  ".join(self._story)

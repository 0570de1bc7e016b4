"""The machine against a naive model: random graphs, random outcomes, crashes and retries in between.

The model knows nothing of counters: it looks at the whole graph each time. Any prefix of a journal, replayed into a new
machine, must leave the same work outstanding.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.machine import Complete, Execute, Fail, Instruction, Join, Machine
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.fold import item_key
from orchestrator.status import EXECUTION_MOVES, STEP_MOVES, ExecutionStatus, StepStatus
from orchestrator.types import StepKey

NULL = Encoded(b"\xc0")


@dataclass(frozen=True)
class Node:
    needs: frozenset[str]
    dependents: tuple[str, ...]


def graph(needs: dict[str, set[str]]) -> dict[str, Node]:
    return {
        key: Node(frozenset(wanted), tuple(k for k, other in needs.items() if key in other))
        for key, wanted in needs.items()
    }


class Journey(RuleBasedStateMachine):
    """One execution from its start to its end."""

    @initialize(
        size=st.integers(1, 7),
        edges=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=10),
        loops=st.dictionaries(st.integers(0, 6), st.tuples(st.integers(0, 4), st.integers(1, 3)), max_size=3),
    )
    def begin(self, size: int, edges: set[tuple[int, int]], loops: dict[int, tuple[int, int]]) -> None:
        needs = {f"s{i}": {f"s{a}" for a, b in edges if b == i and a < i} for i in range(size)}
        self.nodes = graph(needs)
        self.loops = {f"s{i}": shape for i, shape in loops.items() if i < size}
        self.windows = {key: window for key, (_, window) in self.loops.items()}
        self.journal: list[ev.Event] = []
        self.ended: set[str] = set()
        self.failed: set[str] = set()
        self.generation: dict[str, int] = {}
        self.expanded: set[str] = set()
        self.machine = Machine(self.nodes, self.windows)
        self.todo: dict[str, Instruction] = {}
        self.over = False
        self.asked: set[str] = set()
        self.touched: dict[str, int] = {}
        self.epoch = 0
        self.claim()
        self.remember()

    def claim(self) -> None:
        self.epoch += 1
        self.todo = {}
        self.happen(ev.ExecutionClaimed("me", self.epoch))

    def happen(self, event: ev.Event) -> None:
        self.journal.append(event)
        if key := getattr(event, "key", None):
            self.touched[key] = len(self.journal)
        for instruction in self.machine.apply(event):
            self.take(instruction)

    def take(self, instruction: Instruction) -> None:
        match instruction:
            case Execute(key) | Join(key):
                assert key not in self.todo, f"{key} was handed out twice"
                assert key not in self.ended, f"{key} has ended"
                assert isinstance(instruction, Join) or key not in self.expanded, f"{key} is expanded again"
                base = key.split("[")[0]
                assert self.nodes[base].needs <= self.ended, f"{key} starts before its needs"
                if isinstance(instruction, Join):
                    count = self.loops[base][0]
                    assert {item_key(StepKey(base), i) for i in range(count)} <= self.ended
                self.todo[key] = instruction
            case Complete():
                assert set(self.nodes) <= self.ended
                self.over = True
            case Fail(key):
                assert key in self.failed
                self.over = True

    def going(self) -> bool:
        return not self.over and bool(self.todo)

    def pick(self, data: st.DataObject) -> Instruction:
        return self.todo[data.draw(st.sampled_from(sorted(self.todo)))]

    @precondition(going)
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "ok", "ok", "skip", "fail"]))
    def carry_on(self, data: st.DataObject, outcome: str) -> None:
        instruction = self.pick(data)
        assert isinstance(instruction, Execute | Join)
        key, generation = instruction.key, instruction.generation
        del self.todo[key]
        if isinstance(instruction, Execute) and key in self.loops and key not in self.expanded and outcome == "ok":
            self.expanded.add(key)
            self.happen(ev.LoopExpanded(key, generation, (NULL,) * self.loops[key][0]))
            return
        if isinstance(instruction, Execute):
            self.happen(ev.StepStarted(key, generation, 1))
        if isinstance(instruction, Join) or outcome == "ok":
            self.ended.add(key)
            self.happen(ev.StepSucceeded(key, generation, 1, NULL))
        elif outcome == "skip":
            self.ended.add(key)
            self.happen(ev.StepSkipped(key, generation, "no"))
        else:
            self.failed.add(key)
            self.happen(ev.StepFailed(key, generation, 1, {}))

    @precondition(going)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """A step fails, and a person is asked."""
        instruction = self.pick(data)
        if isinstance(instruction, Execute) and instruction.key not in self.loops:
            del self.todo[instruction.key]
            self.asked.add(instruction.key)
            self.happen(ev.StepStarted(instruction.key, instruction.generation, 1))
            self.happen(ev.InterventionRequested(instruction.key, instruction.generation, 1, {}, "do it"))

    @precondition(lambda self: not self.over and self.asked)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        key = StepKey(data.draw(st.sampled_from(sorted(self.asked))))
        self.asked.discard(key)
        self.happen(ev.InterventionAnswered(key, self.machine._find(key).generation, "retry"))
        assert key in self.todo

    @rule()
    def remember(self) -> None:
        self.checkpoint = (len(self.journal), set(self.ended), set(self.expanded))

    @precondition(lambda self: not self.over and not self.failed and len(self.journal) > self.checkpoint[0])
    @rule()
    def restore(self) -> None:
        """Back to the checkpoint: what has changed since begins anew, in a generation that no late result has."""
        position, ended, expanded = self.checkpoint
        changed = {key for key, at in self.touched.items() if at > position}
        kept = {key for key in changed & expanded if key in self.loops}
        redone = {key for key in changed if "[" not in key and key not in kept}
        # What a step says to a person, or a person to it, begins anew with the step.
        items = {key for key in changed if "[" in key and key.split("[")[0] in expanded}
        keys = sorted(redone | kept | items)
        old = {key: self.machine._find(StepKey(key)).generation for key in keys}
        gone = {key for key in self.ended | self.asked if "[" in key and key.split("[")[0] in redone}
        self.ended = (self.ended - redone - kept - items - gone) | (kept & ended)
        self.asked -= redone | items | gone
        self.expanded -= redone
        for key in [*self.todo]:
            base = key.split("[")[0]
            items_of = {f"{key}[{i}]" for i in range(self.loops[key][0])} if isinstance(self.todo[key], Join) else set()
            if key in keys or base in redone | kept or not self.nodes[base].needs | items_of <= self.ended:
                del self.todo[key]
        before, self.todo = self.todo, {}
        event = ev.ExecutionRestored("c", position, tuple(map(StepKey, keys)), expanded=tuple(map(StepKey, kept)))
        self.happen(event)
        # What goes on is named again, but for items of a loop whose window is taken by others now.
        for key in before.keys() - self.todo.keys():
            loop = key.split("[")[0]
            taken = sum(other.startswith(f"{loop}[") for other in {*self.todo, *self.asked})
            assert "[" in key and taken >= self.windows[loop], f"{key} was not named again"
        assert all(self.todo[key] == instruction for key, instruction in before.items() if key in self.todo)
        for key in redone | items:
            if (instruction := self.todo.get(key)) is not None:
                assert isinstance(instruction, Execute)
                assert instruction.generation == old[key] + 1
                late = ev.StepSucceeded(StepKey(key), old[key], 1, NULL)
                with pytest.raises(IllegalMoveError):
                    self.machine.check(late)

    @rule()
    def crash(self) -> None:
        """The engine dies: a new machine takes in the journal and is claimed."""
        before = self.machine
        self.machine = Machine(self.nodes, self.windows)
        for event in self.journal:
            self.machine.apply(event)
        assert set(self.machine.outstanding()) == set(before.outstanding())
        if self.machine.status is ExecutionStatus.RUNNING:
            self.over = False
            self.claim()

    @precondition(lambda self: self.over and self.failed and not self.todo)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        first = self.machine.failed[0]
        self.happen(ev.ExecutionFailed(first, {}))
        keys = data.draw(st.lists(st.sampled_from(sorted(self.failed)), min_size=1, unique=True))
        self.failed -= set(keys)
        self.over = False
        self.journal.append(ev.ExecutionRetried(tuple(StepKey(k) for k in keys)))
        assert self.machine.apply(self.journal[-1]) == []
        self.claim()

    @invariant()
    def invariants_hold(self) -> None:
        if hasattr(self, "machine"):
            self.machine.validate()

    @invariant()
    def nothing_is_stuck(self) -> None:
        if hasattr(self, "machine") and not self.failed and not self.todo and not self.asked:
            assert self.over, "nothing is outstanding, and the execution has not ended"


Journey.TestCase.settings = settings(
    max_examples=250, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow], deadline=None
)
TestJourney = Journey.TestCase


def two() -> Machine:
    machine = Machine(graph({"a": set(), "b": {"a"}}), {})
    machine.apply(ev.ExecutionClaimed("me", 1))
    return machine


def test_a_move_that_the_table_does_not_list_raises_with_the_story() -> None:
    machine = two()
    machine.apply(ev.StepSucceeded(StepKey("a"), 1, 1, NULL))
    with pytest.raises(IllegalMoveError, match="a: pending -> completed"):
        machine.apply(ev.StepFailed(StepKey("a"), 1, 1, {}))


def test_a_late_outcome_is_refused_before_it_is_recorded() -> None:
    machine = two()
    machine.apply(ev.StepFailed(StepKey("a"), 1, 1, {}))
    machine.apply(ev.ExecutionFailed(StepKey("a"), {}))
    machine.apply(ev.ExecutionRetried((StepKey("a"),)))
    with pytest.raises(IllegalMoveError):
        machine.check(ev.StepSucceeded(StepKey("a"), 1, 1, NULL))
    machine.check(ev.StepSucceeded(StepKey("a"), 2, 1, NULL))


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(IllegalMoveError):
        two().apply(ev.StepStarted(StepKey("nobody"), 1, 1))


def test_an_ended_execution_stays_ended() -> None:
    machine = Machine({}, {})
    assert machine.apply(ev.ExecutionClaimed("me", 1)) == [Complete()]
    machine.apply(ev.ExecutionCompleted(NULL))
    with pytest.raises(IllegalMoveError):
        machine.apply(ev.ExecutionClaimed("me", 2))


def test_the_tables_name_every_state() -> None:
    assert set(EXECUTION_MOVES) == set(ExecutionStatus)
    assert set(STEP_MOVES) == set(StepStatus)


def test_a_restored_loop_keeps_the_items_that_were_done() -> None:
    machine = Machine(graph({"many": set()}), {"many": 1})
    many, first, second = StepKey("many"), StepKey("many[0]"), StepKey("many[1]")
    machine.apply(ev.ExecutionClaimed("me", 1))
    machine.apply(ev.LoopExpanded(many, 1, (NULL, NULL)))
    machine.apply(ev.StepSucceeded(first, 1, 1, NULL))
    machine.apply(ev.StepSucceeded(second, 1, 1, NULL))
    machine.apply(ev.StepSucceeded(many, 1, 1, None))
    restored = ev.ExecutionRestored("c", 3, (many, second), expanded=(many,))
    assert machine.apply(restored) == [Execute(second, 2)]
    machine.validate()
    assert machine.apply(ev.StepSucceeded(second, 2, 1, NULL)) == [Join(many, 2)]

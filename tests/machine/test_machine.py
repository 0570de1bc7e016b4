"""The machine against a naive model: random graphs inside of each other, random outcomes, crashes and retries.

The model knows nothing of counters: it looks at the whole tree each time. Any prefix of a journal, replayed into a new
machine, must leave the same work outstanding. What closes, races and returns is tried with whole pipelines (`flow`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.machine import Complete, Execute, Fail, Instruction, Join, Machine, Release, Stop
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.keys import block_key, is_inside, item_key, owners_of, place_of
from orchestrator.status import EXECUTION_MOVES, STEP_MOVES, Closing, ExecutionStatus, StepStatus
from orchestrator.types import StepKey

NULL = Encoded(b"\xc0")


@dataclass(frozen=True)
class Block:
    steps: Mapping[str, Node]


@dataclass(frozen=True)
class Node:
    needs: frozenset[str]
    dependents: tuple[str, ...]
    #: How many items it has, where it is a loop.
    items: int | None = None
    max_parallel: int | None = None
    blocks: Sequence[Block] = ()
    kind: str = "call"
    join: int | None = None
    item_failure: str | float = "stop"
    recovers: bool = False


def graph(needs: Mapping[str, set[str]], **nodes: dict[str, object]) -> dict[str, Node]:
    """Nodes with these needs; `nodes` says what else there is to say of some."""
    return {
        key: Node(frozenset(wanted), tuple(k for k, other in needs.items() if key in other), **nodes.get(key, {}))  # type: ignore[arg-type]
        for key, wanted in needs.items()
    }


@st.composite
def graphs(draw: st.DrawFn, depth: int = 0) -> dict[str, Node]:
    """A graph whose steps may be loops, or hold graphs, or be loops over such."""
    size = draw(st.integers(1, 6 if depth == 0 else 3))
    names = [f"{'sab'[depth]}{i}" for i in range(size)]
    needs = {
        name: draw(st.sets(st.sampled_from(names[:i]), max_size=2)) if i else set() for i, name in enumerate(names)
    }
    nodes: dict[str, dict[str, object]] = {}
    for name in names:
        nodes[name] = more = {}
        if draw(st.integers(0, 3)) == 3:
            more |= {"items": draw(st.integers(0, 3)), "max_parallel": draw(st.integers(1, 3))}
        if depth < 2 and draw(st.integers(0, 3)) == 3:
            more |= {"kind": "steps", "blocks": (Block(draw(graphs(depth + 1))),)}
    return graph(needs, **nodes)


class Journey(RuleBasedStateMachine):
    """One execution from its start to its end."""

    @initialize(nodes=graphs())
    def begin(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes
        self.journal: list[ev.Event] = []
        self.ended: set[StepKey] = set()
        self.failed: set[StepKey] = set()
        #: What was expanded or entered, with the keys of what is directly inside.
        self.open: dict[StepKey, list[StepKey]] = {}
        self.machine = Machine(self.nodes)
        self.todo: dict[StepKey, Execute | Join] = {}
        self.over = False
        self.asked: set[StepKey] = set()
        self.touched: dict[StepKey, int] = {}
        self.epoch = 0
        self.claim()
        self.remember()

    # -- the tree ------------------------------------------------------------------------------------------------------

    def node(self, key: StepKey) -> Node:
        place = place_of(key)
        if place is None:
            return self.nodes[key]
        owner = self.node(place.owner)
        return owner if place.mark == "[" else owner.blocks[0].steps[place.name]

    def is_loop(self, key: StepKey) -> bool:
        return self.node(key).items is not None and key[-1] != "]"

    def needs(self, key: StepKey) -> set[StepKey]:
        """The steps that one needs: those of its flow."""
        prefix = key[: key.rfind(".") + 1]
        return set() if key[-1] == "]" else {StepKey(f"{prefix}{need}") for need in self.node(key).needs}

    def is_met(self, instruction: Execute | Join) -> bool:
        if isinstance(instruction, Join):
            return set(self.open[instruction.key]) <= self.ended
        return self.needs(instruction.key) <= self.ended and all(o in self.open for o in owners_of(instruction.key))

    # -- what happens --------------------------------------------------------------------------------------------------

    def claim(self) -> None:
        self.epoch += 1
        self.todo, self.over = {}, False
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
                assert isinstance(instruction, Join) or key not in self.open, f"{key} is opened again"
                assert self.is_met(instruction), f"{key} comes before its time"
                self.todo[key] = instruction
            case Complete():
                assert {StepKey(name) for name in self.nodes} <= self.ended
                self.over = True
            case Fail(key):
                assert key in self.failed
                self.over = True

    def going(self) -> bool:
        return not self.over and bool(self.todo)

    def pick(self, data: st.DataObject) -> Execute | Join:
        return self.todo[data.draw(st.sampled_from(sorted(self.todo)))]

    @precondition(going)
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "ok", "ok", "ok", "skip", "fail"]))
    def carry_on(self, data: st.DataObject, outcome: str) -> None:
        instruction = self.pick(data)
        key, generation = instruction.key, instruction.generation
        del self.todo[key]
        node = self.node(key)
        if isinstance(instruction, Execute) and outcome == "ok" and self.is_loop(key):
            assert node.items is not None
            self.open[key] = [item_key(key, i) for i in range(node.items)]
            self.happen(ev.LoopExpanded(key, generation, (NULL,) * node.items))
            return
        if isinstance(instruction, Execute) and outcome == "ok" and node.blocks:
            self.open[key] = [block_key(key, name) for name in node.blocks[0].steps]
            self.happen(ev.BlockEntered(key, generation, 1))
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
        key = instruction.key
        if isinstance(instruction, Execute) and not self.is_loop(key) and not self.node(key).blocks:
            del self.todo[key]
            self.asked.add(key)
            self.happen(ev.StepStarted(key, instruction.generation, 1))
            self.happen(ev.InterventionRequested(key, instruction.generation, 1, {}, "do it"))

    @precondition(lambda self: not self.over and self.asked)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.asked)))
        self.asked.discard(key)
        self.happen(ev.InterventionAnswered(key, self.machine.generation(key), "retry"))
        assert key in self.todo

    @rule()
    def remember(self) -> None:
        self.checkpoint = (len(self.journal), set(self.open))

    @precondition(lambda self: not self.over and not self.failed and len(self.journal) > self.checkpoint[0])
    @rule()
    def restore(self) -> None:
        """Back to the checkpoint: what has changed since begins anew, in a generation that no late result has."""
        position, opened = self.checkpoint
        changed = {key for key, at in self.touched.items() if at > position and self.machine.knows(key)}
        kept = {key for key in changed if key in opened and key in self.open}
        redone = {k for k in changed - kept if all(o not in changed or o in kept for o in owners_of(k))}
        keys = sorted(redone | kept)
        old = {key: self.machine.generation(key) for key in keys}

        def is_gone(key: StepKey) -> bool:
            return any(key == other or is_inside(key, other) for other in redone)

        self.ended = {key for key in self.ended if not is_gone(key) and key not in kept}
        self.asked = {key for key in self.asked if not is_gone(key)}
        self.open = {key: inner for key, inner in self.open.items() if not is_gone(key)}
        before = {
            key: step for key, step in self.todo.items() if key not in keys and not is_gone(key) and self.is_met(step)
        }
        self.todo = {}
        self.happen(ev.ExecutionRestored("c", position, tuple(keys), expanded=tuple(sorted(kept))))
        # What goes on is named again, but for what is in an item of a loop whose window is taken by others now.
        for key in before.keys() - self.todo.keys():
            assert any(self.is_full(loop, key) for loop in owners_of(key)), f"{key} was not named again"
        assert all(self.todo[key] == instruction for key, instruction in before.items() if key in self.todo)
        for key in redone:
            if (instruction := self.todo.get(key)) is not None:
                assert isinstance(instruction, Execute)
                assert instruction.generation == old[key] + 1
                late = ev.StepSucceeded(key, old[key], 1, NULL)
                with pytest.raises(IllegalMoveError):
                    self.machine.check(late)

    def is_full(self, loop: StepKey, key: StepKey) -> bool:
        """Whether a loop has no place for the item that a step is, or is inside of."""
        if not self.is_loop(loop):
            return False
        going = {*self.todo, *self.asked}
        items = [i for i in self.open[loop] if any(k == i or is_inside(k, i) for k in going)]
        return len(items) >= (self.node(loop).max_parallel or 1) and not any(
            key == i or is_inside(key, i) for i in items
        )

    @rule()
    def crash(self) -> None:
        """The engine dies: a new machine takes in the journal and is claimed."""
        before = self.machine
        self.machine = Machine(self.nodes)
        for event in self.journal:
            self.machine.apply(event)
        assert set(self.machine.outstanding()) == set(before.outstanding())
        if self.machine.status is ExecutionStatus.RUNNING:
            self.claim()

    @precondition(lambda self: self.over and self.failed)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """What was under way when a step failed goes on with it."""
        first = self.machine.failed[0]
        assert first in self.failed
        self.happen(ev.ExecutionFailed(first, {}))
        keys = data.draw(st.lists(st.sampled_from(sorted(self.failed)), min_size=1, unique=True))
        for key in keys:
            self.failed.discard(key)
            for inner in [k for k in self.open if k == key or is_inside(k, key)]:
                del self.open[inner]
            self.ended = {k for k in self.ended if not is_inside(k, key)}
        self.journal.append(ev.ExecutionRetried(tuple(keys)))
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
    max_examples=250, stateful_step_count=50, suppress_health_check=list(HealthCheck), deadline=None
)
TestJourney = Journey.TestCase


def two() -> Machine:
    machine = Machine(graph({"a": set(), "b": {"a"}}))
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
    machine = Machine({})
    assert machine.apply(ev.ExecutionClaimed("me", 1)) == [Complete()]
    machine.apply(ev.ExecutionCompleted(NULL))
    with pytest.raises(IllegalMoveError):
        machine.apply(ev.ExecutionClaimed("me", 2))


def test_the_tables_name_every_state() -> None:
    assert set(EXECUTION_MOVES) == set(ExecutionStatus)
    assert set(STEP_MOVES) == set(StepStatus)


def test_a_restored_loop_keeps_the_items_that_were_done() -> None:
    machine = Machine(graph({"many": set()}, many={"items": 2, "max_parallel": 1}))
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


def nested(**inner: object) -> Machine:
    """`a` holds `b` and `c`; `d` needs it."""
    block = Block(graph({"b": set(), "c": set()}))
    machine = Machine(graph({"a": set(), "d": {"a"}}, a={"kind": "steps", "blocks": (block,), **inner}))
    machine.apply(ev.ExecutionClaimed("me", 1))
    machine.apply(ev.BlockEntered(A, 1, 1))
    machine.apply(ev.StepStarted(B, 1, 1))
    machine.apply(ev.StepStarted(C, 1, 1))
    return machine


A, B, C = StepKey("a"), StepKey("a.b"), StepKey("a.c")


def test_a_failure_that_nothing_deals_with_closes_everything_at_once_and_is_told_inside_out() -> None:
    machine = nested()
    instructions = machine.apply(ev.StepFailed(B, 1, 1, {}))
    assert Fail(B) in instructions
    assert {i.key for i in instructions if isinstance(i, Release)} == {A, ""}
    assert machine.apply(ev.StepSucceeded(C, 1, 1, NULL)) == []
    assert machine.closing() == [A, ""]
    assert machine.conclude(A) == [Join(A, 1)]
    over = machine.over(A)
    assert over is not None
    assert (over.closing, over.failed) == (Closing.FAILED, B)
    assert machine.apply(ev.StepFailed(A, 1, 1, {}, B)) == []
    assert machine.failed == [A]


def test_a_failure_that_its_owner_may_deal_with_closes_the_owner_alone() -> None:
    machine = nested(recovers=True)
    assert machine.apply(ev.StepFailed(B, 1, 1, {})) == [Release(A)]
    assert machine.verdict is None
    assert machine.conclude(A) == [Join(A, 1)]
    machine.validate()


def test_a_race_that_is_decided_cancels_the_rest() -> None:
    machine = nested(kind="parallel", join=1)
    assert machine.apply(ev.StepSucceeded(C, 1, 1, NULL)) == [Stop(A)]
    assert machine.conclude(A) == [Join(A, 1)]
    over = machine.over(A)
    assert over is not None
    assert (over.closing, over.order, over.leftovers) == (Closing.DECIDED, ("c",), ((B, 1),))


def test_what_was_begun_inside_of_what_failed_is_left_over_where_that_is_dealt_with() -> None:
    machine = nested(recovers=True)
    inner = [*leftovers_of(machine)]
    assert inner == [B, C]
    machine.apply(ev.StepFailed(B, 1, 1, {}))
    machine.apply(ev.StepFailed(A, 1, 1, {}, B))
    assert [*leftovers_of(machine)] == [C]


def test_a_cancel_holds_for_what_was_asked_for_again_as_well() -> None:
    machine = two()
    machine.apply(ev.StepFailed(StepKey("a"), 1, 1, {}))
    machine.apply(ev.ExecutionFailed(StepKey("a"), {}))
    machine.apply(ev.ExecutionRetried((StepKey("a"),)))
    assert machine.apply(ev.ExecutionClaimed("me", 2)) == [Execute(StepKey("a"), 2)]
    machine.apply(ev.CancelRequested("enough"))
    assert machine.lets_go(StepKey("a"))
    assert [*machine.outstanding()] == []


def test_what_tidies_up_is_not_closed_with_what_is_around() -> None:
    child, last = StepKey("child"), StepKey("child/last")
    flow = (graph({"main": set()}), graph({"last": set()}))
    machine = Machine(graph({"child": set()}, child={"kind": "pipeline"}), sub_flow=lambda _: flow)
    machine.apply(ev.ExecutionClaimed("me", 1))
    machine.apply(ev.BlockEntered(child, 1, 1))
    assert machine.apply(ev.StepSucceeded(StepKey("child/main"), 1, 1, NULL)) == [Execute(last, 1)]
    machine.apply(ev.CancelRequested("enough"))
    assert machine.protects(last)
    assert not machine.lets_go(last)
    assert machine.apply(ev.StepSucceeded(last, 1, 1, NULL)) == [Join(child, 1)]


def leftovers_of(machine: Machine) -> Iterator[StepKey]:
    return (key for key, _ in machine.leftovers() if key != A)

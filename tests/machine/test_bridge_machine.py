"""Both sides of a bridge, written to in every order, against one dict: the later write wins, and all comes to rest.

Threads that get in each other's way are played by holding back what a side delivers: a thread that finds somebody
delivering goes on, and its events arrive later. So every interleaving is drawn, shrunk and repeated at will.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrator.execution.delivery import Delivery
from orchestrator.execution.integration import ExecutionStateBridge
from orchestrator.execution.state import GONE, ExecutionContext, PipelineExecutionState
from orchestrator.execution.variables import VariableScope, VariableType

NAMES = st.sampled_from(["a", "b"])
KINDS = st.sampled_from(["variables", "results", "templates"])
SIDES = ("manager", "state", "bridge")

#: What a name stands for: a kind and a value.
Thing = tuple[str, Any]


class Opaque:
    """A value that equals nothing but itself, and that no codec carries."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Bridged(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.context = ExecutionContext("run", "pipeline")
        self.manager = self.context.variable_manager
        self.state = PipelineExecutionState()
        self.bridge = ExecutionStateBridge(self.context, self.state)
        self.conflicts: list[tuple[str, Any, Any]] = []
        self.bridge.on_conflict(lambda *conflict: self.conflicts.append(conflict))
        self.expected: dict[str, Thing] = {}
        #: What was written while its side was held back, in order: it arrives when the side is let go.
        self.late: dict[str, list[tuple[str, Thing | None, str | None]]] = {side: [] for side in SIDES}
        self.held: list[str] = []
        self.met = False
        self.count = 0

    def delivery(self, side: str) -> Delivery:
        if side == "manager":
            return self.manager._listeners.delivery
        return self.state._delivery if side == "state" else self.bridge._pair.link._queue

    # -- what is written -------------------------------------------------------------------------------------------

    def value(self, kind: str, shape: str) -> Any:
        self.count += 1
        if kind == "templates" or shape == "text":
            return f"text {self.count}"
        return {"list": [self.count], "opaque": Opaque(self.count), "nan": float("nan")}[shape]

    def write(self, side: str, name: str, kind: str, value: Any) -> None:
        if side == "state":
            self.state.global_context[kind][name] = value
        elif kind == "templates":
            self.manager.set_template(name, value)
        elif kind == "results":
            self.manager.set_variable(name, value, var_type=VariableType.OUTPUT, source_step=name)
        else:
            self.manager.set_variable(name, value)
        self.arrives(side, name, (kind, value), None)

    @rule(
        side=st.sampled_from(["manager", "state"]),
        name=NAMES,
        kind=KINDS,
        shape=st.sampled_from(["text", "list", "opaque", "nan"]),
    )
    def set(self, side: str, name: str, kind: str, shape: str) -> None:
        self.write(side, name, kind, self.value(kind, shape))

    @rule(name=NAMES)
    def delete_from_manager(self, name: str) -> None:
        if self.manager.delete_variable(name):
            self.arrives("manager", name, None, None)

    @rule(name=NAMES, kind=KINDS)
    def delete_from_state(self, name: str, kind: str) -> None:
        if self.state.global_context[kind].pop(name, GONE) is not GONE:
            self.arrives("state", name, None, kind)

    @rule(name=NAMES)
    def set_in_an_inner_context(self, name: str) -> None:
        with self.context.variable_scope() as scope:
            scope.set_variable(name, "of no concern")

    # -- in which order it arrives ---------------------------------------------------------------------------------

    def arrives(self, side: str, name: str, thing: Thing | None, only: str | None) -> None:
        """`only` is the kind that a name was deleted as: it means nothing where the name is something else by then."""
        if side in self.held:
            self.late[side].append((name, thing, only))
        elif "bridge" in self.held:
            self.late["bridge"].append((name, thing, only))
        elif thing is not None:
            self.expected[name] = thing
        elif only is None or self.expected.get(name, ("", None))[0] == only:
            self.expected.pop(name, None)

    @precondition(lambda self: len(self.held) < len(SIDES))
    @rule(data=st.data())
    def hold_one(self, data: st.DataObject) -> None:
        self.hold(data.draw(st.sampled_from([side for side in SIDES if side not in self.held])))

    def hold(self, side: str) -> None:
        self.held.append(side)
        assert self.delivery(side)._busy.acquire(blocking=False)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release_one(self, data: st.DataObject) -> None:
        self.release(data.draw(st.sampled_from(self.held)))

    def release(self, side: str) -> None:
        self.held.remove(side)
        late, self.late[side] = self.late[side], []
        for name, thing, only in late:
            self.arrives(side, name, thing, only)
        self.delivery(side)._busy.release()
        self.delivery(side).run()

    # -- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def in_step_when_nothing_is_held_back(self) -> None:
        if not self.held:
            self.check()

    def check(self) -> None:
        state = {n: (k, v) for k, items in self.state.global_context.items() for n, v in items.items()}
        assert sum(map(len, self.state.global_context.values())) == len(state)  # a name is one thing
        known = self.manager.list_variables(scope=VariableScope.GLOBAL, include_metadata=True)
        manager = {name: (self.kind_of(name, found["metadata"]), found["value"]) for name, found in known.items()}
        assert shown(state) == shown(self.expected)
        assert shown(manager) == shown(self.expected)
        assert self.bridge.refused == 0
        assert not self.bridge._pair.link._state._awaited

    def kind_of(self, name: str, metadata: Any) -> str:
        if name in self.manager.export_state()["variable_templates"]:
            return "templates"
        of_the_step = metadata.var_type is VariableType.OUTPUT and metadata.source_step == name
        return "results" if of_the_step else "variables"

    def teardown(self) -> None:
        for side in [*self.held]:
            self.release(side)
        self.check()
        for _, winner, loser in self.conflicts:
            assert winner is not loser


def shown(things: dict[str, Thing]) -> dict[str, Any]:
    """For comparing: an opaque value is itself, and NaN equals NaN."""
    return {name: (kind, value if isinstance(value, Opaque) else repr(value)) for name, (kind, value) in things.items()}


TestBridged = Bridged.TestCase
TestBridged.settings = settings(max_examples=300, stateful_step_count=30)


def test_what_is_seen_before_it_is_heard_of_is_no_earlier() -> None:
    """The manager's second change stands there already when its first one is worked off; the state's is in between."""
    bridged = Bridged()
    bridged.hold("bridge")
    bridged.write("manager", "a", "variables", [1])
    bridged.write("state", "a", "variables", [2])
    bridged.hold("manager")
    bridged.delete_from_manager("a")
    bridged.release("bridge")
    bridged.release("manager")
    assert bridged.expected == {}
    bridged.teardown()

"""The variable manager against a naive model: no cache, no undo log, no index, everything looked up and copied anew."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.errors import CircularDependencyError, TemplateError, TemporaryGoneError, UnknownContextError
from orchestrator.execution.variables import Change, Mark, VariableManager, VariableScope
from orchestrator.testing.clock import FakeClock

NAMES = ("a", "b", "c", "a.k", "c.k")
PATHS = (("a",), ("b",), ("c",), ("a", "k"), ("c", "k"), ("c", "k", "k"), ("x",), ("p",))
SCOPES = (VariableScope.GLOBAL, VariableScope.GLOBAL, VariableScope.STEP, VariableScope.TEMPORARY)

VALUE = st.integers(0, 2) | st.sampled_from(["t", "${a}", None]) | st.sampled_from([{"k": 1}, {"k": {"k": 2}}, [1]])
#: A template as its parts: texts, and paths as tuples.
PARTS = st.lists(st.just("-") | st.sampled_from(PATHS), min_size=1, max_size=3)
ALIASES = st.sampled_from([{"x": "a"}, {"x": "b"}, {"x": "c.k"}, {"b": "a"}, {"p": "x"}])


class Recording:
    """A recorder that has everything applied at once, as an engine does after its commit."""

    def __init__(self, manager: VariableManager) -> None:
        self.manager = manager

    def record(self, changes: Sequence[Change]) -> None:
        self.manager.apply(changes)

    def unrecorded(self, name: str) -> None:
        return None


class Loop(Exception):
    """The model found that a template reads itself."""


class Missing(Exception):
    """The model found a placeholder that leads nowhere."""


@dataclass(frozen=True)
class Var:
    value: Any
    parts: tuple[Any, ...] | None
    version: int
    source: str | None
    description: str | None
    scope: VariableScope
    #: Which act of setting it is: a restore brings the same one back.
    act: int

    @property
    def given(self) -> Any:
        return self.value if self.parts is None else text(self.parts)


@dataclass
class Model:
    spaces: dict[str, dict[str, Var]] = field(default_factory=lambda: {"": {}})
    parents: dict[str, str] = field(default_factory=dict)
    added: dict[str, set[str]] = field(default_factory=dict)
    lost: set[tuple[str, str]] = field(default_factory=set)
    history: dict[tuple[str, str], list[Var]] = field(default_factory=dict)

    def chain(self, home: str) -> Iterator[str]:
        while home:
            yield home
            home = self.parents[home]
        yield ""


def text(parts: Sequence[Any]) -> str:
    return "".join("${" + ".".join(part) + "}" if isinstance(part, tuple) else part for part in parts)


def candidates(path: tuple[str, ...]) -> list[str]:
    return [".".join(path[:size]) for size in range(len(path), 0, -1)]


class Variables(RuleBasedStateMachine):
    @initialize(recorded=st.booleans())
    def begin(self, recorded: bool) -> None:
        self.clock = FakeClock()
        self.above = VariableManager("above", clock=self.clock)
        self.above_values: dict[str, Any] = {}
        self.manager = VariableManager("machine", clock=self.clock, parent=self.above)
        if recorded:
            self.manager.recorder = Recording(self.manager)
        self.model = Model()
        self.aliases: list[dict[str, str]] = []
        self.marks: list[tuple[Mark, Model]] = []
        self.exports: list[tuple[dict[str, Any], Model]] = []
        self.ended: list[str] = []
        self.acts = 0
        self.told: list[Any] = []
        self.expected: list[Any] = []
        self.manager.on_variable_created(lambda name, value: self.told.append(("created", name, value)))
        self.manager.on_variable_changed(lambda name, old, new: self.told.append(("changed", name, old, new)))
        self.manager.on_variable_deleted(lambda name, old: self.told.append(("deleted", name, old)))

    # -- the model's verbs -----------------------------------------------------------------------------------------

    def _put(self, home: str, name: str, var: Var) -> None:
        here = self.model.spaces[home]
        old, past = here.get(name), self.model.history.get((home, name), [])
        version = old.version + 1 if old else past[-1].version + 1 if past else 1
        if old:
            self._retire(home, name, old)
            self.expected.append(("changed", name, old.given, var.given))
        else:
            self.expected.append(("created", name, var.given))
        here[name] = replace(var, version=max(version, var.version))
        self.model.lost.discard((home, name))

    def _drop(self, home: str, name: str) -> None:
        old = self.model.spaces[home].pop(name)
        self._retire(home, name, old)
        self.expected.append(("deleted", name, old.given))
        if not home:
            self.model.added.pop(name, None)

    def _retire(self, home: str, name: str, old: Var) -> None:
        kept = replace(old, value=None) if old.scope is VariableScope.TEMPORARY else old
        self.model.history.setdefault((home, name), []).append(kept)

    def _close(self, home: str) -> None:
        for inner in [i for i, parent in self.model.parents.items() if parent == home]:
            if inner in self.model.spaces:
                self._close(inner)
        for name in list(self.model.spaces[home]):
            self._drop(home, name)
        del self.model.spaces[home], self.model.parents[home]
        self.model.lost = {place for place in self.model.lost if place[0] != home}

    def _find(self, name: str, home: str) -> Var | None:
        found = self._direct(name, home)
        for scope in reversed(self.aliases):
            if found is None and name in scope:
                name = scope[name]
                found = self._direct(name, home)
        return found

    def _direct(self, name: str, home: str) -> Var | None:
        for space in self.model.chain(home):
            if name in self.model.spaces[space]:
                return self.model.spaces[space][name]
        if name in self.above_values:
            return Var(self.above_values[name], None, 0, None, None, VariableScope.GLOBAL, -1)
        return None

    def _value(self, var: Var, home: str, strict: bool, inside: tuple[int, ...]) -> Any:
        if var.parts is None:
            return var.value
        if var.act in inside:
            raise Loop
        return self._resolve(var.parts, home, strict, (*inside, var.act))

    def _resolve(self, parts: Sequence[Any], home: str, strict: bool, inside: tuple[int, ...] = ()) -> Any:
        values = [
            self._path(part, home, strict, inside) if isinstance(part, tuple) else part for part in _joined(parts)
        ]
        return values[0] if len(values) == 1 else "".join(map(str, values))

    def _path(self, path: tuple[str, ...], home: str, strict: bool, inside: tuple[int, ...]) -> Any:
        for size in range(len(path), 0, -1):
            if (var := self._find(".".join(path[:size]), home)) is not None:
                value = self._value(var, home, strict, inside)
                for key in path[size:]:
                    if not isinstance(value, dict) or key not in value:
                        break
                    value = value[key]
                else:
                    return value
                break
        if strict:
            raise Missing
        return text([path])

    def _reach(self, name: str) -> set[str]:
        var = self.model.spaces[""].get(name)
        found = set(self.model.added.get(name, ()))
        for part in (var.parts or ()) if var else ():
            found |= set(candidates(part)) if isinstance(part, tuple) else set()
        return found

    def _needs(self, name: str) -> set[str]:
        var = self.model.spaces[""].get(name)
        found = set(self.model.added.get(name, ()))
        for part in (var.parts or ()) if var else ():
            if isinstance(part, tuple):
                choices = candidates(part)
                found.add(next((choice for choice in choices if choice in self.model.spaces[""]), choices[-1]))
        return found

    def _would_loop(self, name: str, names: set[str]) -> bool:
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            at = waiting.pop()
            if at == name:
                return True
            if at not in seen:
                seen.add(at)
                waiting += self._reach(at)
        return False

    def _act(self) -> int:
        self.acts += 1
        return self.acts

    def _home(self, pick: int) -> str:
        homes = list(self.model.spaces)
        return homes[pick % len(homes)]

    # -- writing ---------------------------------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES),
        value=VALUE,
        pick=st.integers(0, 3),
        scope=st.sampled_from(SCOPES),
        description=st.none() | st.sampled_from(["d", "e"]),
        source=st.none() | st.sampled_from(["s", "t"]),
    )
    def set(
        self, name: str, value: Any, pick: int, scope: VariableScope, description: str | None, source: str | None
    ) -> None:
        home = self._home(pick)
        value = copy.deepcopy(value)
        kept = copy.deepcopy(value)
        self.manager.set_variable(
            name, value, scope, source_step=source, description=description, context_id=home or None
        )
        if scope is not VariableScope.TEMPORARY and isinstance(value, (dict, list)):
            value.clear()  # what the caller does to it later is nobody's business
        old = self.model.spaces[home].get(name)
        told = old.description if old and description is None else description
        self._put(home, name, Var(kept, None, 0, source, told, scope, self._act()))

    @rule(name=st.sampled_from(NAMES), parts=PARTS)
    def set_template(self, name: str, parts: list[Any]) -> None:
        needed = {found for part in parts if isinstance(part, tuple) for found in candidates(part)}
        if self._would_loop(name, needed):
            with pytest.raises(CircularDependencyError) as caught:
                self.manager.set_template(name, text(parts))
            cycle = caught.value.cycle
            assert cycle[0] == cycle[-1] == name
            assert cycle[1] in needed
            assert all(after in self._reach(before) for before, after in pairwise(cycle[1:]))
            return
        self.manager.set_template(name, text(parts), source_step="template")
        old = self.model.spaces[""].get(name)
        told = old.description if old else None
        self._put("", name, Var(None, tuple(parts), 0, "template", told, VariableScope.GLOBAL, self._act()))

    @rule(name=st.sampled_from(NAMES), pick=st.integers(0, 3))
    def delete(self, name: str, pick: int) -> None:
        home = self._home(pick)
        there = name in self.model.spaces[home]
        assert self.manager.delete_variable(name, home or None) is there
        if there:
            self._drop(home, name)

    @rule(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
    def add_dependency(self, name: str, other: str) -> None:
        if self._would_loop(name, {other}):
            with pytest.raises(CircularDependencyError):
                self.manager.add_dependency(name, {other})
            return
        self.manager.add_dependency(name, {other})
        self.model.added.setdefault(name, set()).add(other)

    @rule(name=st.sampled_from(["a", "p"]), value=VALUE)
    def set_above(self, name: str, value: Any) -> None:
        self.above.set_variable(name, value)
        self.above_values[name] = copy.deepcopy(value)

    # -- contexts and aliases --------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.spaces) < 4)
    @rule(pick=st.integers(0, 3))
    def create_context(self, pick: int) -> None:
        parent = self._home(pick)
        made = self.manager.create_context(parent or None)
        assert made not in self.model.spaces
        assert made not in self.ended
        self.model.spaces[made], self.model.parents[made] = {}, parent

    @precondition(lambda self: len(self.model.spaces) > 1)
    @rule(pick=st.integers(0, 2))
    def destroy_context(self, pick: int) -> None:
        found = list(self.model.parents)
        ended = found[pick % len(found)]
        self.manager.destroy_context(ended)
        self._close(ended)
        self.ended.append(ended)

    @precondition(lambda self: len(self.aliases) < 3)
    @rule(aliases=ALIASES)
    def push_scope(self, aliases: dict[str, str]) -> None:
        self.manager.push_scope(aliases)
        self.aliases.append(aliases)

    @rule()
    def pop_scope(self) -> None:
        assert self.manager.pop_scope() == (self.aliases.pop() if self.aliases else None)

    # -- reading ---------------------------------------------------------------------------------------------------

    @rule(parts=PARTS, pick=st.integers(0, 3), strict=st.booleans())
    def resolve(self, parts: list[Any], pick: int, strict: bool) -> None:
        self._check_resolve(parts, self._home(pick), strict)

    def _check_resolve(self, parts: list[Any], home: str, strict: bool) -> None:
        def resolve() -> Any:
            return self.manager.resolve_template(text(parts), strict=strict, context_id=home or None)

        try:
            expected = self._resolve(parts, home, strict)
        except Missing:
            with pytest.raises((TemplateError, TemporaryGoneError, CircularDependencyError)):
                resolve()
            return
        except Loop:
            with pytest.raises((CircularDependencyError, TemplateError)):
                resolve()
            return
        found = resolve()
        assert found == expected
        assert type(found) is type(expected)
        hits = self.manager.cache_info().hits
        again = resolve()
        assert again == expected
        if not self._holds_a_temporary():  # what is held by reference may change by itself: it is not kept
            assert self.manager.cache_info().hits == hits + 1
        if isinstance(found, (dict, list)):  # what a reader does to it is nobody's business either
            found.clear()
            again.clear()

    def _holds_a_temporary(self) -> bool:
        every = [var for space in self.model.spaces.values() for var in space.values()]
        return any(var.scope is VariableScope.TEMPORARY for var in every)

    @rule(name=st.sampled_from([*NAMES, "x", "p"]), pick=st.integers(0, 3))
    def get(self, name: str, pick: int) -> None:
        home = self._home(pick)
        var = self._find(name, home)
        assert self.manager.has_variable(name, home or None) is (var is not None)
        if var is None:
            if any((space, name) in self.model.lost for space in self.model.chain(home)):
                with pytest.raises(TemporaryGoneError):
                    self.manager.get_variable(name, "default", home or None)
            else:
                assert self.manager.get_variable(name, "default", home or None) == "default"
            return
        assert self.manager.get_variable(name, None, home or None, resolve_templates=False) == var.given
        try:
            expected = self._value(var, home, False, ())
        except Loop:
            with pytest.raises(CircularDependencyError):
                self.manager.get_variable(name, None, home or None)
            return
        assert self.manager.get_variable(name, None, home or None) == expected

    @precondition(lambda self: self.ended)
    @rule()
    def an_ended_context_is_unknown(self) -> None:
        for ended in self.ended:
            if ended not in self.model.spaces:
                with pytest.raises(UnknownContextError):
                    self.manager.get_variable("a", context_id=ended)

    # -- going back ------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.marks) < 3)
    @rule()
    def mark(self) -> None:
        self.marks.append((self.manager.mark(), copy.deepcopy(self.model)))

    @precondition(lambda self: self.marks)
    @rule(pick=st.integers(0, 2))
    def forget(self, pick: int) -> None:
        mark, _ = self.marks.pop(pick % len(self.marks))
        self.manager.forget(mark)

    @precondition(lambda self: self.marks)
    @rule(pick=st.integers(0, 2))
    def restore(self, pick: int) -> None:
        mark, then = self.marks[pick % len(self.marks)]
        changes = self.manager.changes_since(mark, "restore")
        assert self.manager.restore(mark, "restore") == changes
        self._go_back(then)
        assert self.manager.changes_since(mark) == ()

    def _go_back(self, then: Model) -> None:
        for home in [home for home in self.model.parents if home not in then.spaces]:
            if home in self.model.spaces:
                self._close(home)
        for home in then.spaces:
            self.model.spaces.setdefault(home, {})
            if home:
                self.model.parents[home] = then.parents[home]
        for home, there in then.spaces.items():
            here = self.model.spaces[home]
            for name in {*here, *there}:
                before, now = there.get(name), here.get(name)
                if before and now and before.act == now.act:
                    continue
                if before and before.scope is not VariableScope.TEMPORARY:
                    self._put(home, name, replace(before, version=0, source="restore"))
                    continue
                if now:
                    self._drop(home, name)
                if before:
                    self.model.lost.add((home, name))
        self.model.added = copy.deepcopy(then.added)

    # -- export and import -----------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.exports) < 2)
    @rule()
    def export(self) -> None:
        state = self.manager.export_state()
        fresh = VariableManager(clock=self.clock)
        fresh.import_state(state)
        assert fresh.export_state() == state
        self.exports.append((state, copy.deepcopy(self.model)))

    @precondition(lambda self: self.exports)
    @rule(pick=st.integers(0, 1))
    def import_(self, pick: int) -> None:
        state, then = self.exports[pick % len(self.exports)]
        if not then.spaces.keys() <= self.model.spaces.keys():
            return
        needs = {name: set(names) for name, names in state["dependency_graph"].items()}
        self.manager.import_state(state)
        for home in [home for home in self.model.parents if home not in then.spaces]:
            if home in self.model.spaces:
                self._close(home)
        for home, there in then.spaces.items():
            wanted = {n: var for n, var in there.items() if var.scope is not VariableScope.TEMPORARY}
            for name, now in list(self.model.spaces[home].items()):
                if name not in wanted:
                    self._drop(home, name)
                    if now.scope is VariableScope.TEMPORARY:
                        self.model.lost.add((home, name))
            for name, var in wanted.items():
                self._put(home, name, replace(var, act=self._act()))
            for name in {n for n, var in there.items() if n not in wanted}:
                self.model.lost.add((home, name))
        self.model.lost |= {(home, n) for home, n in then.lost if n not in self.model.spaces[home]}
        self.model.added = {}
        self.model.added = {name: left for name, names in needs.items() if (left := names - self._needs(name))}

    # -- always ----------------------------------------------------------------------------------------------------

    @invariant()
    def everything_stands_as_in_the_model(self) -> None:
        manager, model = self.manager, self.model
        state = manager.export_state()
        kept = {n: v for n, v in model.spaces[""].items() if v.scope is not VariableScope.TEMPORARY}
        assert state["global_variables"].keys() == kept.keys()
        assert set(state["context_variables"]) - {""} == set(model.parents)
        assert state["variable_templates"] == {n: v.given for n, v in model.spaces[""].items() if v.parts is not None}
        for home, here in model.spaces.items():
            for name, var in here.items():
                found = manager.get_variable_metadata(name, home or None)
                assert found is not None
                assert (found.name, found.version, found.source_step, found.description, found.scope) == (
                    name,
                    var.version,
                    var.source,
                    var.description,
                    var.scope,
                )
                assert found.dependencies == (self._needs(name) if not home else set())
                assert manager.get_variable(name, None, home or None, resolve_templates=False) == var.given

    @invariant()
    def no_kept_result_is_stale(self) -> None:
        """The same templates from everywhere after every step: whatever it changed meets kept results."""
        for parts in ([("a", "k")], [("x",), "-", ("b",)], [("c",)], [("p",), "-"]):
            for home in self.model.spaces:
                self._check_resolve(parts, home, False)

    @invariant()
    def histories_have_every_version(self) -> None:
        for (home, name), past in self.model.history.items():
            if home in self.model.spaces and (name in self.model.spaces[home] or not home):
                found = self.manager.get_variable_history(name, home or None)
                assert [(v.version, v.value, v.source_step) for v in found] == [
                    (v.version, v.given, v.source) for v in past
                ]

    @invariant()
    def dependencies_are_those_of_the_model(self) -> None:
        needs = {name: self._needs(name) for name in {*NAMES, *self.model.added}}
        for name in NAMES:
            assert self.manager.get_dependencies(name) == needs[name]
            assert self.manager.get_dependents(name) == {other for other, names in needs.items() if name in names}
            assert name not in self.manager.get_dependencies(name, transitive=True)

    @invariant()
    def every_event_was_told(self) -> None:
        assert Counter(map(repr, self.told)) == Counter(map(repr, self.expected))
        self.told.clear()
        self.expected.clear()

    def teardown(self) -> None:
        while self.manager.pop_scope():
            pass


def _joined(parts: Sequence[Any]) -> list[Any]:
    """Neighbouring texts are one."""
    joined: list[Any] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


TestVariables = Variables.TestCase
TestVariables.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)

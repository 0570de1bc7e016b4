"""An execution context against a naive model, which copies everything at a checkpoint and puts it back at a restore.

Two levels of nested contexts, many steps at once, variables of steps, checkpoints in every context, restores to and
fro, and now and then the whole tree is exported and read back.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.errors import IllegalMoveError
from orchestrator.execution.state import ExecutionContext, ExecutionStatus
from orchestrator.execution.variables import VariableScope
from orchestrator.journal.codec import from_json, to_json
from orchestrator.status import EXECUTION_MOVES, STEP_MOVES, StepStatus
from orchestrator.testing.clock import FakeClock

E, S = ExecutionStatus, StepStatus
NAMES, STEPS, INNER = ("x", "y", "z"), ("a", "b", "c[0]", "d/e"), ("one", "two")
MOST, EVERY = 4, 3


@dataclass
class Model:
    """What a context should be."""

    tokens: itertools.count[int]
    status: ExecutionStatus = E.PENDING
    with_parent: bool = False
    steps: dict[str, StepStatus] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    #: Name -> (which binding, value, who wrote it).
    variables: dict[str, tuple[int, Any, str | None]] = field(default_factory=dict)
    of_steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: int = 0
    updated: int = 0
    nested: dict[str, Model] = field(default_factory=dict)
    # What a restore leaves alone:
    versions: dict[str, int] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    checkpoints: list[tuple[str, Any]] = field(default_factory=list)
    made: int = 0
    retries: int = 0
    total: int = 0

    # -- variables

    def set(self, name: str, value: Any, source: str | None, token: int | None = None) -> None:
        if name in self.variables:
            self.updated += 1
        else:
            self.created += 1
        self.versions[name] = self.versions.get(name, 0) + 1
        self.variables[name] = (next(self.tokens) if token is None else token, copy.deepcopy(value), source)

    # -- steps

    def move(self, step: str, new: StepStatus) -> None:
        self.steps[step] = new
        if new is S.RUNNING:
            self.running = [*(s for s in self.running if s != step), step]
            self.of_steps.setdefault(step, {})
        elif step in self.running:
            self.running.remove(step)
            del self.of_steps[step]

    def count(self, status: StepStatus) -> int:
        return sum(found is status for found in self.steps.values())

    def begun(self) -> int:
        return len(self.steps) - self.count(S.PENDING)

    # -- checkpoints

    def snapshot(self) -> Any:
        inner = {name: (model, model.snapshot()) for name, model in self.nested.items()}
        own = (self.status, self.with_parent, self.steps, self.running, self.variables, self.of_steps)
        return copy.deepcopy(own), self.created, self.updated, inner

    def checkpoint(self, name: str) -> None:
        self.made += 1
        self.checkpoints.append((name, self.snapshot()))
        while len(self.checkpoints) > MOST:
            initial = next((i for i, (_, kept) in enumerate(self.checkpoints) if kept is self.initial), None)
            del self.checkpoints[1 if initial == 0 else 0]

    initial: Any = None

    def restore(self, snapshot: Any, source: str, exact: bool) -> None:
        (status, with_parent, steps, running, variables, of_steps), created, updated, inner = copy.copy(snapshot)
        if exact or self.status in (E.COMPLETED, E.FAILED, E.CANCELLED):
            self.status = status
        if exact:
            self.with_parent = with_parent
        for name in set(self.variables) | set(variables):
            then, now = variables.get(name), self.variables.get(name)
            if then is None:
                self.variables.pop(name, None)
            elif now is None or now[0] != then[0]:
                self.set(name, then[1], source, token=then[0])
        self.steps, self.running, self.of_steps = copy.deepcopy((steps, running, of_steps))
        self.created, self.updated = created, updated
        self.nested = {name: model for name, (model, _) in inner.items()}
        for model, then in inner.values():
            model.restore(then, source, exact=True)


class ContextMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.root = ExecutionContext("root", "p", clock=self.clock)
        self.tokens = itertools.count()
        self.model = Model(self.tokens)
        self._adjust(self.root)
        self.events: list[int] = []
        self.root.subscribe(lambda entry: self.events.append(entry.position))

    def _adjust(self, context: ExecutionContext) -> None:
        context.max_checkpoints, context.auto_checkpoint_steps = MOST, EVERY

    def _pick(self, path: tuple[int, ...]) -> tuple[ExecutionContext, Model]:
        context, model = self.root, self.model
        for place in path:
            names = sorted(model.nested)
            if not names:
                break
            name = names[place % len(names)]
            context, model = context.nested_contexts[name], model.nested[name]
        return context, model

    paths = st.lists(st.integers(0, 1), max_size=2).map(tuple)

    def _held(self, path: tuple[int, ...]) -> bool:
        """Whether a context around the one of this path is paused or cancelled."""
        around, model = [], self.model
        for place in path:
            names = sorted(model.nested)
            if not names:
                break
            around.append(model)
            model = model.nested[names[place % len(names)]]
        return any(outer.status in (E.PAUSED, E.CANCELLED) for outer in around)

    # -- life

    def _may(self, model: Model, new: ExecutionStatus) -> bool:
        return new in EXECUTION_MOVES[model.status]

    @rule(path=paths)
    def start(self, path: tuple[int, ...]) -> None:
        context, model = self._pick(path)
        if not self._may(model, E.RUNNING) or self._held(path):
            with pytest.raises(IllegalMoveError):
                context.start_execution()
            return
        context.start_execution()
        self._go_on(model)
        if model.initial is None or all(kept is not model.initial for _, kept in model.checkpoints):
            model.checkpoint(context.checkpoints[-1].id)
            model.initial = model.checkpoints[-1][1]

    def _go_on(self, model: Model) -> None:
        resumed = model.status is E.PAUSED
        model.status, model.with_parent = E.RUNNING, False
        for inner in model.nested.values():
            if resumed and inner.status is E.PAUSED and inner.with_parent:
                self._go_on(inner)

    @rule(path=paths)
    def pause(self, path: tuple[int, ...]) -> None:
        context, model = self._pick(path)
        assert context.pause_execution() is (model.status is E.RUNNING)
        if model.status is E.RUNNING:
            self._pause(model, False)

    def _pause(self, model: Model, with_parent: bool) -> None:
        model.status, model.with_parent = E.PAUSED, with_parent
        for inner in model.nested.values():
            if inner.status is E.RUNNING:
                self._pause(inner, True)

    @rule(path=paths)
    def resume(self, path: tuple[int, ...]) -> None:
        context, model = self._pick(path)
        resumes = model.status is E.PAUSED and not self._held(path)
        assert context.resume_execution() is resumes
        if resumes:
            self._go_on(model)

    @rule(path=paths)
    def cancel(self, path: tuple[int, ...]) -> None:
        context, model = self._pick(path)
        if not self._may(model, E.CANCELLED):
            with pytest.raises(IllegalMoveError):
                context.cancel_execution()
            return
        context.cancel_execution()
        self._cancel(model)

    def _cancel(self, model: Model) -> None:
        model.status = E.CANCELLED
        for step in list(model.running):
            model.move(step, S.CANCELLED)
        for inner in model.nested.values():
            if inner.status not in (E.COMPLETED, E.FAILED, E.CANCELLED):
                self._cancel(inner)

    @rule(path=paths, success=st.booleans())
    def complete(self, path: tuple[int, ...], success: bool) -> None:
        context, model = self._pick(path)
        new = E.COMPLETED if success else E.FAILED
        if not self._may(model, new):
            with pytest.raises(IllegalMoveError):
                context.complete_execution(success)
            return
        context.complete_execution(success)
        model.status = new

    # -- steps

    @rule(path=paths, step=st.sampled_from(STEPS))
    def start_step(self, path: tuple[int, ...], step: str) -> None:
        context, model = self._pick(path)
        context.start_step(step)
        model.move(step, S.RUNNING)

    @rule(path=paths, step=st.sampled_from(STEPS), success=st.booleans())
    def complete_step(self, path: tuple[int, ...], step: str, success: bool) -> None:
        context, model = self._pick(path)
        new = S.COMPLETED if success else S.FAILED
        if new not in STEP_MOVES[model.steps.get(step, S.PENDING)]:
            with pytest.raises(IllegalMoveError):
                context.complete_step(step, success)
            return
        context.complete_step(step, success)
        model.move(step, S.RUNNING)
        model.move(step, new)
        if success and model.count(S.COMPLETED) % EVERY == 0:
            model.checkpoint(context.checkpoints[-1].id)

    @rule(path=paths, step=st.sampled_from(STEPS))
    def skip_step(self, path: tuple[int, ...], step: str) -> None:
        context, model = self._pick(path)
        if S.SKIPPED not in STEP_MOVES[model.steps.get(step, S.PENDING)]:
            with pytest.raises(IllegalMoveError):
                context.skip_step(step)
            return
        context.skip_step(step)
        model.move(step, S.SKIPPED)
        if step.isalpha():
            model.set(step, None, step)

    @rule(path=paths, step=st.sampled_from(STEPS))
    def retry_step(self, path: tuple[int, ...], step: str) -> None:
        context, model = self._pick(path)
        if step in model.running:
            context.retry_step(step, "busy")
            model.retries += 1

    # -- variables

    @rule(path=paths, name=st.sampled_from(NAMES), value=st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2))
    def set_variable(self, path: tuple[int, ...], name: str, value: Any) -> None:
        context, model = self._pick(path)
        context.variable_manager.set_variable(name, value)
        model.set(name, value, None)

    @rule(path=paths, name=st.sampled_from(NAMES))
    def delete_variable(self, path: tuple[int, ...], name: str) -> None:
        context, model = self._pick(path)
        of_step = model.of_steps[model.running[-1]] if model.running else {}
        context.variable_manager.delete_variable(name)
        if name in of_step:
            del of_step[name]
        else:
            model.variables.pop(name, None)

    @rule(path=paths, name=st.sampled_from(NAMES), value=st.integers(0, 2))
    def set_variable_of_the_step(self, path: tuple[int, ...], name: str, value: int) -> None:
        context, model = self._pick(path)
        if not model.running:
            return
        context.variable_manager.set_variable(name, value, VariableScope.STEP)
        of_step = model.of_steps[model.running[-1]]
        if name in of_step:
            model.updated += 1
        else:
            model.created += 1
        of_step[name] = value

    # -- checkpoints and nested contexts

    @rule(path=paths)
    def checkpoint(self, path: tuple[int, ...]) -> None:
        context, model = self._pick(path)
        made = context.create_checkpoint()
        assert len(made.id) == 8
        model.checkpoint(made.id)

    @rule(path=paths, place=st.integers(0, 20))
    def restore(self, path: tuple[int, ...], place: int) -> None:
        context, model = self._pick(path)
        assert context.restore_checkpoint("no such") is False
        if not model.checkpoints:
            return
        name, snapshot = model.checkpoints[place % len(model.checkpoints)]
        assert context.restore_checkpoint(name) is True
        model.restore(snapshot, f"restore:{name}", exact=False)

    @rule(path=paths, name=st.sampled_from(INNER))
    def nest(self, path: tuple[int, ...], name: str) -> None:
        context, model = self._pick(path)
        if name in model.nested or len(path) > 1:
            return
        inner = context.create_nested_context(name)
        assert inner.execution_id == f"{context.execution_id}.{name}"
        assert inner.parent_context is context
        self._adjust(inner)
        model.nested[name] = Model(self.tokens, E.CANCELLED if model.status is E.CANCELLED else E.PENDING)

    @rule(path=paths, name=st.sampled_from(INNER))
    def destroy(self, path: tuple[int, ...], name: str) -> None:
        context, model = self._pick(path)
        assert context.destroy_nested_context(name) is (name in model.nested)
        model.nested.pop(name, None)

    @precondition(lambda self: self.model.made)
    @rule(as_json=st.booleans())
    def save_and_load(self, as_json: bool) -> None:
        state = self.root.export_state()
        if as_json:
            state = from_json(json.loads(json.dumps(to_json(state))))
        loaded = ExecutionContext.from_state(state, clock=self.clock)
        assert loaded.export_state() == self.root.export_state()
        self.root = loaded
        self.events.clear()
        self.root.subscribe(lambda entry: self.events.append(entry.position))

    # -- what always holds

    @invariant()
    def as_the_model_says(self) -> None:
        if hasattr(self, "root"):
            self._compare(self.root, self.model)
            assert self.events == list(
                range(self.root.record.position - len(self.events) + 1, self.root.record.position + 1)
            )

    def _compare(self, context: ExecutionContext, model: Model) -> None:
        assert context.status is model.status
        known = {key: step.status for key, step in context.record.steps.items() if step.status is not S.PENDING}
        known = {key: status for key, status in known.items() if key in STEPS}
        assert known == {key: status for key, status in model.steps.items() if status is not S.PENDING}
        assert context.running_steps == model.running
        assert context.current_step_id == (model.running[-1] if model.running else None)
        metrics = context.metrics
        assert (metrics.steps_completed, metrics.steps_failed, metrics.steps_skipped) == (
            model.count(S.COMPLETED),
            model.count(S.FAILED),
            model.count(S.SKIPPED),
        )
        assert (context.completed_steps, context.failed_steps) == (model.count(S.COMPLETED), model.count(S.FAILED))
        assert context.total_steps == model.begun()
        assert (metrics.variables_created, metrics.variables_updated) == (model.created, model.updated)
        assert (metrics.checkpoints_created, metrics.retries) == (model.made, model.retries)
        self._compare_variables(context, model)
        assert [found.id for found in context.checkpoints] == [name for name, _ in model.checkpoints]
        for key, step in context.record.steps.items():
            assert step.generation >= model.generations.get(key, 1)
            model.generations[key] = step.generation
        assert sorted(context.nested_contexts) == sorted(model.nested)
        for name, inner in context.nested_contexts.items():
            self._compare(inner, model.nested[name])

    def _compare_variables(self, context: ExecutionContext, model: Model) -> None:
        variables = context.variable_manager.list_variables(include_metadata=True)
        found = {n: (v["value"], v["metadata"].source_step, v["metadata"].version) for n, v in variables.items()}
        assert found == {n: (v, source, model.versions[n]) for n, (_, v, source) in model.variables.items()}
        if model.running:
            for name, value in model.of_steps[model.running[-1]].items():
                assert context.variable_manager.get_variable(name) == value


TestContexts = ContextMachine.TestCase
TestContexts.settings = settings(
    max_examples=int(os.environ.get("CONTEXT_EXAMPLES", "100")), stateful_step_count=40, deadline=None
)

"""The engine over random small pipelines, failures, recoveries, cuts, interrupts, resumes, retries and answers.

The model is naive: what an unbroken run of the same decisions gives. Handlers witness what ran, by step key and
generation: nothing that succeeded may run again in its generation.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections import Counter
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import ExecutionStatus, Orchestrator, Pipeline, StepStatus, current_attempt
from orchestrator.execution.engine.inbox import waiting_steps
from orchestrator.journal import events as ev
from orchestrator.storage.memory import MemoryStore
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash
from orchestrator.types import StepKey

MODULE = "engine_machine_handlers"


class World:
    """What the handlers see: how often each key still fails, how often each ran, and the interrupt to come."""

    flaky: ClassVar[Counter[str]] = Counter()
    hard: ClassVar[set[str]] = set()
    #: Fail for good, and a recovery takes over.
    broken: ClassVar[set[str]] = set()
    #: Fail in their first generation, and their recovery sets the execution back.
    rolls_back: ClassVar[set[str]] = set()
    calls: ClassVar[Counter[tuple[str, int]]] = Counter()
    interrupt_at: int | None = None
    app: Orchestrator | None = None


def _enter() -> str:
    info = current_attempt()
    assert info is not None
    key = str(info.step_key)
    World.calls[key, info.generation] += 1
    if World.interrupt_at is not None:
        World.interrupt_at -= 1
        if World.interrupt_at <= 0 and World.app is not None:
            World.interrupt_at = None
            World.app.interrupt()
    if key in World.broken or (key in World.rolls_back and info.generation == 1):
        raise KeyError(f"{key} needs its recovery")
    if key in World.hard:
        raise ValueError(f"{key} is broken")
    if World.flaky[key] > 0:
        World.flaky[key] -= 1
        raise ConnectionError(f"{key} flickers")
    return key


async def total(values: list[Any], extra: int) -> int:
    _enter()
    result = _sum(values) + extra
    values.clear()
    return result


def total_in_thread(values: list[Any], extra: int) -> int:
    _enter()
    result = _sum(values) + extra
    values.append("spoilt")
    return result


def _sum(value: Any) -> int:
    return sum(map(_sum, value)) if isinstance(value, list) else int(value or 0)


_module = types.ModuleType(MODULE)
_module.total, _module.total_in_thread = total, total_in_thread  # type: ignore[attr-defined]
sys.modules[MODULE] = _module

STEP = st.fixed_dictionaries(
    {
        "needs": st.sets(st.integers(0, 4), max_size=3),
        "kind": st.sampled_from(["plain", "plain", "thread", "loop", "set", "skip"]),
        "items": st.integers(0, 5),
        "window": st.none() | st.integers(1, 3),
        "flaky": st.integers(0, 2),
        "hard": st.sets(st.integers(0, 4), max_size=2) | st.just(set()) | st.just(set()),
        "recovery": st.sampled_from(["none", "none", "none", "skip", "alternative", "ask", "rollback"]),
    }
)


RULES: dict[str, dict[str, Any]] = {
    "skip": {"exception": ["KeyError"], "strategy": "skip", "output": 1000},
    "ask": {"exception": ["KeyError"], "strategy": "manual_intervention", "instructions": "say 500"},
    "rollback": {"exception": ["KeyError"], "strategy": "rollback"},
}


class LastingStore(MemoryStore):
    """A store that a test hands on from life to life."""

    survives_process = True


class Engine(RuleBasedStateMachine):
    @initialize(steps=st.lists(STEP, min_size=1, max_size=5), durable=st.booleans())
    def begin(self, steps: list[dict[str, Any]], durable: bool) -> None:
        self.steps = steps
        World.calls, World.flaky, World.hard = Counter(), Counter(), set()
        World.broken, World.rolls_back = set(), set()
        World.interrupt_at, World.app = None, None
        self.store = LastingStore()
        self.expected: dict[str, Any] = {}
        self.keys: set[str] = set()
        self.budget: Counter[str] = Counter()
        self.status: ExecutionStatus | None = None
        self.lives = 0
        self.ended: dict[tuple[str, int], int] = {}
        yaml: list[dict[str, Any]] = []
        for i, step in enumerate(steps):
            name = f"s{i}"
            needs = [f"s{n}" for n in sorted(step["needs"]) if n < i]
            values = [f"${{{need}}}" for need in needs]
            base = sum(_sum(self.expected[need]) for need in needs)
            one: dict[str, Any] = {"id": name}
            kind = step["kind"]
            target = "total_in_thread" if kind == "thread" else "total"
            retry = {"max_attempts": 3, "initial_delay": 5}
            if kind == "set":
                one["set"] = {f"v{i}": values}
                self.expected[name] = {f"v{i}": [self.expected[n] for n in needs]}
                self.expected[name] = self.expected[name][f"v{i}"]
                one = {"id": name, "call": f"{MODULE}:total", "with": {"values": values, "extra": 0}}
                self.expected[name] = base
                self._key(name, step, 0)
            elif kind == "skip":
                one |= {"when": "${1 > 2}", "call": f"{MODULE}:total", "with": {"values": values, "extra": 1}}
                self.expected[name] = None
            elif kind == "loop":
                one |= {
                    "for_each": list(range(step["items"])),
                    "call": f"{MODULE}:{target}",
                    "with": {"values": values, "extra": "${item}"},
                    "retry": retry,
                }
                if step["window"]:
                    one["max_parallel"] = step["window"]
                self.expected[name] = [
                    self._recovered(f"{name}[{n}]", step, n, base, base + n) for n in range(step["items"])
                ]
                for n in range(step["items"]):
                    self._key(f"{name}[{n}]", step, n)
            else:
                one |= {"call": f"{MODULE}:{target}", "with": {"values": values, "extra": i}, "retry": retry}
                self.expected[name] = self._recovered(name, step, 0, base, base + i)
                self._key(name, step, 0)
            if kind in ("plain", "thread", "loop") and step["recovery"] != "none":
                other = f"s{i}_other"
                alternative = {"exception": ["KeyError"], "strategy": "alternative_path", "steps": [other]}
                one["on_error"] = [RULES.get(step["recovery"], alternative)]
                if step["recovery"] == "alternative":
                    call = {"call": f"{MODULE}:total", "with": {"values": values, "extra": 100}}
                    yaml.append({"id": other, "when": False, **call})
            if kind != "loop" and "retry" not in one and "call" in one and kind != "skip":
                one["retry"] = retry
            if needs:
                one["needs"] = needs
            yaml.append(one)
        self.pipeline = Pipeline.from_canonical(
            {"pipeline": "p", "steps": yaml, "outputs": {name: f"${{{name}}}" for name in self.expected}}, ""
        )

    def _recovered(self, key: str, step: dict[str, Any], n: int, base: int, value: int) -> int:
        """What the step comes to: its own value, or what its recovery gives where it is broken."""
        if n not in step["hard"] or step["recovery"] == "none":
            return value
        if step["recovery"] == "rollback":
            World.rolls_back.add(key)
            return value
        World.broken.add(key)
        return {"skip": 1000, "alternative": base + 100, "ask": 500}[step["recovery"]]

    def _key(self, key: str, step: dict[str, Any], n: int) -> None:
        self.keys.add(key)
        World.flaky[key] = step["flaky"]
        if n in step["hard"] and step["recovery"] == "none":
            World.hard.add(key)

    # -- one life of the engine ----------------------------------------------------------------------------------------

    def _live(self, cut: int | None, when: str, interrupt_at: int | None, verb: str, step: str | None = None) -> None:
        before = Counter(World.calls)
        done = self._succeeded()
        self._answer()
        store = CrashingStore(self.store, at=cut, when=when)  # type: ignore[arg-type]
        app = Orchestrator(store, clock=FakeClock())
        World.app, World.interrupt_at = app, interrupt_at
        self.lives += 1
        try:
            match verb:
                case "run":
                    coroutine = app.arun(self.pipeline, execution_id="x")
                case "resume":
                    coroutine = app.aresume("x")
                case _:
                    coroutine = app.aretry("x", step)
            result = asyncio.run(_limited(coroutine))
            self.status = result.status
            if result.status is ExecutionStatus.COMPLETED:
                assert dict(result.outputs) == self.expected
        except SimulatedCrash:
            assert cut is not None
        finally:
            World.app, World.interrupt_at = None, None
            if store.dead:
                store.bury()
        known = Orchestrator(self.store).list()
        self.status = known[0].status if known else None
        again = {key for key in done if World.calls[key] > before[key]}
        assert not again, f"succeeded and ran again: {again}"
        for key, count in (World.calls - before).items():
            assert count <= 3, f"{key} was called {count} times in one life"
        assert not [key for key in World.broken if self._is_done(key)], "a broken step succeeded by itself"

    def _is_done(self, key: str) -> bool:
        """Whether the step's own handler gave its output, not its recovery."""
        app = Orchestrator(self.store)
        step = app.show("x").steps.get(StepKey(key)) if app.list() else None
        return step is not None and step.status is StepStatus.COMPLETED and step.plan is None

    def _answer(self) -> None:
        """Whoever is asked says the same."""
        app = Orchestrator(self.store)
        if app.list():
            for key in waiting_steps(self.store, "x"):
                app.answer("x", key, "skip", 500, "somebody")

    def _succeeded(self) -> set[tuple[str, int]]:
        app = Orchestrator(self.store)
        if not app.list():
            return set()
        steps = app.show("x").steps.values()
        return {(str(s.key), s.generation) for s in steps if s.status is StepStatus.COMPLETED}

    # One rule, without preconditions: what a life comes to may depend on how threads are scheduled, and what is drawn
    # must not.
    @rule(
        cut=st.none() | st.integers(1, 12),
        when=st.sampled_from(["before", "after"]),
        interrupt=st.none() | st.integers(1, 8),
        repair=st.booleans(),
        one=st.booleans(),
    )
    def live(self, cut: int | None, when: str, interrupt: int | None, repair: bool, one: bool) -> None:
        match self.status:
            case ExecutionStatus.FAILED:
                self._again(cut, repair, one)
            case ExecutionStatus.COMPLETED:
                self._live(None, "before", None, "resume")
            case _:
                self._live(cut, when, interrupt, "run" if self.status is None else "resume")

    def _again(self, cut: int | None, repair: bool, one: bool) -> None:
        if repair:
            World.hard.clear()
        failed = [str(k) for k, s in Orchestrator(self.store).show("x").steps.items() if s.status is StepStatus.FAILED]
        failed = [k for k in failed if k in self.keys]
        self._live(cut, "before", None, "retry", failed[0] if one and failed else None)

    @invariant()
    def the_journal_is_sound(self) -> None:
        if getattr(self, "status", None) is None:
            return
        app = Orchestrator(self.store)
        ended: set[tuple[str, int]] = set()
        for entry in app.history("x"):
            match entry.event:
                case ev.StepSucceeded(key=key, generation=generation) | ev.StepFailed(key=key, generation=generation):
                    assert (key, generation) not in ended, f"{key} ended twice"
                    ended.add((key, generation))
        record, row = app.show("x"), app.list()[0]
        assert (row.status, row.steps_done) == (record.status, record.steps_done)
        assert row.steps_failed == record.steps_failed

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        World.hard.clear()
        for _ in range(20):
            if self.status is ExecutionStatus.COMPLETED:
                break
            verb = {None: "run", ExecutionStatus.FAILED: "retry"}.get(self.status, "resume")
            self._live(None, "before", None, verb)
        assert self.status is ExecutionStatus.COMPLETED
        assert self.keys <= {key for key, _ in World.calls}


async def _limited(coroutine: Any) -> Any:
    return await asyncio.wait_for(coroutine, 10)


TestEngine = Engine.TestCase
TestEngine.settings = settings(
    max_examples=60, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)

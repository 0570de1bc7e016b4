"""The process dies at each commit, before it and after it, and another one goes on: nothing may differ.

No process is killed: the store dies (`testing.crashing_store`), and the next life begins with what it holds. That takes
milliseconds, so that every commit can be tried. `python -m orchestrator.testing.kill` kills real ones.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.clock import Clock
from orchestrator.errors import OrchestratorError
from orchestrator.journal import events as ev
from orchestrator.journal.events import Event
from orchestrator.journal.records import decode_body, kind_of
from orchestrator.journal.store import Append
from orchestrator.status import UNFINISHED
from orchestrator.testing.carrying import Carrier
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crash.forgetting import Forgetful, globals_of, namespaces_of
from orchestrator.testing.crash.outcome import Outcome, effects_of, outcome_of, recorded_successes
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash, When
from orchestrator.testing.given import Given
from orchestrator.testing.memory import memory_store
from orchestrator.testing.script import Script

_ID = "crash-test"
#: Events that say nothing of where in a pipeline a commit stands.
_DULL = (ev.CodeSeen, ev.CheckpointCreated, ev.StepStarted, ev.VariablesChanged)


@dataclass(frozen=True)
class CrashReport:
    """What was tried, and held: so many `commits` of the unbroken run, so many `cuts` that fell on one.

    A start that waits for its outcome has a commit of its own now and then, so that there may be fewer cuts than two
    per commit. `repeated` counts, by step, the attempts that were made again since their success was not
    recorded yet. `status` and `outputs` are those of every run.
    """

    commits: int
    cuts: int
    repeated: Mapping[str, int]
    status: str
    outputs: Mapping[str, Any]


def crash_everywhere(
    subject: Any,
    inputs: Mapping[str, Any] | None = None,
    *,
    script: Script | Mapping[str, Any] | None = None,
    messages: Mapping[str, Any] | None = None,
    answers: Mapping[str, Any] | None = None,
    effects: Callable[[], Any] | None = None,
    fresh: Callable[[], object] | None = None,
    clock: Callable[[], Clock] | Clock | None = None,
    forget: Iterable[ModuleType | Callable[..., Any]] | None = None,
    every: int = 1,
    **options: Any,
) -> CrashReport:
    """Run `subject` once unbroken, then once per cut: its process dies at a commit, and another one goes on.

    `subject` is a Pipeline, the path of a YAML file, or a durable function. Every cut must end with the same status,
    outputs, GLOBAL variables and effects as the unbroken run, and no step of which a success was recorded may run
    again; else AssertionError tells at which commit what differed.

    `script` says what handlers do (`Script`); `messages` are the signals that it waits for, by name, each with its
    payload; `answers` are a person's, by step: a decision, or a pair of decision and value.

    `effects` looks at the world after each run, as a test sees it; by default it is who was called under which
    idempotency key. `fresh` sets the world back before each run. `clock` is a clock, or makes one for each run (by
    default a FakeClock). Each life forgets the plain globals of the modules that the handlers are of, but for the one
    that `effects` or `fresh` is of; `forget` names others (modules, or functions of theirs), an empty list none.
    `every` tries each n-th commit only. `options` are those of Orchestrator.
    """
    trial = _Trial(
        _loaded(subject),
        inputs or {},
        script if isinstance(script, Script) else Script(script),
        Given(messages or {}, answers or {}),
        effects,
        fresh,
        clock,
        options,
    )
    trial.forgetful = Forgetful(_forgotten(trial.subject, forget, effects, fresh))
    whole, commits = trial.unbroken()
    cuts, repeated = 0, Counter[str]()
    for when in ("before", "after"):
        for at in range(1, commits + 1, every):
            again = trial.cut(at, when, whole, commits)
            if again is not None:
                cuts += 1
                repeated += again
    return CrashReport(commits, cuts, dict(repeated), whole.status, whole.outputs)


@dataclass
class _Trial:
    """One subject, with all that its runs have in common."""

    subject: Any
    inputs: Mapping[str, Any]
    script: Script
    given: Given
    effects: Callable[[], Any] | None
    fresh: Callable[[], object] | None
    clock: Callable[[], Clock] | Clock | None
    options: Mapping[str, Any]
    forgetful: Forgetful = field(default_factory=lambda: Forgetful(()))

    def unbroken(self) -> tuple[Outcome, int]:
        """What the run without a cut comes to, and its commits."""
        store, carrier = CrashingStore(memory_store()), self._anew()
        outcome = self._carried(carrier, store, "the unbroken run")
        return outcome, store.commits

    def cut(self, at: int, when: When, whole: Outcome, commits: int) -> Counter[str] | None:
        """One run that is cut; what ran again, by step. None where it had no such commit."""
        inner, carrier = memory_store(), self._anew()
        store = CrashingStore(inner, at, when)
        try:
            with _hushed():  # what the dying life logs is nobody's concern
                carrier.carry(store)
        except SimulatedCrash:
            store.bury()
        if not store.dead:
            return None
        place = f"cut {when} commit {at} of {commits} ({_told(store.last)})"
        calls = list(self.script.calls)
        with carrier.opened(inner) as app:
            done = recorded_successes(app, store.acknowledged)
        self.forgetful.forget()
        try:
            outcome = self._carried(carrier, inner, place)
        except OrchestratorError as error:
            raise AssertionError(f"{place}: it cannot be gone on with: {error}") from error
        later = self.script.calls[len(calls) :]
        if twice := sorted({call.key for call in later if call.idempotency_key in done}):
            raise AssertionError(f"{place}: ran again though its success was recorded: {', '.join(twice)}")
        if lines := whole.differences(outcome):
            raise AssertionError("\n  ".join([f"{place}: it ended otherwise than the unbroken run", *lines]))
        made = {(call.idempotency_key, call.attempt) for call in calls}
        return Counter(call.key for call in later if (call.idempotency_key, call.attempt) in made)

    def _anew(self) -> Carrier:
        """Everything as before the first run."""
        self.forgetful.forget()
        if self.fresh is not None:
            self.fresh()
        self.script.calls.clear()
        clock = self.clock() if callable(self.clock) else self.clock or FakeClock()
        return Carrier(self.subject, self.inputs, _ID, clock, self.script, self.given, self.options)

    def _carried(self, carrier: Carrier, store: Any, what: str) -> Outcome:
        result = carrier.carry(store)
        if result.status in UNFINISHED:
            raise AssertionError(f"{what} does not end: {result.reason or result.status}; {_HOW_TO_GIVE}")
        with carrier.opened(store) as app:
            return outcome_of(app, result, effects_of(self.script.calls, self.effects))


_HOW_TO_GIVE = 'give `messages={"signal": payload}` or `answers={"step": "choice"}`'


@contextmanager
def _hushed() -> Iterator[None]:
    """Within the block nothing of the package is logged."""
    logger = logging.getLogger("orchestrator")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _loaded(subject: Any) -> Any:
    """A pipeline in the place of the path of its file."""
    if not isinstance(subject, str | Path):
        return subject
    from orchestrator.pipelines.model import Pipeline

    return Pipeline.load(subject)


def _forgotten(
    subject: Any, forget: Iterable[ModuleType | Callable[..., Any]] | None, *test: Callable[..., Any] | None
) -> list[dict[str, Any]]:
    """The globals that each life forgets."""
    if forget is not None:
        return [globals_of(thing) for thing in forget]
    kept = [getattr(function, "__globals__", None) for function in test]
    return [space for space in namespaces_of(subject) if not any(space is one for one in kept)]


def _told(append: Append | None) -> str:
    """What a commit records, in words: `step_succeeded load`."""
    events = [event for _, event in decode_body(append.body)] if append is not None else []
    telling = [event for event in events if not isinstance(event, _DULL)] or events
    return ", ".join(map(_word, telling)) or "nothing"


def _word(event: Event) -> str:
    key = getattr(event, "key", None)
    return f"{kind_of(event)} {key}" if key else kind_of(event)

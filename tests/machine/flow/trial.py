"""One execution of one pipeline, driven through many lives, and held against the model after each.

A *life* is one engine from its start to its end: it ends by itself, by a cut at a commit, or because somebody outside
asked. What is done to it from outside comes before the life, or at the n-th event that is recorded in it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tests.machine.flow import invariants
from tests.machine.flow.clock import PatientClock
from tests.machine.flow.handlers import new_world
from tests.machine.flow.model import Model
from tests.machine.flow.outside import Outside
from tests.machine.flow.places import Made
from tests.machine.flow.results import Wrong
from tests.machine.flow.story import ENDED_WELL, Story
from tests.machine.flow.tally import TALLY

from orchestrator import ExecutionStatus, Orchestrator, Pipeline
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Store
from orchestrator.storage import open_store
from orchestrator.storage.memory import MemoryStore
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash, When

ID = "x"
#: No life takes this long.
_PATIENCE_SECONDS = 10.0
#: So many lives bring anything to its end.
_LIVES = 60


class LastingStore(MemoryStore):
    """A store that a trial hands on from life to life."""

    survives_process = True


class Life(NamedTuple):
    """What befalls one life. `during`: (at which of its events, what)."""

    cut: int | None = None
    when: When = "before"
    before: Sequence[str] = ()
    during: Sequence[tuple[int, str]] = ()
    say: int = 0
    pick: int = 0


class Trial:
    """One execution and all that is known about it outside of its store."""

    def __init__(self, made: Made, on_disk: bool) -> None:
        self.made, self.world = made, new_world(made)
        self.pipeline = Pipeline.from_canonical(made.definition, "")
        self._at_end = ExitStack()
        self.store: Store = LastingStore()
        if on_disk:
            folder = Path(self._at_end.enter_context(tempfile.TemporaryDirectory()))
            self.store = open_store(str(folder / "journal.db"), durability="process")
            self._at_end.callback(self.store.close)
        self.now = 1_800_000_000.0
        self.outside = Outside(ID, self.world)
        TALLY.pipeline(made.definition)
        TALLY.happened("on disk", int(on_disk))

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def story(self) -> Story | None:
        """What the journal says; None before the first commit."""
        app = Orchestrator(self.store)
        return Story(app, ID) if app.list() else None

    @property
    def status(self) -> ExecutionStatus | None:
        """Where the execution stands; None before it is known."""
        rows = Orchestrator(self.store).list()
        return rows[0].status if rows else None

    # -- a life --------------------------------------------------------------------------------------------------------

    def live(self, life: Life) -> None:
        """Do what comes before it, live it, and hold what came of it against the model."""
        for what in life.before:
            self._between(what, life.say)
        before = self.status
        if before is ExecutionStatus.CANCELLED or (before is ExecutionStatus.COMPLETED and not life.pick):
            return
        self._run(life, before)
        if (story := self.story) is not None:
            self.check(story)

    def _between(self, what: str, say: int) -> None:
        if what == "advance":
            self.now += 700.0
            TALLY.happened("clock moved on")
        elif what == "repair":
            self.world.repaired = True
        elif what == "restore":
            self._restore(say)
        elif self.status is not None:
            clock = PatientClock(self.now)
            asyncio.run(self.outside.act(Orchestrator(self.store, clock=clock), what, say))
            self.now = clock.time()

    def _restore(self, say: int) -> None:
        app = Orchestrator(self.store, clock=PatientClock(self.now))
        kept = [found for found in app.checkpoints(ID) if found.kept] if self.status is not None else []
        if kept:
            app.restore(ID, kept[say % len(kept)].id)
            TALLY.happened("restores")

    def _run(self, life: Life, before: ExecutionStatus | None) -> None:
        store = CrashingStore(self.store, at=life.cut, when=life.when)
        clock = self.world.clock = PatientClock(self.now)
        self.world.active.clear()
        self._know_what_succeeded()
        recorded = Counter[str]()
        app: Orchestrator

        def told(entry: Entry) -> None:
            recorded["events"] += 1
            if isinstance(entry.event, ev.StepSucceeded):
                self.world.succeeded.add((str(entry.event.key), entry.event.generation))
            for number, what in life.during:
                if number == recorded["events"]:
                    self.outside.act_soon(app, what, life.say)

        app = Orchestrator(store, clock=clock, on_event=(told,))
        try:
            result = asyncio.run(self._verb(app, before, life))
            if result is not None and (story := self.story) is not None:
                self._agrees(result, story)
        except SimulatedCrash:
            TALLY.happened(f"cut {life.when} a commit")
        finally:
            if store.dead:
                store.bury()
            self.now = max(self.now, clock.time())

    async def _verb(self, app: Orchestrator, before: ExecutionStatus | None, life: Life) -> Any:
        asyncio.get_running_loop().set_exception_handler(self._raised_in_a_callback)
        doing = self._doing(app, before, life)
        try:
            return await asyncio.wait_for(doing, _PATIENCE_SECONDS)
        except TimeoutError:
            raise Wrong("the life does not end") from None

    def _doing(self, app: Orchestrator, before: ExecutionStatus | None, life: Life) -> Any:
        match before:
            case None:
                return app.arun(self.pipeline, execution_id=ID)
            case ExecutionStatus.FAILED | ExecutionStatus.COMPLETED if life.pick > 1 and (key := self._some_key(life)):
                TALLY.happened("reruns")
                return app.arerun(ID, key)
            case ExecutionStatus.FAILED:
                TALLY.happened("retries by hand")
                return app.aretry(ID)
            case _:
                TALLY.happened("resumes")
                return app.aresume(ID)

    def _raised_in_a_callback(self, _loop: object, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, SimulatedCrash):
            self.world.faults.append(f"{context['message']}: {type(error).__name__}: {error}")

    def _some_key(self, life: Life) -> str | None:
        """A step that has run, whatever holds it; no part of a recovery, which nobody can name."""
        story = self.story
        done = [k for k in story.record.steps if story.state(k) in (*ENDED_WELL, "failed")] if story else []
        keys = sorted(key for key in done if "_other" not in key)
        return keys[life.pick * 5 % len(keys)] if keys else None

    def _know_what_succeeded(self) -> None:
        if (story := self.story) is not None:
            done = [entry.event for entry in story.entries if isinstance(entry.event, ev.StepSucceeded)]
            self.world.succeeded = {(str(event.key), event.generation) for event in done}

    # -- what must hold ------------------------------------------------------------------------------------------------

    def check(self, story: Story) -> None:
        """Everything."""
        if self.world.faults:
            raise Wrong(self.world.faults[0])
        invariants.check(story, self.outside.posted)
        model = Model(self.made.definition, story, self.world.repaired)
        model.whole()
        self._witnesses(story, model.outcomes)
        if story.status == "cancelled" and not self.outside.cancelled:
            raise Wrong("cancelled, and nobody asked for it")

    def _witnesses(self, story: Story, outcomes: Mapping[str, set[str]]) -> None:
        ended = {(call.key, call.generation, call.attempt) for call in self.world.calls if call.phase == "end"}
        for entry in story.entries:
            event = entry.event
            if not isinstance(event, ev.StepSucceeded) or not self._calls(story, event):
                continue
            if (str(event.key), event.generation, event.attempt) not in ended:  # `verify` gives it for its own attempt
                raise Wrong(f"{event.key} succeeded, and its handler did not")
        for call in self.world.calls if story.has_ended else ():
            words = outcomes.get(call.key, {call.status})
            if call.status not in words and (call.phase, call.generation) == ("start", story.generation(call.key)):
                raise Wrong(f"{call.key} was told that the outcome is {call.status}, and it is one of {words}")

    def _calls(self, story: Story, event: ev.StepSucceeded) -> bool:
        """Whether a success is that of a handler: something was begun, and nothing recovered."""
        step = story.step(event.key)
        begun = any(call.key == event.key and call.generation == event.generation for call in self.world.calls)
        return begun and step is not None and step.generation == event.generation and step.plan is None

    def _agrees(self, result: Any, story: Story) -> None:
        if str(result.status) != story.status and result.status is not ExecutionStatus.PAUSED:  # cancelled just then
            raise Wrong(f"the result says {result.status}, the journal {story.status}")
        if result.status is ExecutionStatus.COMPLETED and dict(result.outputs) != story.outputs:
            raise Wrong(f"the result gives {result.outputs}, the journal {story.outputs}")

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Bring it to its end: everybody answers, every signal comes, time passes."""
        try:
            self.world.repaired = True
            for _ in range(_LIVES):
                story = self.story
                if story is not None and story.has_ended:
                    break
                if story is not None:
                    asyncio.run(self.outside.satisfy(Orchestrator(self.store, clock=PatientClock(self.now)), story))
                    self.now = max([self.now, *self._dues(story)])
                self.live(Life())
            else:
                raise Wrong(f"{_LIVES} lives do not bring it to its end; it is {self.status}")
            if story is not None:
                TALLY.end(story)
        finally:
            self._at_end.close()

    def _dues(self, story: Story) -> list[float]:
        waits = [step.waiting_for for step in story.waiting()]
        retries = [step.failures[-1].due_at for step in story.record.steps.values() if step.failures]
        return [due + 1 for due in (*(w.until for w in waits if w is not None), *retries) if due is not None]

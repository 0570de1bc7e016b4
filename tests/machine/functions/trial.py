"""One execution of one program, driven through many lives, and held against the model after each.

A *life* is one Orchestrator from its start to its end: it ends by itself, by a cut at a commit, or because somebody
outside asked. What is done to it from outside comes before the life, or at the n-th event that is recorded in it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.machine.flow import invariants
from tests.machine.flow.outside import Outside
from tests.machine.flow.results import Wrong
from tests.machine.flow.story import Story
from tests.machine.flow.trial import LastingStore, Life
from tests.machine.functions.model import Checker, failures, fits
from tests.machine.functions.running import Program, plain, program
from tests.machine.functions.tally import TALLY
from tests.machine.functions.world import Clock, new_world

from orchestrator import ExecutionStatus, Orchestrator
from orchestrator.execution.flow import tree
from orchestrator.journal import events as ev
from orchestrator.journal.events import Entry
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash

ID = "x"
#: No life takes this long.
_PATIENCE_SECONDS = 20.0
#: So many lives bring anything to its end.
_LIVES = 60
#: Functions count as waiting this soon: nothing of a program takes time by itself, but for `late`.
_REST_SECONDS = 0.008
#: Statements that are told what is recorded.
_RECORDED = ("step", "map", "completed", "signal", "approve")


class Trial:
    """One execution and all that is known about it outside of its store."""

    def __init__(self, body: Program, is_async: bool) -> None:
        self.body, self.target = body, program if is_async else plain
        self.world, self.store = new_world(), LastingStore()
        self.now = 1_800_000_000.0
        self.outside = Outside(ID, self.world)
        self.commits = 0
        self._threads = {*threading.enumerate()}
        TALLY.program(body, is_async)

    @property
    def story(self) -> Story | None:
        """What the journal says; None before the first commit."""
        app = Orchestrator(self.store)
        return Story(app, ID) if app.list() else None

    # -- a life --------------------------------------------------------------------------------------------------------

    def live(self, life: Life) -> None:
        """Do what comes before it, live it, and hold what came of it against the model."""
        for what in life.before:
            self._between(what, life.say)
        story = self.story
        if story is not None and story.has_ended:
            return
        self._run(life, resumes=story is not None)
        if (after := self.story) is not None:
            self.check(after)

    def _between(self, what: str, say: int) -> None:
        if what == "advance":
            self.now += 700.0
        elif (before := self.story) is not None and not before.has_ended:
            clock = self.world.clock = Clock(self.now)
            self.world.begin_life()
            app = self._app(self.store, clock)
            with _restless():
                asyncio.run(self.outside.act(app, what, say))
            self.now = max(self.now, clock.time())
            story = self.story
            if story is not None and story.status == "cancelled":
                self.check(story)

    def _app(self, store: Any, clock: Clock, **more: Any) -> Orchestrator:
        app = Orchestrator(store, clock=clock, **more)
        app.knows(self.target)
        return app

    def _run(self, life: Life, resumes: bool) -> None:
        store = CrashingStore(self.store, at=life.cut, when=life.when)
        clock = self.world.clock = Clock(self.now)
        self.world.begin_life()
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

        app = self._app(store, clock, on_event=(told,))
        try:
            with _restless():
                result = asyncio.run(self._verb(app, resumes))
            self._nothing_runs_on()
            if (story := self.story) is not None:
                self._agrees(result, story)
        except SimulatedCrash:
            TALLY.happened(f"cut {life.when} a commit")
        finally:
            self.commits = store.commits
            if store.dead:
                store.bury()
            self.now = max(self.now, clock.time())

    async def _verb(self, app: Orchestrator, resumes: bool) -> Any:
        asyncio.get_running_loop().set_exception_handler(self._raised_in_a_callback)
        doing = app.aresume(ID) if resumes else app.arun(self.target, {"body": self.body}, execution_id=ID)
        TALLY.happened("resumes", int(resumes))
        try:
            return await asyncio.wait_for(doing, _PATIENCE_SECONDS)
        except TimeoutError:
            raise Wrong("the life does not end") from None

    def _raised_in_a_callback(self, _loop: object, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, SimulatedCrash):
            self.world.faults.append(f"{context['message']}: {type(error).__name__}: {error}")

    def _know_what_succeeded(self) -> None:
        if (story := self.story) is not None:
            done = [entry.event for entry in story.entries if isinstance(entry.event, ev.StepSucceeded)]
            self.world.succeeded = {(str(event.key), event.generation) for event in done}

    def _nothing_runs_on(self) -> None:
        if left := +self.world.active:
            raise Wrong(f"the life is over, and these run: {dict(left)}")
        until = time.monotonic() + 2.0
        while left_ := [t for t in {*threading.enumerate()} - self._threads if t.name == "orchestrator-function"]:
            if time.monotonic() > until:
                raise Wrong(f"the life is over, and {len(left_)} functions run on in their threads")
            time.sleep(0.001)

    # -- what must hold ------------------------------------------------------------------------------------------------

    def check(self, story: Story) -> None:
        """Everything."""
        if self.world.faults:
            raise Wrong(self.world.faults[0])
        invariants.check(story, self.outside.posted)
        if story.status == "completed":
            Checker(story).whole(self.body, story.outputs["result"])
        elif story.status == "failed":
            self._failed_rightly(story)
        elif story.status == "cancelled":
            if not self.outside.cancelled:
                raise Wrong("cancelled, and nobody asked for it")
            world = self.world
            untidy = world.begun - world.tidied | {*_begun(self.body, world.told)} - world.ever_tidied
            if untidy := untidy - world.cut_short:
                raise Wrong(f"cancelled, and these did not tidy up: {untidy}")

    def _failed_rightly(self, story: Story) -> None:
        error: Any = story.record.error
        message = str(error["message"])
        kind = error.get("raised", {}).get("name", error.get("type"))
        possible = failures(self.body)
        told = [kind, [message.removeprefix("Boom: ") if kind == "Boom" else kind]]
        if kind == "ExceptionGroup":
            told = [kind, [text for found, texts in possible if found == kind for text in texts]]
        if not fits(told, possible):
            raise Wrong(f"failed with {kind}: {message}, and may with {possible}")

    def _agrees(self, result: Any, story: Story) -> None:
        if str(result.status) != story.status and result.status is not ExecutionStatus.PAUSED:  # cancelled just then
            raise Wrong(f"the result says {result.status}, the journal {story.status}")
        if result.status is ExecutionStatus.COMPLETED and dict(result.outputs) != story.outputs:
            raise Wrong(f"the result gives {result.outputs}, the journal {story.outputs}")

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self) -> Story:
        """Bring it to its end: everybody answers, every signal comes, time passes."""
        for lives in range(_LIVES + 1):
            story = self.story
            if story is not None and story.has_ended:
                TALLY.end(story)
                return story
            if story is not None:
                asyncio.run(self.outside.satisfy(self._app(self.store, Clock(self.now)), story))
                self.now = max([self.now, *_dues(story)])
            if lives < _LIVES:
                self.live(Life())
        raise Wrong(f"{_LIVES} lives do not bring it to its end; it is {self.story and self.story.status}")


def _begun(body: Program, told: Mapping[int, Any]) -> Iterator[int]:
    """The parts with clean-up in which a step has ended; a task that is left behind does not tidy up."""
    for statement in body:
        steps = [inner["id"] for inner in statement.get("body", []) if inner["do"] in _RECORDED]
        if statement.get("tidy") and any(number in told for number in steps):
            yield statement["id"]
        for part in ("body", "catch"):
            yield from _begun(statement.get(part) or [], told)
        for branch in statement.get("branches", []) if statement.get("how") != "gather" else []:
            yield from _begun(branch["body"], told)


def _dues(story: Story) -> list[float]:
    waits = [step.waiting_for for step in story.waiting()]
    retries = [step.failures[-1].due_at for step in story.record.steps.values() if step.failures]
    return [due + 1 for due in (*(w.until for w in waits if w is not None), *retries) if due is not None]


@contextmanager
def _restless() -> Iterator[None]:
    """Functions that wait are seen sooner."""
    before, tree.REST_SECONDS = tree.REST_SECONDS, _REST_SECONDS
    try:
        yield
    finally:
        tree.REST_SECONDS = before

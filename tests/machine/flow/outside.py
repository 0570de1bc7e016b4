"""Who acts on an execution from outside: posts signals, answers questions, pauses and cancels, in any moment."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.machine.flow.handlers import World
from tests.machine.flow.story import Story
from tests.machine.flow.tally import TALLY

from orchestrator import Orchestrator
from orchestrator.testing.crashing_store import SimulatedCrash

_DECISIONS = ("skip", "retry", "abort")


class Outside:
    """The people and programs around one execution. `posted`: the payload of each signal -> its name."""

    def __init__(self, execution_id: str, world: World) -> None:
        self._id, self._world = execution_id, world
        self.posted: dict[int, str] = {}
        self.cancelled = False
        self._acts: set[asyncio.Task[None]] = set()

    def act_soon(self, app: Orchestrator, what: str, say: int) -> None:
        """Act in the next pass of the running loop, whatever runs then."""
        task = asyncio.get_running_loop().create_task(self._act_anyhow(app, what, say))
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)

    async def _act_anyhow(self, app: Orchestrator, what: str, say: int) -> None:
        try:
            await self.act(app, what, say)
        except SimulatedCrash:
            return
        except Exception as exc:  # noqa: BLE001 - told after the life
            self._world.faults.append(f"{what} was refused: {type(exc).__name__}: {exc}")

    async def act(self, app: Orchestrator, what: str, say: int) -> None:
        """Do something to an execution that has not ended."""
        story = Story(app, self._id)
        if story.has_ended:
            return
        runs = "while it runs" if story.status == "running" else "while nobody runs it"
        match what:
            case "signal":
                self.signal(app, f"sig{say % 2}", story)
            case "answer":
                self.answer(app, story, say)
            case "pause":
                await app.apause(self._id)
                TALLY.happened(f"pauses {runs}")
            case "cancel":
                self.cancelled = True
                await app.acancel(self._id, "enough")
                TALLY.happened(f"cancels {runs}")
            case "interrupt":
                app.interrupt()
                TALLY.happened("interrupts")

    def signal(self, app: Orchestrator, name: str, story: Story) -> None:
        """Post a signal with a payload of its own."""
        payload = 100 + len(self.posted)
        self.posted[payload] = name
        app.signal(self._id, name, payload)
        awaited = any(step.waiting_for and step.waiting_for.subject == name for step in story.waiting())
        TALLY.happened("signals that are awaited" if awaited else "signals that nobody awaits yet")

    def answer(self, app: Orchestrator, story: Story, say: int) -> None:
        """Answer whoever asks first and was not answered yet."""
        asked = {message.payload.get("step") for message in story.inbox}
        for step in story.waiting():
            if step.key in asked:
                continue
            waits = step.waiting_for
            if waits is not None and waits.over is None and waits.kind == "approval":
                ask = waits.ask
                choice = ask["choices"][say % len(ask["choices"])]
                form: dict[str, Any] | None = {"why": "because"} if ask.get("form") else None
                app.answer(self._id, step.key, choice, form, (ask.get("who") or ["ann"])[0])
                TALLY.happened("approvals given")
            elif step.intervention is not None and step.intervention.decision is None:
                app.answer(self._id, step.key, _DECISIONS[say % 3], 500, "somebody")
                TALLY.happened("interventions answered")
            else:
                continue
            return

    async def satisfy(self, app: Orchestrator, story: Story) -> None:
        """Give everybody what they wait for."""
        for step in story.waiting():
            waits = step.waiting_for
            if waits is not None and waits.over is None and waits.kind == "signal":
                self.signal(app, waits.subject, story)
        for _ in story.waiting():
            self.answer(app, Story(app, self._id), 0)

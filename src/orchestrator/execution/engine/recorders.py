"""Verbs of the rooms, called while an engine runs the execution: recorded first, applied when they are durable.

Within a handler a variable that is set goes to the attempt's writes, which are committed with its success. Elsewhere a
verb returns when its commit did; from another thread it is the loop that commits, and the thread waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeGuard

from orchestrator.errors import IllegalMoveError, InputError
from orchestrator.execution.driver import CURRENT_ATTEMPT, Attempt
from orchestrator.execution.engine.drive import Drive
from orchestrator.execution.state import ExecutionContext
from orchestrator.execution.variables import Cell, Change, Delete, TemplateCell, Write, keep
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.events import Event

#: What may be recorded from outside while an engine runs the execution; all else is the engine's to say.
_FROM_OUTSIDE = (ev.CheckpointCreated, ev.ExecutionRestored, ev.VariablesChanged)


def on_loop(running: Drive, do: Callable[[], None]) -> None:
    """Do something on the thread of the loop that runs the execution, and return when it is done."""
    try:
        here = asyncio.get_running_loop() is running.loop
    except RuntimeError:
        here = False
    if here:
        do()
        return
    done: Future[None] = Future()

    def perform() -> None:
        try:
            do()
        except BaseException as exc:  # noqa: BLE001 - raised in the thread that waits
            done.set_exception(exc)
        else:
            done.set_result(None)

    running.loop.call_soon_threadsafe(perform)
    done.result()


@dataclass(slots=True)
class ContextRecorder:
    """Records the verbs of an ExecutionContext, while its execution is under way."""

    running: Drive | None = None

    def record(self, context: ExecutionContext, events: Sequence[Event]) -> None:
        """Commit, then apply. Raises IllegalMoveError for what only the engine may say."""
        running = self.running
        refused = [event for event in events if not isinstance(event, _FROM_OUTSIDE)]
        if running is None or refused:
            what = "run by an engine" if running is not None else "of an engine that has let go of it"
            raise IllegalMoveError(f"execution {context.execution_id}", what, type((refused or events)[0]).__name__)
        for event in events:
            if isinstance(event, ev.ExecutionRestored):
                on_loop(running, partial(running.restore_to, event.checkpoint))
            else:
                on_loop(running, partial(running.commit_now, (event,)))


@dataclass(frozen=True, slots=True)
class VariableRecorder:
    """Records what is set and deleted in a VariableManager."""

    running: Drive

    def record(self, changes: Sequence[Change]) -> None:
        """Keep GLOBAL writes of a handler for its success, and commit others.

        What belongs to a context, templates and dependencies are not recorded: they end with this process.
        """
        shared = [change for change in changes if _is_shared(change)]
        variables = self.running.session.variables
        if len(shared) < len(changes):
            variables.apply([change for change in changes if not _is_shared(change)])
        attempt = self._attempt()
        if attempt is not None:
            for change in shared:
                _keep_for_success(attempt, change)
        elif shared:
            on_loop(self.running, lambda: self.running.commit_now((self._event(shared),)))

    def unrecorded(self, name: str) -> Cell | None:
        """What the running handler has set: it alone sees it until its success."""
        attempt = self._attempt()
        return keep(attempt.writes[name])[0] if attempt is not None and name in attempt.writes else None

    def _attempt(self) -> Attempt | None:
        attempt = CURRENT_ATTEMPT.get()
        here = attempt is not None and attempt.execution_id == self.running.session.lease.execution_id
        return attempt if here else None

    def _event(self, changes: Sequence[Write | Delete]) -> ev.VariablesChanged:
        put = self.running.parts.put_blob
        writes = tuple((c.name, encode(c.cell.read(), put)) for c in changes if isinstance(c, Write))
        deleted = tuple(c.name for c in changes if isinstance(c, Delete))
        sources = {c.source_step for c in changes if isinstance(c, Write)}
        return ev.VariablesChanged(writes, deleted, sources.pop() if len(sources) == 1 else None)


def _is_shared(change: Change) -> TypeGuard[Write | Delete]:
    """Whether it is about a GLOBAL value, which every later life must see."""
    match change:
        case Write(context_id=None, cell=cell):
            return not isinstance(cell, TemplateCell)
        case Delete(context_id=None):
            return True
        case _:
            return False


def _keep_for_success(attempt: Attempt, change: Write | Delete) -> None:
    if isinstance(change, Delete):
        raise InputError(
            f"step {attempt.step_key!r} cannot delete the variable {change.name!r} while it runs; set it to None"
        )
    attempt.writes[change.name] = change.cell.read()

"""The rooms that a user handed to an engine: variables, progress, recovery. They serve one execution after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.execution.engine.drive import Drive
from orchestrator.execution.engine.recorders import ContextRecorder, VariableRecorder
from orchestrator.execution.engine.telling import tell
from orchestrator.execution.progress import ProgressTrackerProtocol
from orchestrator.execution.recovery import RecoveryManager
from orchestrator.execution.variables import VariableManager, VariableScope
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.events import Event
from orchestrator.journal.store import Note
from orchestrator.types import BlobHash, ExecutionId

#: Is called with each note (progress, output line), from any thread.
NoteSubscriber: TypeAlias = Callable[[ExecutionId, Note], None]


@dataclass(slots=True)
class Rooms:
    """What was handed in so far."""

    variables: VariableManager | None = None
    tracker: ProgressTrackerProtocol | None = None
    recovery: RecoveryManager | None = None

    def variables_brought(self, put_blob: Callable[[BlobHash, bytes], None]) -> Sequence[Event]:
        """What a manager holds when an execution begins, as an event: a resumed one must see it too."""
        found = self.variables.list_variables(scope=VariableScope.GLOBAL) if self.variables is not None else {}
        writes = tuple((name, encode(value, put_blob)) for name, value in found.items())
        return (ev.VariablesChanged(writes),) if writes else ()

    def enter(self, running: Drive) -> Callable[[], None]:
        """Let the rooms serve an execution; gives what ends it."""
        context, recorder = running.session.context, running.session.recorder
        assert isinstance(recorder, ContextRecorder)
        recorder.running = running
        context.variable_manager.recorder = VariableRecorder(running)
        leave = tell(self.tracker, context) if self.tracker is not None else None
        if self.recovery is not None:
            self.recovery.execution_context = context

        def end() -> None:
            recorder.running = context.variable_manager.recorder = None
            if leave is not None:
                leave()

        return end

    @property
    def note_subscribers(self) -> Sequence[NoteSubscriber]:
        """Who takes the notes of handlers: the tracker is told how far they are."""
        return () if self.tracker is None else (self._take_note,)

    def _take_note(self, execution_id: ExecutionId, note: Note) -> None:
        if self.tracker is not None and note.fraction is not None:
            self.tracker.update_step_progress(execution_id, note.step_key, note.fraction * 100)

"""The variables of a running step: they have a context of their own, which is made when the first of them is set."""

from __future__ import annotations

from contextlib import suppress

from orchestrator.errors import UnknownContextError
from orchestrator.execution.driver import CURRENT_ATTEMPT
from orchestrator.execution.state.applied import Applied
from orchestrator.types import StepKey


class StepContexts:
    """Which context the variables of a step are in, by its id; by None that of the step that the caller belongs to.

    That is the step whose attempt the calling code is part of, else the latest to run. Thread-safe.
    """

    __slots__ = ("_state",)

    def __init__(self, state: Applied) -> None:
        self._state = state

    def present(self, step_id: str | None) -> str | None:
        """The context; None where no such step runs, or nothing was set in it yet. Makes nothing."""
        running = self._state.tally.running
        if not running:
            return None
        key = self._key(step_id)
        return None if key is None else running.get(key)

    def enter(self, step_id: str | None) -> str | None:
        """The context, which is made where there is none; None where no such step runs."""
        key = self._key(step_id)
        if key is None or key not in self._state.tally.running:
            return None
        known = self._state.tally.running.get(key)
        return known if known is not None else self._make(key)

    def _make(self, key: StepKey) -> str | None:
        """A new context, unless the step has ended meanwhile, or another thread was faster."""
        manager = self._state.values.manager
        made = manager.create_context()
        with self._state.lock:
            running = self._state.tally.running
            known = running.get(key)
            if key in running and known is None:
                running[key] = made
                return made
        with suppress(UnknownContextError):  # a restore may have ended it
            manager.destroy_context(made)
        return known

    def _key(self, step_id: str | None) -> StepKey | None:
        if step_id is not None:
            return StepKey(step_id)
        attempt = CURRENT_ATTEMPT.get()
        if attempt is not None and attempt.execution_id == self._state.record.execution_id:
            return attempt.step_key
        return self._state.tally.current

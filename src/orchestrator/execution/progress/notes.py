"""Progress: how far a handler is, told while it runs.

What a handler reports is a note: shown at once, kept within a bound, never replayed, and no commit of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from orchestrator.clock import SystemClock
from orchestrator.execution.driver import CURRENT_ATTEMPT
from orchestrator.failure import scrub
from orchestrator.journal.store import Note

#: The file descriptor that a shell step's programs report on, where this environment variable names one.
PROGRESS_FD = "ORCHESTRATOR_PROGRESS_FD"


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """Which attempt of which step of which execution the running code belongs to."""

    execution_id: str
    step_key: str
    generation: int
    attempt: int
    idempotency_key: str


def progress(fraction: float, message: str = "") -> None:
    """Say how far the running step is: `fraction` from 0 to 1, with a short message.

    Works in every handler (async, thread, worker process) and in Python programs that a shell step runs; elsewhere it
    does nothing, so that a handler can be called as a plain function. Raises ValueError where `fraction` is no number.
    """
    fraction = min(1.0, max(0.0, float(fraction)))
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        at, told = SystemClock().time(), scrub(message)
        attempt.emit(Note(attempt.step_key, attempt.attempt, at, "progress", told, fraction))
    elif fd := os.environ.get(PROGRESS_FD, ""):
        line = f"{fraction:.4f} {' '.join(message.split())}\n"
        try:
            os.write(int(fd), line.encode())
        except (OSError, ValueError):  # nobody listens: a copied environment, a closed descriptor
            return


def current_attempt() -> AttemptInfo | None:
    """The attempt that the calling handler belongs to; None outside of one.

    `idempotency_key` is the same on every attempt of a step: give it to services that drop repeated requests.
    """
    attempt = CURRENT_ATTEMPT.get()
    if attempt is None:
        return None
    return AttemptInfo(
        attempt.execution_id, attempt.step_key, attempt.generation, attempt.attempt, attempt.idempotency_key
    )

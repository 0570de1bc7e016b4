"""The threads of a fan-out."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.execution.progress.listeners import now


class Threads:
    """Threads that call handlers, from their start until they leave. The lock of their `Fanout` guards them."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()

    def start(self, target: Callable[..., None], *args: object) -> threading.Thread | None:
        """Begin another one; None where the machine has none left, or the interpreter is ending."""
        thread = threading.Thread(target=target, args=args, name="orchestrator-progress", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return None
        self._threads.add(thread)
        return thread

    def leave(self) -> None:
        """The thread that runs here is about to end."""
        self._threads.discard(threading.current_thread())

    def is_one(self) -> bool:
        """Whether the thread that runs here is one of them. Needs no lock: only a thread itself makes this untrue."""
        return threading.current_thread() in self._threads

    def all(self) -> list[threading.Thread]:
        """Those that have not left."""
        return [*self._threads]


def join(threads: list[threading.Thread], deadline: float) -> None:
    """Wait for their ends, until the deadline."""
    for thread in threads:
        thread.join(max(0.0, deadline - now()))

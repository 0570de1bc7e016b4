"""A step that is carried on: its deed, driven by callbacks.

A step has no task and no coroutine of its own. `go` runs its deed until that waits for something, and goes on when that
has come; only what really takes time (a handler, a large value on its way to the store, a delay) is a future. A step of
a fan-out is thus a few small objects, and a step of a chain takes a few passes of the loop.

`cancel` never ends a step while whoever asks for it is looking: the step ends in a later pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from orchestrator.errors import HandlerStillRunningError
from orchestrator.execution.driver import Deed, Request
from orchestrator.execution.machine import Execute, Join

#: What performing gives that has only begun: `wait_for` or `go` will bring the answer.
LATER: Final = object()


class Interrupted(BaseException):
    """Unwinds a step whose attempt was ended by an interrupt or a rollback: nothing of it is recorded."""


#: Performs a request for a step. Gives the answer or LATER; raises what is thrown into the deed, or Interrupted.
Perform = Callable[[Request, "Carried"], Any]


class Carried:
    """One deed on its way. Belongs to the thread of its loop."""

    __slots__ = (
        "_deed",
        "_going",
        "_loop",
        "_on_end",
        "_perform",
        "_receive_error",
        "_waits_for",
        "cancelled",
        "ended",
        "how",
        "instruction",
        "stuck",
    )

    def __init__(
        self,
        deed: Deed[None],
        perform: Perform,
        on_end: Callable[[Carried, BaseException | None], None],
        loop: asyncio.AbstractEventLoop,
        instruction: Execute | Join | None = None,
    ) -> None:
        self._deed, self._perform, self._on_end, self._loop = deed, perform, on_end, loop
        self.instruction = instruction
        #: Whether somebody has cancelled it, and whether it has ended.
        self.cancelled = self.ended = False
        #: The handler that outlived the cancellation, where one did.
        self.stuck: HandlerStillRunningError | None = None
        #: How what ran came to its end when it was cancelled, as the runner tells; empty where nothing ran.
        self.how = ""
        self._going = False
        self._waits_for: asyncio.Future[Any] | None = None
        self._receive_error: Callable[[Exception], BaseException] | None = None

    def go(self, answer: Any = None, error: BaseException | None = None) -> None:
        """Give the deed what it waits for, and drive it until it waits again or has ended."""
        if self.cancelled or self.ended:
            return
        self._going = True
        try:
            self._go(answer, error)
        except StopIteration:
            self._end(None)
        except Interrupted:
            self._drop()
        except BaseException as exc:
            self._drop(exc)
            if isinstance(exc, (KeyboardInterrupt, SystemExit)):
                raise
        else:
            self._going = False

    def _go(self, answer: Any, error: BaseException | None) -> None:
        """Return where the deed waits; raises StopIteration at its end."""
        deed, perform = self._deed, self._perform
        while answer is not LATER:
            request = deed.send(answer) if error is None else deed.throw(error)
            answer, error = None, None
            try:
                answer = perform(request, self)
            except Exception as exc:  # noqa: BLE001 - handed to the deed, which records or re-raises it
                error = exc
            if self.cancelled:
                raise Interrupted

    def wait_for(
        self, future: asyncio.Future[Any], receive_error: Callable[[Exception], BaseException] | None = None
    ) -> None:
        """Go on with what comes of this future. `receive_error` may put another error in the place of its own."""
        self._waits_for, self._receive_error = future, receive_error
        future.add_done_callback(self._arrived)

    def cancel(self) -> None:
        """End it; what it waits for is cancelled. A second time makes haste with that."""
        again, self.cancelled = self.cancelled, True
        if self._waits_for is not None:
            self._waits_for.cancel()
        elif not (again or self._going or self.ended):
            self._loop.call_soon(self._drop)

    def _arrived(self, future: asyncio.Future[Any]) -> None:
        self._waits_for = None
        if self.cancelled:
            self.stuck, self.how = _how_it_ended(future)
            self._drop()
            return
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is None:
            self.go(future.result())
            return
        if isinstance(error, Exception) and self._receive_error is not None:
            error = self._receive_error(error)
        if isinstance(error, Exception):
            self.go(None, error)
        else:  # an interrupt, or somebody else has cancelled what the step waits for
            self._drop(None if isinstance(error, Interrupted) else error)

    def _drop(self, error: BaseException | None = None) -> None:
        """End it where it stands."""
        if not self.ended:
            self._deed.close()
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self.ended, self._going = True, False
        self._on_end(self, error)


def _how_it_ended(future: asyncio.Future[Any]) -> tuple[HandlerStillRunningError | None, str]:
    """The handler that still runs although its attempt was cancelled; and what the runner says of the end."""
    try:
        future.result()
    except asyncio.CancelledError as exc:
        cause = exc.__cause__
        return cause if isinstance(cause, HandlerStillRunningError) else None, "; ".join(getattr(exc, "__notes__", ()))
    except BaseException:  # noqa: BLE001 - of an attempt that nobody waits for any more
        return None, ""
    return None, ""

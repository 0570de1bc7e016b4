"""How every attempt is waited for: one rule for timeouts and cancellation, wherever the handler runs.

A runner starts something and has a future for its end. `supervise` waits for that future without owning it: a timeout
asks the thing to end and waits on, within a bound, until it has; a cancellation does the same and is raised afterwards,
never swallowed; a second cancellation makes haste. What is raised is decided here; how a thing is asked to end is what
its `Reins` say. The cancellation that is raised has a note (`__notes__`) that tells how the thing came to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from orchestrator.errors import HandlerStillRunningError, StepTimeoutError
from orchestrator.execution.driver import Attempt
from orchestrator.runners.handler_errors import as_failure

#: How long what was asked for the last time may take.
_LAST_SECONDS = 1.0


def ended_when_asked(seconds: float) -> str:
    """How something ended that did what it was asked to."""
    return f"ended {seconds:.1f} s after it was asked to"


@dataclass(frozen=True, slots=True)
class Reins:
    """How to end something that runs: `end` asks, `hasten` insists (None: waiting is all that can be done).

    `gone` is done when nothing of it runs any more; it may take `patience_seconds` after `end`. What has not ended by
    then is asked for the last time by `ask_again`, where there is that. `where` is for messages; `how` tells of what is
    gone how it came to its end, so many seconds after it was asked to.
    """

    gone: asyncio.Future[Any]
    end: Callable[[], object]
    hasten: Callable[[], object] | None
    patience_seconds: float
    where: Callable[[], str]
    ask_again: Callable[[], object] | None = None
    how: Callable[[float], str] = ended_when_asked


async def supervise(done: asyncio.Future[Any], reins: Reins, *, step_key: str, timeout_seconds: float | None) -> None:
    """Return when `done` is; raise StepTimeoutError after the timeout, CancelledError where the waiting was cancelled.

    Both are raised when nothing runs any more. Where that cannot be reached: HandlerStillRunningError, for a
    cancellation as its cause.
    """
    cancelled: asyncio.CancelledError | None = None
    try:
        await asyncio.wait({done}, timeout=timeout_seconds)
    except asyncio.CancelledError as exc:
        cancelled = exc
    if not done.done() or cancelled is not None:
        await _bring_to_end(reins, step_key, timeout_seconds, cancelled)


async def _bring_to_end(
    reins: Reins, step_key: str, timeout_seconds: float | None, cancelled: asyncio.CancelledError | None
) -> NoReturn:
    """End it, for a cancellation or else for its timeout; what is raised then."""
    now = asyncio.get_running_loop().time
    asked_at = now()
    reins.end()
    cancelled = await wait_patiently(reins) or cancelled
    asked_twice = reins.ask_again is not None and not reins.gone.done()
    if reins.ask_again is not None and asked_twice:
        reins.ask_again()
        last_seconds = min(_LAST_SECONDS, reins.patience_seconds)
        cancelled = await wait_patiently(replace(reins, hasten=None, patience_seconds=last_seconds)) or cancelled
    seconds = now() - asked_at
    stuck = None if reins.gone.done() else HandlerStillRunningError(step_key, reins.where(), round(seconds, 1))
    if cancelled is not None:
        how = f"{reins.how(seconds)}{', twice' if asked_twice else ''}" if stuck is None else _not_ended(stuck)
        cancelled.add_note(how)
        raise cancelled from stuck
    assert timeout_seconds is not None
    raise stuck or StepTimeoutError(step_key, timeout_seconds)


def _not_ended(stuck: HandlerStillRunningError) -> str:
    return (
        f"still runs in {stuck.where}, {stuck.waited_seconds:.1f} s after it was asked to end, and cannot be ended"
        "; what it gives is refused"
    )


class Outcome(asyncio.Future[Any]):
    """What comes of an attempt that runs in this process: the same rule without a task that waits.

    The runner calls `begin` when the attempt begins, and `settle` when it has ended by itself. Its timeout, or a call
    of `cancel`, brings it to its end; a second `cancel` makes haste. `reins` is asked for when they are needed.
    """

    def __init__(self, attempt: Attempt, reins: Callable[[], Reins], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.attempt, self._reins = attempt, reins
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._rest: asyncio.Future[Any] | None = None

    def begin(self) -> None:
        """It begins: from now on its timeout counts, and a cancellation has something to end."""
        self._begun = True
        if (seconds := self.attempt.timeout_seconds) is not None:
            self._timer = self.get_loop().call_later(seconds, self._begin_to_end, None)

    def settle(self, value: Any, error: BaseException | None) -> None:
        """It has ended by itself; where it was brought to its end, that counts."""
        if self._ending is None:
            self._stop_timer()
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(as_failure(error))

    def go_on_as(self, rest: asyncio.Future[Any]) -> None:
        """It has ended, and what it gave is to be awaited: that is the rest of it."""
        if self._ending is None:
            self._stop_timer()
            self._rest = rest
            rest.add_done_callback(self._take)
        else:
            rest.cancel()

    def cancel(self, msg: Any | None = None) -> bool:
        """Bring it to its end; it is done when nothing of it runs any more, or the patience is over."""
        if self.done():
            return False
        if not self._begun:
            return super().cancel(msg)
        if self._rest is not None:
            return self._rest.cancel()
        if self._ending is None:
            self._begin_to_end(asyncio.CancelledError())
        else:  # not before it has asked for the end: a task that has not begun would be gone without a word
            self.get_loop().call_soon(self._ending.cancel)
        return True

    def _take(self, rest: asyncio.Future[Any]) -> None:
        error = asyncio.CancelledError() if rest.cancelled() else rest.exception()
        if error is None:
            self.set_result(rest.result())
        else:
            self.set_exception(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin_to_end(self, cancelled: asyncio.CancelledError | None) -> None:
        self._stop_timer()
        self._ending = self.get_loop().create_task(self._bring_to_end(cancelled))

    async def _bring_to_end(self, cancelled: asyncio.CancelledError | None) -> None:
        try:
            await _bring_to_end(self._reins(), self.attempt.step_key, self.attempt.timeout_seconds, cancelled)
        except BaseException as exc:  # noqa: BLE001 - raised where the attempt is awaited
            self.set_exception(exc)


async def wait_patiently(reins: Reins) -> asyncio.CancelledError | None:
    """Wait for `gone`, no longer than the patience lasts; gives the cancellation that came meanwhile, if one did."""
    cancelled = None
    patience = asyncio.ensure_future(asyncio.sleep(reins.patience_seconds))
    try:
        while not reins.gone.done() and not patience.done():
            try:
                await asyncio.wait({reins.gone, patience}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError as exc:
                cancelled = exc
                if reins.hasten is None:
                    break
                reins.hasten()
    finally:
        patience.cancel()
    return cancelled

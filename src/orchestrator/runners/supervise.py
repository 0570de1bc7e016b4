"""How every attempt is waited for: one rule for timeouts and cancellation, wherever the handler runs.

A runner starts something and has a future for its end. `supervise` waits for that future without owning it: a timeout
asks the thing to end and waits on, within a bound, until it has; a cancellation does the same and is raised afterwards,
never swallowed; a second cancellation makes haste. What is raised is decided here; how a thing is asked to end is what
its `Reins` say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import HandlerStillRunningError, StepTimeoutError


@dataclass(frozen=True, slots=True)
class Reins:
    """How to end something that runs: `end` asks, `hasten` insists (None: waiting is all that can be done).

    `gone` is done when nothing of it runs any more; it may take `patience_seconds` after `end`. `where` is for
    messages.
    """

    gone: asyncio.Future[Any]
    end: Callable[[], object]
    hasten: Callable[[], object] | None
    patience_seconds: float
    where: Callable[[], str]


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
    if done.done() and cancelled is None:
        return
    timed_out = cancelled is None
    reins.end()
    cancelled = await wait_patiently(reins) or cancelled
    stuck = None if reins.gone.done() else HandlerStillRunningError(step_key, reins.where(), reins.patience_seconds)
    if cancelled is not None:
        raise cancelled from stuck
    assert timed_out and timeout_seconds is not None
    raise stuck or StepTimeoutError(step_key, timeout_seconds)


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

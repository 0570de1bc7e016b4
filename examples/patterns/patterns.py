"""Handlers of the pipelines beside this file.

Each appends the key of its step to the file that PATTERNS_WITNESS names, so that what ran, how often and in which order
is known from the handlers themselves. Without that file nothing is written.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import Orchestrator, current_attempt

WITNESS = "PATTERNS_WITNESS"


async def work(value: Any = None, until: Sequence[str] = ()) -> Any:
    """Give the value; where `until` is given, not before these lines stand in the witness file."""
    if until:
        write(" begins")
        await seen(until)
    write()
    return value


async def hold() -> None:
    """Work that never ends by itself."""
    write(" begins")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        write(" cancelled")
        raise


def tell(name: str, value: Any = None) -> None:
    """Send a signal to the execution that this step belongs to."""
    attempt = current_attempt()
    assert attempt is not None, "called by a pipeline only"
    with Orchestrator(os.environ.get("ORCHESTRATOR_STORE")) as app:
        app.signal(attempt.execution_id, name, value)


def choose(wishes: Sequence[str], before: Mapping[str, Sequence[str]], done: Sequence[str]) -> str:
    """The first wish that is not done yet and whose predecessors are."""
    return next(wish for wish in wishes if wish not in done and set(before[wish]) <= set(done))


def write(what: str = "") -> None:
    """Append the key of the running step, and what became of it."""
    attempt = current_attempt()
    if attempt is not None and WITNESS in os.environ:
        with Path(os.environ[WITNESS]).open("a", encoding="utf-8") as file:
            file.write(f"{attempt.step_key}{what}\n")


async def seen(lines: Sequence[str]) -> None:
    """Wait until all these lines were written; where nothing is written, a moment."""
    if WITNESS not in os.environ:
        await asyncio.sleep(0.05)
        return
    while not set(lines) <= written():  # noqa: ASYNC110 - by whichever process
        await asyncio.sleep(0.002)


def written() -> set[str]:
    """The lines of the witness file."""
    return set(Path(os.environ[WITNESS]).read_text(encoding="utf-8").splitlines())

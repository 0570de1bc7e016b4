"""What the pipelines of the power cuts do. The same arguments give the same value in every life."""

from __future__ import annotations

import asyncio
import hashlib
from random import Random
from typing import Any

from orchestrator.execution.progress import current_attempt, progress


class Flaky(ConnectionError):
    """What a handler raises on its first attempt, to be retried."""


async def add(value: int, flaky: bool = False) -> int:
    """One more; where `flaky`, on the second attempt."""
    info = current_attempt()
    assert info is not None
    await asyncio.sleep(0)
    if flaky and info.attempt == 1:
        raise Flaky("first attempt")
    progress(1.0, "done")
    return value + 1


async def large(value: int, size: int) -> dict[str, Any]:
    """A value that goes into the store as a blob, and does not shrink."""
    return {"raw": Random(value).randbytes(size), "value": value}


async def digest(data: dict[str, Any]) -> str:
    """What tells whether a large value is the one that was given."""
    return hashlib.sha256(data["raw"]).hexdigest()


async def fail_in_first_generation(value: int) -> int:
    """Makes its recovery set the execution back once."""
    info = current_attempt()
    assert info is not None
    if info.generation == 1:
        raise ValueError("first generation")
    return value * 10 + info.generation


async def fail() -> None:
    """Fails for good."""
    raise ValueError("always")

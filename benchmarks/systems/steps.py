"""What Orchestrator's measured pipelines call: as little as possible."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any

from benchmarks.probe import BODIES, large_text

#: What the idle executions wait for; nothing else can reach a handler that runs in this process.
NEVER = asyncio.Event()


async def count(value: int) -> dict[str, Any]:
    """A step of a chain; `value` is the number of the step before plus one."""
    return {**BODIES.run(value), "next": value + 1}


def count_in_thread(value: int) -> dict[str, Any]:
    """The same as an ordinary function, which runs in a thread."""
    return {**BODIES.run(value), "next": value + 1}


async def join(parts: list[dict[str, Any]]) -> int:
    """The join of a fan-out."""
    BODIES.run(-2)
    return len(parts)


async def wait(value: int) -> int:
    """Waits until the measurement is over."""
    BODIES.run(value)
    await NEVER.wait()
    return value


async def make_text() -> str:
    """5 MB of text."""
    return large_text()


async def take_text(text: str, value: int) -> dict[str, Any]:
    """Takes the text, returns about 100 bytes."""
    if not text:
        raise ValueError("the text has been lost on its way")
    return {**BODIES.run(value), "next": value + 1}


async def make_nested(megabytes: int) -> dict[str, Any]:
    """A nested value of that many MB of random bytes, with its checksum."""
    frames = [os.urandom(1_000_000) for _ in range(megabytes)]
    data = {"frames": frames, "deep": {"rows": [{"a": i / 7, "b": i} for i in range(1000)]}}
    return {"data": data, "checksum": _checksum(data)}


async def verify_nested(value: dict[str, Any]) -> dict[str, Any]:
    """Checks the value against its checksum and returns it unchanged."""
    if _checksum(value["data"]) != value["checksum"]:
        raise ValueError("the value has changed on its way")
    return value


def _checksum(data: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for frame in data["frames"]:
        digest.update(frame)
    digest.update(repr(data["deep"]).encode())
    return digest.hexdigest()

"""Handlers that the engine's tests call. Each leaves a line in the file that `WITNESS` names."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from orchestrator import current_attempt, progress
from orchestrator.errors import StoreError

WITNESS = "ORCHESTRATOR_TEST_WITNESS"


def witness(word: str = "") -> int:
    info = current_attempt()
    assert info is not None
    if WITNESS in os.environ:
        with Path(os.environ[WITNESS]).open("a") as file:
            file.write(f"{info.step_key} {info.generation} {info.attempt} {word}".rstrip() + "\n")
    return info.attempt


def add(left: int, right: int = 1) -> int:
    witness()
    return left + right


async def add_async(left: int, right: int = 1) -> int:
    witness()
    await asyncio.sleep(0)
    return left + right


def nothing() -> None:
    witness()


def rows() -> dict[str, Any]:
    witness()
    return {"rows": [{"n": 1}, {"n": 2}, {"n": 3}], "months": ["jan", "feb"]}


def spoil(data: dict[str, Any]) -> int:
    """Changes what it was given, on every attempt, and fails on the first."""
    attempt = witness()
    data["rows"].append("spoilt")
    data["months"].clear()
    if attempt == 1:
        raise ConnectionError("first attempt")
    return len(data["rows"])


def length(data: dict[str, Any]) -> int:
    witness()
    return len(data["rows"]) + len(data["months"])


def fail_until(attempt: int, kind: str = "ConnectionError") -> int:
    made = witness()
    if made < attempt:
        raise {"ConnectionError": ConnectionError, "ValueError": ValueError}[kind](f"attempt {made}")
    return made


def fail_unless(path: str) -> str:
    witness()
    if not Path(path).exists():
        raise ValueError(f"{path} is missing")
    return "there"


def unencodable() -> Any:
    witness()
    return {"rows": [1, {"handle": object()}]}


def slow(seconds: float) -> str:
    witness()
    for part in range(10):
        progress(part / 10, f"part {part}")
        time.sleep(seconds / 10)
    return "slept"


async def slow_async(seconds: float) -> str:
    witness("start")
    await asyncio.sleep(seconds)
    witness("end")
    return "slept"


def large(size: int) -> dict[str, Any]:
    witness()
    return {"raw": os.urandom(size), "n": 1}


def same(value: Any) -> Any:
    witness()
    return value


class Wordless(Exception):
    """Cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    @property
    def status_code(self) -> int:
        raise RuntimeError("nor a code")


def wordless() -> None:
    raise Wordless


def undecodable() -> None:
    raise ValueError("no such file: \udcff\udcfe")


def verbose() -> None:
    raise ValueError("x" * 10_000_000)


def of_another_store() -> None:
    witness()
    raise StoreError("another store is full")


async def cancels_others() -> None:
    """Cancels the wait of another step, once there is one."""
    while not (waits := [task for task in asyncio.all_tasks() if "Clock.sleep" in repr(task)]):
        await asyncio.sleep(0.001)
    waits[0].cancel()
    await asyncio.sleep(0.05)


def fail_in_order(folder: str) -> str:
    """Fails for good, then for a passing reason, then not."""
    tries = Path(folder) / "tries"
    made = len(tries.read_text()) if tries.exists() else 0
    tries.write_text("x" * (made + 1))
    if made < 2:
        raise (ValueError, ConnectionError)[made](f"try {made}")
    return "there"


async def staggered(left: int) -> int:
    """Takes a few passes of the loop, each item another number of them."""
    for _ in range(left % 7):
        await asyncio.sleep(0)
    return left


class Busy(Exception):
    """What a service says that is asked too often."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after, self.status_code = retry_after, 429
        super().__init__("too many requests")


def busy(seconds: float) -> int:
    attempt = witness()
    if attempt == 1:
        raise Busy(seconds)
    return attempt


def append(name: str) -> str:
    """What `name` says, and in which generation of its step."""
    witness(name)
    return f"{name} of {_generation()}"


def _generation() -> int:
    info = current_attempt()
    assert info is not None
    return info.generation


def fail_in_generations(generations: int) -> int:
    """Fails in the first generations of its step."""
    witness()
    if _generation() <= generations:
        raise ValueError(f"generation {_generation()}")
    return _generation()


async def wait_in_first_generation() -> int:
    """Does not end by itself in the first generation."""
    witness()
    if _generation() == 1:
        await asyncio.Event().wait()
    return _generation()


async def wait_then_fail(path: str, generations: int) -> int:
    """Waits until the file is there, then does as `fail_in_generations`."""
    while not Path(path).exists():
        await asyncio.sleep(0.001)
    return fail_in_generations(generations)


def touch(path: str) -> None:
    witness()
    Path(path).touch()


def ends_the_program() -> None:
    witness()
    raise SystemExit(3)

"""What the pipelines of the kill harness do: handlers that leave a witness outside of the journal.

Each appends a line `key generation pid` to a file when it starts, so that "nothing that was recorded runs again" is
seen in what really ran, and marks the phase of the process in a shared byte, which outlives a SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from orchestrator.execution.progress import current_attempt, progress
from orchestrator.testing.left_running import FOLDER
from orchestrator.testing.marks import Phase, mark


class Flaky(ConnectionError):
    """What a handler raises on its first attempt, to be retried."""


def enter() -> int:
    """Leave the witness; gives the number of the attempt."""
    info = current_attempt()
    assert info is not None
    folder = Path(os.environ[FOLDER])
    mark(folder, Phase.IN_HANDLER)
    with (folder / "witness").open("a") as file:
        file.write(f"{info.step_key} {info.generation} {os.getpid()}\n")
    return info.attempt


def plain(value: int, seconds: float, flaky: bool = False) -> dict[str, Any]:
    """A handler in a thread or a worker process."""
    attempt = enter()
    time.sleep(seconds)
    if flaky and attempt == 1:
        raise Flaky("first attempt")
    progress(1.0, "done")
    return {"value": value * 3 + 1, "text": f"n{value}"}


async def waiting(value: int, seconds: float, flaky: bool = False) -> dict[str, Any]:
    """A handler on the loop."""
    attempt = enter()
    await asyncio.sleep(seconds)
    if flaky and attempt == 1:
        raise Flaky("first attempt")
    return {"value": value * 3 + 1, "text": f"n{value}"}


def gather(parts: list[dict[str, Any] | None], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The join: a sum over what the loops gave."""
    enter()
    shells = sorted(line["stdout"].strip() for line in lines)
    return {"total": sum(part["value"] for part in parts if part), "shells": shells, "blob": "x" * 100_000}


def check_size(value: dict[str, Any]) -> int:
    """A step that takes a large value through a blob."""
    enter()
    return len(value["blob"])

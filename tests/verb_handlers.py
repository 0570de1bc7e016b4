"""Handlers of the tests of verbs. Each leaves a line in the file `witness` of the folder that `FOLDER` names.

Other files of that folder steer them: what is there, a test has put there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from orchestrator import current_attempt

FOLDER = "ORCHESTRATOR_TEST_FOLDER"


def folder() -> Path:
    return Path(os.environ[FOLDER])


def witness(word: str = "") -> None:
    info = current_attempt()
    assert info is not None
    with (folder() / "witness").open("a") as file:
        file.write(f"{info.step_key} {info.generation} {info.attempt} {word}".rstrip() + "\n")


def work(value: Any = None) -> Any:
    """Gives what it is given."""
    witness()
    return value


def add(left: int, right: int = 1) -> int:
    witness()
    return left + right


def needs(name: str, value: Any = None) -> Any:
    """Fails while there is no such file."""
    witness()
    if not (folder() / name).exists():
        raise ValueError(f"{name} is missing")
    return value


async def holds(name: str, value: Any = None) -> Any:
    """Goes on until there is such a file."""
    witness("begins")
    while not (folder() / name).exists():
        await asyncio.sleep(0.002)
    witness("ends")
    return value


def kills() -> None:
    """Ends the process on the spot."""
    witness()
    os.kill(os.getpid(), signal.SIGKILL)


def key() -> str:
    """Its idempotency key."""
    info = current_attempt()
    assert info is not None
    witness(info.idempotency_key)
    return info.idempotency_key


def dies(value: Any = None) -> Any:
    """Has its effect; the engine dies of its record the first time, where the file `mortal` says so."""
    info = current_attempt()
    assert info is not None
    witness(info.idempotency_key)
    mortal = folder() / "mortal"
    if mortal.exists():
        mortal.rename(folder() / "die")
    return value


def look(value: Any = None) -> Any:
    """Says what the file `looked` says of the effect of `dies`."""
    witness("looks")
    return {
        "true": True,
        "false": False,
        "mapping": {"happened": True, "output": [value, "seen"]},
        "not": {"happened": False},
        "nonsense": "perhaps",
        "raise": None,
    }[_looked(value)]


def _looked(value: Any) -> str:
    word = (folder() / "looked").read_text()
    if word == "raise":
        raise ConnectionError("nobody can say")
    return word


def fails_at_first(times: int = 1, value: Any = None) -> Any:
    """Fails in its first attempts of a generation."""
    info = current_attempt()
    assert info is not None
    witness()
    if info.attempt <= times:
        raise ConnectionError(f"attempt {info.attempt}")
    return value


def marks(value: Any = None, name: str = ".") -> Any:
    """Leaves its idempotency key, then fails while there is no such file."""
    info = current_attempt()
    assert info is not None
    witness(info.idempotency_key)
    if not (folder() / name).exists():
        raise ValueError(f"{name} is missing")
    return value

"""What the measured pipelines call: as little as possible."""

from __future__ import annotations

import hashlib
import os
import random
from typing import Any


async def count(value: int) -> dict[str, Any]:
    """A step with a result of about 100 bytes."""
    return {"n": value + 1, "text": "x" * 60, "ok": True}


async def item(value: int) -> dict[str, Any]:
    """One of a fan-out."""
    return {"n": value, "text": "x" * 60, "ok": True}


async def total(parts: list[dict[str, Any]]) -> int:
    """The join."""
    return sum(part["n"] for part in parts)


async def make_large(megabytes: int) -> dict[str, Any]:
    """A nested value of random bytes and numbers, with its checksum."""
    chance = random.Random(7)
    data = {
        "frames": [os.urandom(1 << 20) for _ in range(megabytes - 10)],
        "nested": {
            "deep": {
                "raw": os.urandom(10 << 20),
                "rows": [{"a": chance.random(), "b": i} for i in range(1000)],
            }
        },
    }
    return {"data": data, "checksum": _checksum(data)}


async def verify_large(value: dict[str, Any]) -> dict[str, Any]:
    """Checks the value against its checksum and hands it on unchanged."""
    if _checksum(value["data"]) != value["checksum"]:
        raise AssertionError("the value has changed on its way")
    return value


def _checksum(data: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for frame in data["frames"]:
        digest.update(frame)
    digest.update(data["nested"]["deep"]["raw"])
    digest.update(repr(data["nested"]["deep"]["rows"]).encode())
    return digest.hexdigest()

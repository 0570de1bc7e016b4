"""What the measured pipelines call: as little as possible."""

from __future__ import annotations

import os
from typing import Any


async def count(value: int) -> dict[str, Any]:
    """A step with a result of about 100 bytes."""
    return {"n": value + 1, "text": "x" * 60, "ok": True}


async def total(parts: list[dict[str, Any]]) -> int:
    """A join."""
    return len(parts)


async def make(size: int) -> bytes:
    """A value of so many bytes, which do not compress."""
    return os.urandom(size)


async def take(value: bytes) -> int:
    """The step after it, which has the value and gives its length."""
    return len(value)

"""Time and chance: the only module that reads a clock or draws an id.

Everything else takes a `Clock` as an argument, so that a test can put `testing.FakeClock` in its place.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Protocol

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


class Clock(Protocol):
    """What the engine asks of time."""

    def time(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long; returns at once for zero or less."""
        ...

    def block(self, seconds: float) -> None:
        """Hold up this thread for so long."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def block(self, seconds: float) -> None:
        """Hold up this thread."""
        time.sleep(max(0.0, seconds))

    async def sleep(self, seconds: float) -> None:
        """Wait on the running loop."""
        import asyncio

        await asyncio.sleep(max(0.0, seconds))


def utc(seconds: float) -> datetime:
    """The timezone-aware UTC datetime of epoch seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def utc_now() -> datetime:
    """Now, for a record that no clock was given to."""
    return datetime.now(UTC)


def new_id(clock: Clock) -> str:
    """A 16-character id that sorts by time: 9 characters of milliseconds, 7 (35 bits) of chance.

    Crockford's base 32 in lower case, as ULID (https://github.com/ulid/spec) does, only shorter.
    """
    number = (int(clock.time() * 1000) << 35) | (int.from_bytes(os.urandom(5), "big") >> 5)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(75, -1, -5))

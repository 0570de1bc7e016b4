"""What a fault may never lead to, as the harnesses that cause faults count it."""

from __future__ import annotations

from enum import StrEnum


class Harm(StrEnum):
    """A broken promise."""

    LOST = "lost"
    TWICE = "ran twice"
    UNREPORTED = "not reported"
    LEFT = "left running"


class Broken(AssertionError):
    """A promise was broken; the folder of the run is kept."""

    def __init__(self, harm: Harm, what: str) -> None:
        self.harm, self.what = harm, what
        super().__init__(f"{harm}: {what}")

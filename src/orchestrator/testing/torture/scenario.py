"""A kind of fault, and what its tries have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.torture.trial import End, Trial


@dataclass(frozen=True, slots=True)
class Scenario:
    """`make` brings the fault about and gives a word for the way in which it did; raises Broken."""

    name: str
    sentence: str
    make: Callable[[Trial], str]


def require_told(end: End, codes: tuple[int, ...], *words: str) -> None:
    """Raise Broken where a command did not end with one of these codes, or did not say one of these words."""
    if end.code not in codes or (words and not any(word in end.said for word in words)):
        wanted = f"{' or '.join(map(str, codes))}" + (f" with one of {words}" if words else "")
        raise Broken(Harm.UNREPORTED, f"exit code {wanted} was due, and there was {end.code}: {end.said[-1500:]}")

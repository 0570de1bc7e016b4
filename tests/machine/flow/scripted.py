"""What a scripted handler does, as pure functions of what it is given: the engine runs them, the model computes them.

The script of a step stands in its arguments, under `do`:

    flaky: k    ConnectionError, k times in all over attempts and generations
    until: g    KeyError in each generation before g (what a rollback or a rerun mends)
    broken      KeyError always (its recovery has to do something about it)
    hard        ValueError until somebody repairs the world (what a retry by hand is for)
    delay: s    takes so many seconds of the clock
    hang        never ends, on its first attempt (what a timeout is for)

An attempt that was cut off by a crash is made again under its number, so it meets the same fate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ERRORS: Mapping[str, type[Exception]] = {
    "ConnectionError": ConnectionError,
    "KeyError": KeyError,
    "ValueError": ValueError,
}


def fault(do: Mapping[str, Any], generation: int, attempt: int, repaired: bool) -> str | None:
    """The name of the exception that this attempt ends with; None where it succeeds."""
    if generation + attempt <= do.get("flaky", 0) + 1:
        return "ConnectionError"
    if do.get("broken") or generation < do.get("until", 1):
        return "KeyError"
    if do.get("hard") and not repaired:
        return "ValueError"
    return None


def hangs(do: Mapping[str, Any], generation: int, attempt: int) -> bool:
    """Whether this attempt never ends by itself."""
    return bool(do.get("hang")) and generation + attempt <= 2


def value(values: Any, extra: int, give: str) -> Any:
    """What a handler gives: a number that depends on every value and on their order, or something made of it."""
    number = (mixed(values) * 7 + extra) % 1009
    match give:
        case "list":
            return [number % 7 + i for i in range(number % 4)]
        case "record":
            return {"n": number, "rows": [number, number + 1]}
        case _:
            return number


def mixed(given: Any) -> int:
    """A number for any value. Errors and times, which nobody can foresee, count for nothing."""
    match given:
        case None:
            return 0
        case bool() | int() | float():
            return int(given) + 1
        case str():
            return len(given) + 2
        case Mapping():
            parts = [child for key, child in given.items() if key not in ("error", "at")]
            return mixed(parts) + 3
        case list() | tuple():
            total = 5
            for child in given:
                total = (total * 3 + mixed(child)) % 100_003
            return total
        case _:
            return 11

"""Which durable function the running code belongs to: the one context variable of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.execution.flow.flows import Flow


@dataclass(frozen=True, slots=True)
class Here:
    """A durable function, and what the names of calls begin with in this part of it."""

    flow: Flow
    prefix: str = ""


_HERE: ContextVar[Here | None] = ContextVar("orchestrator_flow", default=None)


def here() -> Here | None:
    """Where the running code is; None outside of durable functions, and in the steps that they call.

    A task that a function has left behind is still in it: a step that it calls then does not run, since nobody would
    record it.
    """
    return _HERE.get()


def leave() -> None:
    """What runs from here on belongs to no durable function."""
    _HERE.set(None)


def enter(place: Here) -> Token[Here | None]:
    """The running code is there, until `exit_`."""
    return _HERE.set(place)


def exit_(token: Token[Here | None]) -> None:
    """The running code is where it was."""
    _HERE.reset(token)


@contextmanager
def within(place: Here | None) -> Iterator[None]:
    """In the block the running code is there."""
    token = _HERE.set(place)
    try:
        yield
    finally:
        _HERE.reset(token)

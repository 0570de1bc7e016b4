"""The names of calls: the path of the enclosing flow, the step's name, `#n` for repeats.

A key is given when the step is called, not when it is awaited, so that `gather(fetch(a), fetch(b))` needs no key. Two
tasks of one function that use one name would get their numbers in the order in which they happen to run; that is
refused when it happens for the first time, whether the order would have mattered or not.
"""

from __future__ import annotations

import weakref
from typing import Any
from urllib.parse import quote

from orchestrator.errors import ConcurrentNameError, InputError


class Names:
    """The names that one durable function has given."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        #: Name -> how often it was used, and by which task; one that has ended is not kept.
        self._used: dict[str, tuple[int, weakref.ref[Any] | None]] = {}

    def take(self, name: str, task: Any, where: str, function: str) -> str:
        """The next key of this name. Raises ConcurrentNameError where another task uses it."""
        used = self._used.get(name)
        if used is None:
            self._used[name] = (1, weakref.ref(task) if task is not None else None)
            return name
        count, owner = used
        if (owner() if owner is not None else None) is not task or (owner is None) != (task is None):
            raise ConcurrentNameError(name, function, where)
        self._used[name] = (count + 1, owner)
        return f"{name}#{count + 1}"


def keyed(name: str, key: object) -> str:
    """The name of a call that has a key of its own: `fetch:oslo`. Raises InputError for one that is empty."""
    text = str(key)
    if not text:
        raise InputError(f"step {name!r}: its key is empty; make it of what tells one call from another")
    return f"{name}:{quote(text, safe=' @+=,:~!$&()*;?-_').replace('.', '%2E')}"

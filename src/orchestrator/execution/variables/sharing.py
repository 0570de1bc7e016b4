"""Least-recently-used caches with a bound in bytes and in entries. Used under the manager's lock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Keeps what was used last, up to about `max_bytes` and `max_entries`. Not thread-safe."""

    __slots__ = ("_bytes", "_kept", "_max_bytes", "_max_entries")

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self._max_bytes, self._max_entries = max_bytes, max_entries
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> Value | None:
        """What is kept for a key, which is used now; None where nothing is."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value of about `size` bytes, unless it would take more than a quarter of all."""
        self.drop(key)
        if size > self._max_bytes // 4:
            return
        self._kept[key] = value, size
        self._bytes += size
        while self._bytes > self._max_bytes or len(self._kept) > self._max_entries:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped

    def drop(self, key: Key) -> None:
        """Forget a key."""
        old = self._kept.pop(key, None)
        if old is not None:
            self._bytes -= old[1]

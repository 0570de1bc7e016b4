"""Choices made of bytes, so that a fuzzer that changes bytes changes choices.

The same bytes always give the same choices; where they are used up, every choice is the first one, so that each value
that is built of them comes to an end. Nothing here needs a fuzzer: the corpus is replayed by the test suite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Source:
    """Takes bytes from the front, one for most choices."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """The next byte, 0 at the end."""
        return self.take(1)[0] if self.left else 0

    def take(self, count: int) -> bytes:
        """Up to so many bytes."""
        found = self._data[self._at : self._at + count]
        self._at += len(found)
        return found

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def below(self, limit: int) -> int:
        """A whole number from 0 to `limit` - 1, at most 255."""
        return self.byte() % limit

    def one_of(self, options: Sequence[T]) -> T:
        """One of these."""
        return options[self.below(len(options))]

    def chance(self, of_256: int) -> bool:
        """True for so many of the 256 bytes; False at the end."""
        return bool(self.left) and self.byte() < of_256

    def text(self, most: int = 12) -> str:
        """A text, of any characters but halves of surrogate pairs."""
        return self.take(self.below(most + 1)).decode("utf-8", "replace")

    def whole(self) -> int:
        """A whole number, small or large."""
        size = self.one_of((1, 1, 2, 8, 12))
        return int.from_bytes(self.take(size), "little", signed=True)

    def list_of(self, make: Callable[[Source], Any], most: int = 4) -> list[Any]:
        """Up to `most` of what `make` makes; none at the end."""
        return [make(self) for _ in range(self.below(most + 1))]

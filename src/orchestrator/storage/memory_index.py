"""What the memory store looks up instead of walking all it holds."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence


class Index:
    """Numbers in groups (a name, or None), within each in the order of a rank; of one rank the lower number first.

    Sorted lists: to move ten thousand entries by one place takes microseconds, and nothing is left behind by those that
    leave from the middle, as in a heap.
    """

    def __init__(self) -> None:
        self._groups: dict[str | None, list[tuple[float, int]]] = {}
        self._places: dict[int, tuple[str | None, float]] = {}

    def put(self, number: int, place: tuple[str | None, float] | None) -> None:
        """This number is in this group, at this rank; None: in no group."""
        before = self._places.get(number)
        if before == place:
            return
        if before is not None:
            self._take_out(number, *before)
        if place is not None:
            self._places[number] = place
            insort(self._groups.setdefault(place[0], []), (place[1], number))

    def _take_out(self, number: int, group: str | None, rank: float) -> None:
        members = self._groups[group]
        del members[bisect_left(members, (rank, number))], self._places[number]
        if not members:
            del self._groups[group]

    def of(self, group: str | None = None) -> Iterator[int]:
        """The numbers of a group, in order. Not to be changed meanwhile."""
        return (number for _, number in self._groups.get(group, ()))

    def groups(self) -> Sequence[str]:
        """The groups that have a name, and a member."""
        return [group for group in self._groups if group is not None]

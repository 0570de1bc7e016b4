"""Cells: how a value is kept, so that nobody sees what another does to it.

What nobody can change is kept as it is. What the codec can carry is kept in its encoded form and decoded for whoever
reads it. The rest (a socket, a lock, a function, an object of a class that the codec cannot find again) can only be
held: every reader gets the very object that was given. Rejected: `copy.deepcopy` for that rest, which copies clients
and connections into broken ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.journal.codec import IMMUTABLE, Encoded, decode, pack, unpack
from orchestrator.types import BlobHash

GetBlob = Callable[[BlobHash], bytes]


class Cell(Protocol):
    """A value that hands out copies."""

    def read(self) -> Any:
        """A value of the reader's own."""
        ...

    def measure(self) -> tuple[Any, int]:
        """The same, and how many bytes it was read from."""
        ...


class LiveCell:
    """A value by reference: one that nobody can change, or one that cannot be copied."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def read(self) -> Any:
        """The value itself."""
        return self.value

    def measure(self) -> tuple[Any, int]:
        """The value itself, and about its size where it is a text."""
        return self.value, len(self.value) if isinstance(self.value, (str, bytes)) else 8

    @property
    def alive(self) -> bool:
        """Whether what it holds may change, or lead to something that does."""
        return not isinstance(self.value, IMMUTABLE)


@dataclass(frozen=True, slots=True)
class PackedCell:
    """A value in its encoded form, whole."""

    data: bytes

    def read(self) -> Any:
        """Decoded anew."""
        return unpack(self.data)

    def measure(self) -> tuple[Any, int]:
        """Decoded anew, and the size of the encoded form."""
        return unpack(self.data), len(self.data)


@dataclass(slots=True, unsafe_hash=True)
class RecordedCell:
    """A value in its recorded form, of which large parts may be blobs. Never changed.

    It is not frozen, since one is made for every output that is applied, and a frozen one takes twice as long to make.
    """

    encoded: Encoded
    get_blob: GetBlob

    def read(self) -> Any:
        """Decoded anew."""
        return decode(self.encoded, self.get_blob)

    def measure(self) -> tuple[Any, int]:
        """Decoded anew, and the size of its recorded form with its blobs."""
        size = len(self.encoded.data)

        def get_blob(blob: BlobHash) -> bytes:
            nonlocal size
            data = self.get_blob(blob)
            size += len(data)
            return data

        return decode(self.encoded, get_blob), size


@dataclass(frozen=True, slots=True)
class ListCell:
    """The outputs of a loop's items, in order. Takes no bytes of its own."""

    items: Sequence[Cell]

    def read(self) -> list[Any]:
        """Decoded anew."""
        return [item.read() for item in self.items]

    def measure(self) -> tuple[list[Any], int]:
        """Decoded anew, and the sum of the items' sizes."""
        measured = [item.measure() for item in self.items]
        return [value for value, _ in measured], sum(size for _, size in measured)


@dataclass(frozen=True, slots=True)
class MappingCell:
    """The outputs of the steps of a block, by their names. Takes no bytes of its own."""

    items: Mapping[str, Cell]

    def read(self) -> dict[str, Any]:
        """Decoded anew."""
        return {name: item.read() for name, item in self.items.items()}

    def measure(self) -> tuple[dict[str, Any], int]:
        """Decoded anew, and the sum of the items' sizes."""
        measured = {name: item.measure() for name, item in self.items.items()}
        return {name: value for name, (value, _) in measured.items()}, sum(size for _, size in measured.values())


def own(value: Any) -> Any:
    """A value that its reader may change: itself where nobody can, else a copy. Raises EncodeError.

    What nobody can change is in the copy as it is: a large text among small things costs nothing.
    """
    try:
        return _copied(value)
    except RecursionError:  # nested too deeply, or in itself; the codec says which
        return unpack(pack(value))


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: part if isinstance(part, IMMUTABLE) else _copied(part) for key, part in value.items()}
    if kind is list or kind is tuple:
        return kind([part if isinstance(part, IMMUTABLE) else _copied(part) for part in value])
    return value if isinstance(value, IMMUTABLE) else unpack(pack(value))


def keep(value: Any) -> tuple[Cell, Any]:
    """The cell for a value of any kind, and a value for whoever wants one at once: a copy where there can be one."""
    if isinstance(value, IMMUTABLE):
        return LiveCell(value), value
    try:
        data = pack(value)
        return PackedCell(data), unpack(data)  # read once, so that what cannot be read again is held instead
    except Exception:  # noqa: BLE001 - whatever an object's own code raises here, the object can be held as it is
        return LiveCell(value), value


def encode_cell(cell: Cell) -> Encoded:
    """A cell in its recorded form, blobs as they are; a template as its source. Raises EncodeError."""
    match cell:
        case RecordedCell(encoded=encoded):
            return encoded
        case PackedCell(data=data):
            return Encoded(data)
        case _:
            return Encoded(pack(cell.read()))

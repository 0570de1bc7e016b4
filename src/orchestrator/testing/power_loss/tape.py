"""The tape: what happened to the files and what was acknowledged, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NewType, TypeAlias

from orchestrator.journal.store import Append
from orchestrator.types import ExecutionId

#: One file from its creation to its deletion; another file of the same name has another number.
FileId = NewType("FileId", int)


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was there before the tape began: `data` is on the disk."""

    name: str
    file: FileId
    data: bytes


@dataclass(frozen=True, slots=True)
class Created:
    """A file was made, empty."""

    name: str
    file: FileId


@dataclass(frozen=True, slots=True)
class Deleted:
    """A file lost its name; `folder_synced` is whether that is on the disk."""

    name: str
    folder_synced: bool


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes were written from `offset` on."""

    file: FileId
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    """A file was cut or stretched to `size` bytes."""

    file: FileId
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file was brought to the disk, and with `folder` the names in its folder."""

    file: FileId
    folder: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A store said that an append is durable."""

    append: Append


@dataclass(frozen=True, slots=True)
class Posted:
    """A store said that a message is in the inbox of an execution."""

    execution_id: ExecutionId


#: What the store promised.
Witnessed: TypeAlias = Acknowledged | Posted
Operation: TypeAlias = Found | Created | Deleted | Written | Resized | Synced | Witnessed
#: `list.append` is atomic, which is all that several threads need of it.
Tape: TypeAlias = list[Operation]


def syncs(tape: Iterable[Operation]) -> int:
    """How many times a file was brought to the disk."""
    return sum(isinstance(operation, Synced) for operation in tape)


def bytes_written(tape: Iterable[Operation]) -> int:
    """How many bytes were written, over all files."""
    return sum(len(operation.data) for operation in tape if isinstance(operation, Written))


def shown(operation: Operation) -> str:
    """An operation as a line to read; of bytes, how many they are."""
    match operation:
        case Found(data=data) | Written(data=data):
            return f"{replace(operation, data=b'')} {len(data)} bytes"
        case Acknowledged(append=append):
            return f"Acknowledged {append.lease.execution_id} {append.expected_position} + {append.count}"
        case _:
            return str(operation)

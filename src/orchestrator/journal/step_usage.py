"""What one execution takes, step by step and variable by variable. See `usage` for what is counted, and how."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Event
from orchestrator.journal.keys import owners_of
from orchestrator.journal.records import blobs_of, decode_body, encoded_bytes
from orchestrator.journal.store import Batch, Store
from orchestrator.journal.usage import Usage, holders_of, largest_first
from orchestrator.types import BlobHash, ExecutionId, StepKey

_Values: TypeAlias = tuple[tuple[str, Encoded], ...]


@dataclass(frozen=True, slots=True)
class ExecutionUsage:
    """One execution, its steps (what is inside of one is its own), and its variables, largest first.

    The bytes of a variable are among those of the step that set it: an output has the name of its step.
    """

    whole: Usage
    steps: Sequence[Usage]
    variables: Sequence[Usage]


@dataclass(slots=True)
class _Account:
    """What was found so far."""

    count: int = 0
    journal_bytes: int = 0
    note_bytes: int = 0
    blobs: set[BlobHash] = field(default_factory=set)

    def add(self, size: int, blobs: Iterable[BlobHash]) -> None:
        self.count += 1
        self.journal_bytes += size
        self.blobs.update(blobs)

    def usage(self, name: str, sizes: Mapping[BlobHash, int], shared: set[BlobHash]) -> Usage:
        value_bytes = sum(sizes.get(blob, 0) for blob in self.blobs)
        shared_bytes = sum(sizes.get(blob, 0) for blob in self.blobs & shared)
        return Usage(name, self.count, self.journal_bytes, value_bytes, shared_bytes, self.note_bytes)


def _accounts() -> defaultdict[str, _Account]:
    return defaultdict(_Account)


@dataclass(slots=True)
class _Book:
    """The accounts of one execution: of the whole, of its steps (`""`: what belongs to none), of its variables."""

    whole: _Account = field(default_factory=_Account)
    steps: defaultdict[str, _Account] = field(default_factory=_accounts)
    variables: defaultdict[str, _Account] = field(default_factory=_accounts)

    def add_append(self, batch: Batch) -> None:
        self.whole.add(len(batch.body), ())
        for event, size, scale in _shares(batch):
            blobs = blobs_of(event)
            self.whole.blobs.update(blobs)
            self.steps[_step_of(event)].add(size, blobs)
            for name, value in _variables(event):
                self.variables[name].add(int(len(value.data) * scale), value.blobs)

    def add_note(self, key: StepKey, text: str) -> None:
        size = len(text.encode()) + len(key.encode())
        self.whole.note_bytes += size
        self.steps[_top(key)].note_bytes += size

    def closed(self, name: str, sizes: Mapping[BlobHash, int], elsewhere: set[BlobHash]) -> ExecutionUsage:
        """`sizes` of all its large values, and those of them that other executions refer to."""
        whole = self.whole.usage(name, sizes, elsewhere)
        return ExecutionUsage(whole, _usages(self.steps, sizes, elsewhere), _usages(self.variables, sizes, elsewhere))


def _usages(
    accounts: Mapping[str, _Account], sizes: Mapping[BlobHash, int], elsewhere: set[BlobHash]
) -> Sequence[Usage]:
    held = Counter(blob for account in accounts.values() for blob in account.blobs)
    shared = elsewhere | {blob for blob, count in held.items() if count > 1}
    return largest_first(account.usage(name, sizes, shared) for name, account in accounts.items())


def usage_of_execution(store: Store, execution_id: ExecutionId) -> ExecutionUsage:
    """What an execution takes; nothing where it is not there. Raises DecodeError where its journal is damaged."""
    book = _Book()
    for batch in store.read(execution_id):
        book.add_append(batch)
    for note in store.notes(execution_id):
        book.add_note(StepKey(note.step_key), note.text)
    blobs = book.whole.blobs
    return book.closed(execution_id, store.blob_bytes(list(blobs)), _held_elsewhere(store, execution_id, blobs))


def _held_elsewhere(store: Store, execution_id: ExecutionId, blobs: set[BlobHash]) -> set[BlobHash]:
    """Which of these other executions refer to."""
    if not blobs:
        return set()
    holders = holders_of(store)
    return {blob for blob in blobs if holders[blob] - {execution_id}}


def _shares(batch: Batch) -> Iterator[tuple[Event, int, float]]:
    """The events of an append, how many of its bytes each has, and what became of a byte when it was compressed."""
    events = [event for _at, event in decode_body(batch.body)]
    lengths = [encoded_bytes(event) for event in events]
    scale = len(batch.body) / sum(lengths)
    before, end = 0, 0
    for event, length in zip(events, lengths, strict=True):
        end += length
        until = round(end * scale)
        yield event, until - before, min(1.0, scale)
        before = until


def _step_of(event: Event) -> str:
    key = getattr(event, "key", None)
    return _top(key) if key is not None else ""


def _top(key: StepKey) -> str:
    """The step of the pipeline that a key belongs to: `months` of `months[3].parse/mirror`."""
    owners = owners_of(key)
    return owners[-1] if owners else key


def _variables(event: Event) -> _Values:
    """The variables that an event sets; an output is the variable of its step."""
    match event:
        case ev.ExecutionCreated(inputs=inputs):
            return inputs
        case ev.StepSucceeded(key=key, output=output, writes=writes):
            return writes if output is None else (*writes, (_top(key), output))
        case ev.StepSkipped(key=key, output=value) | ev.InterventionAnswered(key=key, value=value) if value is not None:
            return ((_top(key), value),)
        case ev.ExecutionRestored(writes=writes) | ev.VariablesChanged(writes=writes):
            return writes
        case _:
            return ()

"""Every event reads back as it was written, and bodies of released versions stay readable."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import DecodeError
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import blobs_of, decode_body, encode_body, entries, kind_of
from orchestrator.journal.store import Batch
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.types import ExecutionId, StepKey

GOLDEN = Path(__file__).parents[2] / "golden"

encoded = st.builds(
    Encoded, st.binary(max_size=30), st.lists(st.binary(min_size=32, max_size=32), max_size=2).map(tuple)
)
words, numbers = st.text(max_size=8), st.integers(0, 9)
errors = st.dictionaries(words, st.one_of(words, numbers, st.none(), st.lists(numbers, max_size=2)), max_size=3)
pairs = st.lists(st.tuples(words, encoded), max_size=3).map(tuple)
many_words = st.lists(words, max_size=3).map(tuple)
some_words = st.none() | many_words
every_event = st.one_of(
    st.builds(ev.ExecutionCreated, words, words, encoded, words, pairs, words),
    st.builds(ev.ExecutionClaimed, words, numbers),
    st.builds(ev.ExecutionPaused, words, st.none() | st.floats(0, 1e10), st.booleans()),
    st.builds(ev.ExecutionCompleted, encoded),
    st.builds(ev.ExecutionFailed, st.none() | words, errors),
    st.builds(ev.ExecutionRetried, st.lists(words, max_size=3).map(tuple)),
    st.builds(ev.ExecutionCancelled, words),
    st.builds(ev.CheckpointCreated, words, words, st.none() | words),
    st.builds(
        ev.ExecutionRestored,
        words,
        numbers,
        st.lists(words, max_size=3).map(tuple),
        pairs,
        st.lists(words, max_size=3).map(tuple),
        st.none() | words,
        st.lists(words, max_size=3).map(tuple),
    ),
    st.builds(ev.VariablesChanged, pairs, st.lists(words, max_size=3).map(tuple), st.none() | words),
    st.builds(ev.StepStarted, words, numbers, numbers, words),
    st.builds(ev.StepRecovering, words, numbers, numbers, errors, errors),
    st.builds(ev.InterventionRequested, words, numbers, numbers, errors, words, st.none() | st.floats(0, 1e10)),
    st.builds(ev.InterventionAnswered, words, numbers, words, st.none() | encoded, words),
    st.builds(ev.StepRetrying, words, numbers, numbers, errors, st.floats(0, 1e10), st.none() | st.floats(0, 1e10)),
    st.builds(ev.LoopExpanded, words, numbers, st.lists(encoded, max_size=3).map(tuple), st.booleans()),
    st.builds(ev.StepSucceeded, words, numbers, numbers, st.none() | encoded, pairs, st.none() | words, some_words),
    st.builds(ev.StepSkipped, words, numbers, words, st.none() | encoded),
    st.builds(ev.StepFailed, words, numbers, numbers, errors, st.none() | words),
    st.builds(ev.CancelRequested, words, words),
    st.builds(ev.ExecutionForked, words, numbers),
    st.builds(ev.ExecutionRerun, many_words, many_words, words),
    st.builds(ev.PipelineChanged, encoded, encoded, words, words, many_words),
    st.builds(ev.CodeSeen, st.dictionaries(words, words, max_size=3)),
    st.builds(ev.SignalReceived, words, encoded, words, numbers),
    st.builds(ev.BlockEntered, words, numbers, numbers, st.none() | numbers, pairs, st.none() | st.floats(0, 1e10)),
    st.builds(ev.IterationStarted, words, numbers, numbers),
    st.builds(ev.StepWaiting, words, numbers, numbers, words, st.none() | st.floats(0, 1e10), words, errors),
    st.builds(ev.SignalTaken, words, numbers, numbers),
    st.builds(ev.WaitOver, words, numbers),
    st.builds(ev.DeadlinePassed, words, numbers),
    st.builds(ev.StepInDoubt, words, numbers, numbers, words),
    st.builds(ev.StepCancelled, words, numbers, words, words),
)


@given(st.lists(st.tuples(st.floats(0, 1e10), every_event), min_size=1, max_size=30))
def test_events_come_back(items: list[tuple[float, ev.Event]]) -> None:
    assert decode_body(encode_body(items)) == items


@given(st.lists(st.tuples(st.floats(0, 1e10), every_event), min_size=1, max_size=20), st.data())
def test_a_damaged_body_is_reported(items: list[tuple[float, ev.Event]], data: st.DataObject) -> None:
    body = encode_body(items)
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(DecodeError):
        decode_body(body[:cut])


def test_every_event_has_a_word() -> None:
    assert kind_of(ev.StepSucceeded("a", 1, 1, None)) == "step_succeeded"  # type: ignore[arg-type]


def test_blobs_are_found_in_every_place() -> None:
    one, two = b"1" * 32, b"2" * 32
    first, second = Encoded(b"", (one,)), Encoded(b"", (two,))  # type: ignore[arg-type]
    assert blobs_of(ev.StepSucceeded("a", 1, 1, first, (("x", second),))) == (one, two)  # type: ignore[arg-type]
    assert blobs_of(ev.LoopExpanded("a", 1, (first, second))) == (one, two)  # type: ignore[arg-type]
    assert blobs_of(ev.ExecutionCreated("e", "p", first, "f", (("i", second),), "")) == (one, two)  # type: ignore[arg-type]
    assert blobs_of(ev.ExecutionCompleted(first)) == (one,)
    assert blobs_of(ev.BlockEntered("b", 1, 1, None, (("i", first), ("j", second)))) == (one, two)  # type: ignore[arg-type]
    assert blobs_of(ev.SignalReceived("paid", second)) == (two,)
    assert blobs_of(ev.PipelineChanged(first, second, "f", "")) == (one, two)


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(DecodeError, match="format 99"):
        decode_body(b"\x00" + ormsgpack.packb([99, []]))


@pytest.mark.parametrize("reason", ["x", "long " * 1000])
def test_no_byte_of_a_body_can_change_unnoticed(reason: str) -> None:
    body = encode_body([(1.0, ev.ExecutionPaused(reason))])
    for place in range(len(body)):
        with pytest.raises(DecodeError):
            decode_body(body[:place] + bytes([body[place] ^ 4]) + body[place + 1 :])


def test_bodies_of_old_had_no_checksum() -> None:
    plain = ormsgpack.packb([1, [[1.0, "paused", "x"]]])
    assert decode_body(b"\x00" + plain) == [(1.0, ev.ExecutionPaused("x"))]


def test_a_batch_with_a_wrong_count_is_damaged() -> None:
    body = encode_body([(1.0, ev.ExecutionPaused("x"))])
    with pytest.raises(DecodeError, match="wrong count"):
        list(entries([Batch(1, ExecutionId("e"), 1, 2, body)]))


@pytest.mark.parametrize("version", [1, 2])
def test_a_golden_journal_still_reads(version: int) -> None:
    body = (GOLDEN / f"journal-v{version}.bin").read_bytes()
    shown = "\n".join(f"{at} {event}" for at, event in decode_body(body))
    assert shown == (GOLDEN / f"journal-v{version}.txt").read_text().rstrip("\n")


def test_every_event_stands_in_the_newest_golden_journal() -> None:
    told = {type(event) for _, event in decode_body((GOLDEN / "journal-v2.bin").read_bytes())}
    assert told == set(get_args(ev.Event))


def test_a_journal_of_old_folds_as_it_did() -> None:
    """It has no events for the failure of a loop, which fails with its item, and comes back with it."""
    body = decode_body((GOLDEN / "journal-v1.bin").read_bytes())
    record = ExecutionRecord(ExecutionId("one"))
    loop = []
    for position, (at, event) in enumerate(body, 1):
        record.apply(Entry(position, at, event))
        loop.append(record.step(StepKey("months")).status)
    failed = [isinstance(event, ev.ExecutionFailed) for _, event in body].index(True)
    assert (loop[failed], loop[failed + 1], loop[-1]) == (StepStatus.FAILED, StepStatus.RUNNING, StepStatus.COMPLETED)
    assert (record.status, record.steps_done, record.steps_failed) == (ExecutionStatus.COMPLETED, 2, 0)

"""Every event reads back as it was written, and bodies of released versions stay readable."""

from __future__ import annotations

from pathlib import Path

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import DecodeError
from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded
from orchestrator.journal.records import blobs_of, decode_body, encode_body, entries, kind_of
from orchestrator.journal.store import Batch
from orchestrator.types import ExecutionId

GOLDEN = Path(__file__).parents[2] / "golden"

encoded = st.builds(
    Encoded, st.binary(max_size=30), st.lists(st.binary(min_size=32, max_size=32), max_size=2).map(tuple)
)
words, numbers = st.text(max_size=8), st.integers(0, 9)
errors = st.dictionaries(words, st.one_of(words, numbers, st.none(), st.lists(numbers, max_size=2)), max_size=3)
pairs = st.lists(st.tuples(words, encoded), max_size=3).map(tuple)
every_event = st.one_of(
    st.builds(ev.ExecutionCreated, words, words, encoded, words, pairs, words),
    st.builds(ev.ExecutionClaimed, words, numbers),
    st.builds(ev.ExecutionPaused, words),
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
    st.builds(ev.LoopExpanded, words, numbers, st.lists(encoded, max_size=3).map(tuple)),
    st.builds(ev.StepSucceeded, words, numbers, numbers, st.none() | encoded, pairs, st.none() | words),
    st.builds(ev.StepSkipped, words, numbers, words, st.none() | encoded),
    st.builds(ev.StepFailed, words, numbers, numbers, errors),
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


def test_the_golden_journal_still_reads() -> None:
    body = (GOLDEN / "journal-v1.bin").read_bytes()
    shown = "\n".join(f"{at} {event}" for at, event in decode_body(body))
    assert shown == (GOLDEN / "journal-v1.txt").read_text().rstrip("\n")

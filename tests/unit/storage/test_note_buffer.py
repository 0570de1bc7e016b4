"""Notes that wait: bounded in every direction, and counted where they are dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.journal.store import NOTES_KEPT, Note
from orchestrator.storage import note_buffer
from orchestrator.storage.note_buffer import LINES_WAITING, WAIT_SECONDS, AttemptKey, NoteBuffer, storable
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import execution_id

X = execution_id("x")


def line(text: str, step: str = "s") -> Note:
    return Note(step, 1, 0.0, "stdout", text)


def test_notes_are_due_after_a_second_of_waiting() -> None:
    clock = FakeClock(jumping=False)
    buffer = NoteBuffer(clock)
    assert not buffer.due()
    buffer.add(X, [line("a")])
    clock.advance(WAIT_SECONDS * 0.9)
    buffer.add(X, [line("b")])
    assert not buffer.due()
    clock.advance(WAIT_SECONDS * 0.1)
    assert buffer.due()
    assert [n.text for n in buffer.take()[AttemptKey(X, "s", 1)].lines] == ["a", "b"]
    assert not buffer
    assert not buffer.due()


def test_memory_is_bounded_over_all_attempts() -> None:
    buffer = NoteBuffer(FakeClock())
    steps = LINES_WAITING // NOTES_KEPT + 5
    for step in range(steps):
        buffer.add(X, [line(str(index), f"s{step}") for index in range(NOTES_KEPT)])
    taken = buffer.take()
    assert sum(len(notes.lines) for notes in taken.values()) == LINES_WAITING
    assert sum(len(notes.lines) + notes.dropped for notes in taken.values()) == steps * NOTES_KEPT
    buffer.add(X, [line("room again")])
    assert [len(notes.lines) for notes in buffer.take().values()] == [1]


def test_storable_text_is_only_changed_where_it_must_be() -> None:
    assert storable("é☂\U0001f600\x00") == "é☂\U0001f600\x00"
    assert storable("a\udcffb") == "a\\udcffb"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["stdout", "progress"])), max_size=60))
def test_the_newest_are_kept_in_order_of_arrival(arrivals: list[tuple[str, str]]) -> None:
    kept, note_buffer.NOTES_KEPT = note_buffer.NOTES_KEPT, 5  # type: ignore[attr-defined]  # a small bound is reached soon
    try:
        buffer = NoteBuffer(FakeClock())
        for index, (step, kind) in enumerate(arrivals):
            buffer.add(X, [Note(step, 1, 0.0, kind, str(index))])
        for key, notes in buffer.take().items():
            lines = [str(i) for i, (step, kind) in enumerate(arrivals) if (step, kind) == (key.step_key, "stdout")]
            reports = [str(i) for i, (step, kind) in enumerate(arrivals) if (step, kind) == (key.step_key, "progress")]
            assert [n.text for n in notes.lines] == lines[-5:]
            assert notes.dropped == max(0, len(lines) - 5)
            assert (notes.progress.text if notes.progress else None) == (reports[-1] if reports else None)
            assert [n.sequence for n in notes.lines] == sorted(n.sequence for n in notes.lines)
    finally:
        note_buffer.NOTES_KEPT = kept  # type: ignore[attr-defined]

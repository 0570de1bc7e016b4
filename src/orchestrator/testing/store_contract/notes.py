"""Clauses: progress and output, bounded, in order."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.journal.store import NOTES_KEPT, Note, Store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import Given, execution_id

X, Y = execution_id("x"), execution_id("y")


def line(text: str, step: str = "load", attempt: int = 1, kind: str = "stdout") -> Note:
    """A line of output."""
    return Note(step, attempt, 7.5, kind, text)


def progress(fraction: float, text: str = "", step: str = "load", attempt: int = 1) -> Note:
    """How far an attempt is."""
    return Note(step, attempt, 7.5, "progress", text, fraction)


def texts(notes: Sequence[Note]) -> list[str]:
    """What they say."""
    return [note.text for note in notes]


class NoteClauses(Given):
    """`note` and `notes`."""

    def test_lines_come_back_in_order(self, store: Store) -> None:
        self.created(store)
        store.note(X, [line("one"), line("two", kind="stderr")])
        store.note(X, [line("three", kind="log")])
        notes = store.notes(X)
        assert [(n.step_key, n.attempt, n.at, n.kind, n.text, n.fraction) for n in notes] == [
            ("load", 1, 7.5, "stdout", "one", None),
            ("load", 1, 7.5, "stderr", "two", None),
            ("load", 1, 7.5, "log", "three", None),
        ]

    def test_steps_that_run_side_by_side_are_interleaved_as_they_came(self, store: Store) -> None:
        self.created(store)
        for index in range(6):
            store.note(X, [line(str(index), step="ab"[index % 2])])
        assert texts(store.notes(X)) == ["0", "1", "2", "3", "4", "5"]
        assert texts(store.notes(X, "b")) == ["1", "3", "5"]

    def test_only_the_newest_progress_of_an_attempt_is_kept(self, store: Store, clock: FakeClock) -> None:
        self.created(store)
        for index in range(5):
            store.note(X, [progress(index / 10), progress(index / 10, attempt=2)])
            clock.advance(2)
            store.flush()
        assert [(n.attempt, n.fraction) for n in store.notes(X)] == [(1, 0.4), (2, 0.4)]

    def test_new_notes_are_found_after_a_sequence(self, store: Store, clock: FakeClock) -> None:
        self.created(store)
        seen: list[Note] = []
        for index in range(4):
            store.note(X, [line(f"line {index}"), progress(index / 4, f"progress {index}")])
            clock.advance(2)
            store.flush()
            seen += store.notes(X, after_sequence=seen[-1].sequence if seen else 0)
        assert texts(seen) == [text for i in range(4) for text in (f"line {i}", f"progress {i}")]
        assert store.notes(X, after_sequence=seen[-1].sequence) == []

    def test_the_newest_lines_of_an_attempt_are_kept_and_the_rest_counted(self, store: Store) -> None:
        self.created(store)
        store.note(X, [line(str(index)) for index in range(3 * NOTES_KEPT)])
        notes = texts(store.notes(X))
        assert notes == [f"… {2 * NOTES_KEPT} lines dropped", *map(str, range(2 * NOTES_KEPT, 3 * NOTES_KEPT))]

    def test_lines_that_come_bit_by_bit_are_counted_too(self, store: Store) -> None:
        script = self.created(store)
        for start in range(0, 2 * NOTES_KEPT, 150):
            store.note(X, [line(str(index)) for index in range(start, start + 150)])
            store.commit(script.append()).wait()
        total = len(range(0, 2 * NOTES_KEPT, 150)) * 150
        notes = texts(store.notes(X))
        assert notes == [f"… {total - NOTES_KEPT} lines dropped", *map(str, range(total - NOTES_KEPT, total))]

    def test_a_burst_after_some_lines_counts_both(self, store: Store) -> None:
        script = self.created(store)
        store.note(X, [line("early")] * 10)
        store.commit(script.append()).wait()
        store.note(X, [line(str(index)) for index in range(NOTES_KEPT + 5)])
        store.commit(script.append()).wait()
        notes = texts(store.notes(X))
        assert notes[:2] == ["… 15 lines dropped", "5"]
        assert len(notes) == NOTES_KEPT + 1

    def test_attempts_are_bounded_apart(self, store: Store) -> None:
        self.created(store)
        store.note(X, [line("kept", attempt=2), line("kept", step="other")])
        store.note(X, [line(str(index)) for index in range(NOTES_KEPT + 1)])
        assert texts(store.notes(X)).count("kept") == 2

    def test_a_long_line_is_cut(self, store: Store) -> None:
        self.created(store)
        store.note(X, [line("x" * 100_000)])
        (text,) = texts(store.notes(X))
        assert len(text) <= 4096
        assert text.endswith("x…")

    def test_text_of_any_characters_is_kept(self, store: Store) -> None:
        self.created(store)
        store.note(X, [line("caf\u00e9 \udcff \U0001f600")])
        assert texts(store.notes(X))[0].startswith("caf\u00e9")

    def test_executions_do_not_mix(self, store: Store) -> None:
        self.created(store, "x")
        self.created(store, "y")
        store.note(X, [line("of x")])
        store.note(Y, [line("of y")])
        assert texts(store.notes(X)) == ["of x"]
        assert store.notes(execution_id("z")) == []

    def test_notes_of_an_unknown_execution_harm_nobody(self, store: Store) -> None:
        store.note(execution_id("z"), [line("lost")])
        self.created(store)

    def test_notes_have_no_position(self, store: Store) -> None:
        script = self.created(store)
        store.note(X, [line("one")])
        store.commit(script.append()).wait()
        assert [batch.position for batch in store.read(X)] == [1, 2]

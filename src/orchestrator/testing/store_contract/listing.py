"""Clauses: what `find` gives."""

from __future__ import annotations

import pytest

from orchestrator.journal.store import Query, Store
from orchestrator.status import UNFINISHED, ExecutionStatus
from orchestrator.testing.store_contract.given import Given, execution_id

RUNNING, PAUSED, COMPLETED = ExecutionStatus.RUNNING, ExecutionStatus.PAUSED, ExecutionStatus.COMPLETED
FAILED = ExecutionStatus.FAILED


class ListingClauses(Given):
    """Summaries and their filters."""

    def found(self, store: Store, **query: object) -> list[str]:
        """The ids that a query gives."""
        return [summary.execution_id for summary in store.find(Query(**query))]  # type: ignore[arg-type]  # any filter

    def given_four(self, store: Store) -> None:
        """Created in another order than they are dated."""
        self.created(store, "c", at=30.0, status=COMPLETED, pipeline_id="p")
        self.created(store, "a", at=10.0, status=RUNNING, pipeline_id="p")
        self.created(store, "d", at=40.0, status=PAUSED, pipeline_id="q", next_due=500.0)
        self.created(store, "b", at=20.0, status=FAILED, pipeline_id="q", next_due=600.0)

    def test_an_empty_store_has_none(self, store: Store) -> None:
        assert self.found(store) == []

    def test_the_newest_come_first(self, store: Store) -> None:
        self.given_four(store)
        assert self.found(store) == ["d", "c", "b", "a"]

    def test_of_one_moment_the_last_comes_first(self, store: Store) -> None:
        for name in "abc":
            self.created(store, name, at=1.0)
        assert self.found(store) == ["c", "b", "a"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"statuses": frozenset({COMPLETED})}, ["c"]),
            ({"statuses": frozenset({COMPLETED, RUNNING})}, ["c", "a"]),
            ({"statuses": UNFINISHED}, ["d", "a"]),
            ({"statuses": frozenset({RUNNING})}, ["a"]),
            ({"statuses": frozenset()}, []),
            ({"pipeline_id": "q"}, ["d", "b"]),
            ({"pipeline_id": "q", "statuses": UNFINISHED}, ["d"]),
            ({"execution_id": "b"}, ["b"]),
            ({"execution_id": "b", "pipeline_id": "p"}, []),
            ({"execution_id": "b", "statuses": frozenset({FAILED})}, ["b"]),
            ({"execution_id": "b", "due_before": 1.0}, []),
            ({"execution_id": "nothing"}, []),
            ({"due_before": 499.0}, []),
            ({"due_before": 500.0}, ["d"]),
            ({"due_before": 900.0}, ["d", "b"]),
            ({"due_before": 900.0, "statuses": UNFINISHED}, ["d"]),
            ({"due_before": 900.0, "pipeline_id": "q", "limit": 1}, ["d"]),
            ({"limit": 2}, ["d", "c"]),
            ({"limit": None}, ["d", "c", "b", "a"]),
        ],
    )
    def test_filters(self, store: Store, query: dict[str, object], expected: list[str]) -> None:
        self.given_four(store)
        assert self.found(store, **query) == expected

    def test_fifty_are_given_unless_more_are_asked_for(self, store: Store) -> None:
        for index in range(60):
            store.commit(self.script(f"e{index}", at=index).append())
        store.flush()
        assert len(self.found(store)) == 50
        assert len(self.found(store, limit=None)) == 60

    def test_a_summary_comes_back_as_it_was_written(self, store: Store) -> None:
        script = self.created(store)
        append = script.append(
            status=PAUSED,
            steps_total=9,
            steps_done=4,
            steps_failed=1,
            message="waits for a person ☂",
            next_due=12.5,
            priority=-3,
            concurrency_key="gpu",
        )
        store.commit(append).wait()
        store.release(script.lease)
        assert store.find(Query()) == [append.summary]

    def test_the_last_append_says_how_it_stands(self, store: Store) -> None:
        script = self.created(store, status=PAUSED, next_due=5.0)
        store.commit(script.append(status=RUNNING, next_due=None)).wait()
        assert self.found(store, due_before=100.0) == []
        assert self.found(store, statuses=frozenset({RUNNING})) == ["x"]
        store.commit(script.append(status=COMPLETED)).wait()
        assert self.found(store, statuses=UNFINISHED) == []
        assert execution_id("x") in self.found(store, statuses=frozenset({COMPLETED}))

"""Clauses: messages from outside, which leave with the commit that stands for them."""

from __future__ import annotations

import pytest

from orchestrator.errors import ConflictError, EncodeError, UnknownExecutionError
from orchestrator.journal.store import Store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.store_contract.given import Given, execution_id

X, Y = execution_id("x"), execution_id("y")


class InboxClauses(Given):
    """`post`, `inbox`, and `Append.taken`."""

    def test_messages_are_kept_in_order(self, store: Store, clock: FakeClock) -> None:
        self.created(store)
        first = store.post(X, "signal", {"name": "go", "value": [1, None, {"a": "ü"}]})
        at = clock.time()
        clock.advance(5)
        second = store.post(X, "cancel", {})
        assert [(m.id, m.execution_id, m.kind, m.payload) for m in store.inbox(X)] == [
            (first, X, "signal", {"name": "go", "value": [1, None, {"a": "ü"}]}),
            (second, X, "cancel", {}),
        ]
        assert [m.at for m in store.inbox(X)] == [at, at + 5]

    def test_a_message_is_the_receivers_own(self, store: Store) -> None:
        self.created(store)
        payload = {"items": [1]}
        store.post(X, "signal", payload)
        payload["items"].append(2)
        store.inbox(X)[0].payload["items"].append(3)
        assert store.inbox(X)[0].payload == {"items": [1]}

    def test_a_message_needs_no_lease(self, store: Store) -> None:
        store.release(self.created(store).lease)
        store.post(X, "signal", {})
        assert len(store.inbox(X)) == 1

    def test_posting_to_what_is_not_there_raises(self, store: Store) -> None:
        with pytest.raises(UnknownExecutionError):
            store.post(X, "signal", {})

    def test_what_cannot_be_encoded_is_refused_by_name(self, store: Store) -> None:
        self.created(store)
        with pytest.raises(EncodeError, match="callback"):
            store.post(X, "signal", {"callback": print})
        assert store.inbox(X) == []

    def test_an_empty_or_unknown_inbox_is_empty(self, store: Store) -> None:
        self.created(store)
        assert store.inbox(X) == []
        assert store.inbox(Y) == []

    def test_a_message_leaves_with_the_commit_that_takes_it(self, store: Store) -> None:
        script = self.created(store)
        taken, kept, taken_too = (store.post(X, "signal", {"n": n}) for n in range(3))
        store.commit(script.append(taken=(taken, taken_too))).wait()
        assert [m.id for m in store.inbox(X)] == [kept]

    def test_a_refused_commit_takes_no_message(self, store: Store) -> None:
        script = self.created(store)
        message = store.post(X, "signal", {})
        script.position = 7
        with pytest.raises(ConflictError):
            store.commit(script.append(taken=(message,))).wait()
        assert [m.id for m in store.inbox(X)] == [message]

    def test_nobody_takes_anothers_message(self, store: Store) -> None:
        script = self.created(store, "x")
        self.created(store, "y")
        message = store.post(Y, "signal", {})
        store.commit(script.append(taken=(message,))).wait()
        assert [m.id for m in store.inbox(Y)] == [message]

    def test_what_was_posted_since_is_told_for_all_at_once(self, store: Store) -> None:
        self.created(store, "x")
        self.created(store, "y")
        assert list(store.posted_since(0)) == []
        posted = [(store.post(one, "signal", {}), one) for one in (X, Y, X)]
        assert list(store.posted_since(0)) == posted
        assert list(store.posted_since(posted[0][0])) == posted[1:]
        assert list(store.posted_since(posted[-1][0])) == []

    def test_what_was_taken_is_told_no_more(self, store: Store) -> None:
        script = self.created(store)
        taken, kept = store.post(X, "signal", {}), store.post(X, "cancel", {})
        store.commit(script.append(taken=(taken,))).wait()
        assert list(store.posted_since(0)) == [(kept, X)]
        assert list(store.posted_since(taken)) == [(kept, X)]

    def test_a_message_to_one_that_nobody_has_is_told_as_well(self, store: Store) -> None:
        store.release(self.created(store).lease)
        message = store.post(X, "signal", {})
        assert list(store.posted_since(message - 1)) == [(message, X)]

    def test_ids_are_never_given_again(self, store: Store) -> None:
        script = self.created(store)
        seen = []
        for _ in range(5):
            seen.append(store.post(X, "signal", {}))
            store.commit(script.append(taken=(seen[-1],))).wait()
        assert len(set(seen)) == 5

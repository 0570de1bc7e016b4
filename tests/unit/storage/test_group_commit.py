"""Group commit on its own: nothing is left in the queue, outcomes come in order, groups are bounded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

import pytest

from orchestrator.errors import StoreError
from orchestrator.journal.store import Append, Commit, Lease, Summary
from orchestrator.status import ExecutionStatus
from orchestrator.storage.group_commit import GROUP_APPENDS, GROUP_BYTES, GroupCommit, Pending
from orchestrator.testing.store_contract.given import execution_id, living

SUMMARY = Summary(execution_id("x"), "p", ExecutionStatus.RUNNING, 1.0, 1.0)


def append(position: int, body: bytes = b"") -> Append:
    return Append(Lease(execution_id("x"), living(), 1), position, 1, body, SUMMARY)


class Recording:
    """Performs by writing down what it was given; `during` runs under the writer lock."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.during: Callable[[], None] = lambda: None
        self.outcome: StoreError | None = None

    def __call__(self, appends: Sequence[Append], patient: bool) -> Sequence[BaseException | None] | None:
        self.groups.append([a.expected_position for a in appends])
        self.during()
        return [self.outcome] * len(appends)


def test_what_is_queued_while_the_holder_works_is_performed_by_the_holder_afterwards() -> None:
    perform = Recording()
    group = GroupCommit(perform)
    late: list[Commit] = []

    def somebody_else_comes() -> None:
        perform.during = lambda: None
        late.append(group.commit(append(2)))
        assert not group.flush(blocking=False)

    perform.during = somebody_else_comes
    group.commit(append(1)).wait()
    assert [commit.done for commit in late] == [True]
    assert perform.groups == [[1], [2]]


def test_what_is_queued_during_a_write_of_another_kind_is_performed_after_it() -> None:
    perform = Recording()
    group = GroupCommit(perform)
    before = group.commit(append(1))
    with group.writing():
        assert before.done
        late = group.commit(append(2))
        assert not group.flush(blocking=False)
    assert late.done


def test_what_is_queued_during_a_write_that_fails_is_performed_all_the_same() -> None:
    group = GroupCommit(Recording())
    late = None
    with pytest.raises(ZeroDivisionError), group.writing():
        late = group.commit(append(1))
        raise ZeroDivisionError
    assert late is not None
    assert late.done


def test_a_holder_leaves_the_queue_to_a_thread_that_sleeps() -> None:
    """Else a caller could be kept working for others for ever."""
    perform = Recording()
    group = GroupCommit(perform)
    performers: list[int] = []

    def wait_for_the_commit() -> None:
        group.commit(append(2)).wait()

    waiter = threading.Thread(target=wait_for_the_commit)

    def let_it_come() -> None:
        performers.append(threading.get_ident())
        perform.during = lambda: performers.append(threading.get_ident())
        waiter.start()
        while not group._sleepers:  # ends: the lock is held here
            pass

    perform.during = let_it_come
    group.commit(append(1)).wait()
    waiter.join()
    assert perform.groups == [[1], [2]]
    assert performers[0] != performers[1]


def test_a_thread_that_goes_to_sleep_just_after_the_holder_looked_performs_its_commit_itself() -> None:
    group = GroupCommit(Recording())

    class JustTooLate(deque[Pending]):
        def append(self, sleeper: Pending) -> None:
            group._lock.release()  # the holder has found nobody asleep, and goes
            super().append(sleeper)

    group._sleepers = JustTooLate()
    group._lock.acquire()
    commit = group.commit(append(1))
    thread = threading.Thread(target=commit.wait, daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert commit.done


def test_a_thread_that_outwaits_the_lock_finds_its_commit_decided_before_anybody_was_told() -> None:
    perform = Recording()
    group = GroupCommit(perform)
    second = None
    seen: list[bool] = []

    def look_from_another_thread(_first: Commit) -> None:
        """Runs while the outcomes are told, the second of which has not been told yet."""
        thread = threading.Thread(target=lambda: seen.append(_raises_nothing(second)))
        thread.start()
        thread.join()

    first = group.commit(append(1), look_from_another_thread)
    second = group.commit(append(2))
    first.wait()
    assert seen == [True]


def _raises_nothing(commit: Commit | None) -> bool:
    assert commit is not None
    commit.wait()
    return commit.done


def test_outcomes_of_two_groups_are_told_in_order_though_another_thread_performs_the_second() -> None:
    group = GroupCommit(Recording())
    told: list[int] = []

    def tell_slowly(_first: Commit) -> None:
        def second() -> None:
            group.commit(append(2), lambda _: told.append(2)).wait()

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        told.append(1)

    group.commit(append(1), tell_slowly).wait()
    assert told == [1, 2]


def test_groups_are_bounded_in_number_and_size() -> None:
    perform = Recording()
    group = GroupCommit(perform)
    for position in range(GROUP_APPENDS + 1):
        group.commit(append(position))
    for position in range(3):
        group.commit(append(position, bytes(GROUP_BYTES // 2)))
    group.flush()
    assert [len(positions) for positions in perform.groups] == [GROUP_APPENDS, 3, 1]


def test_a_store_that_is_held_elsewhere_keeps_the_queue_in_order() -> None:
    performed: list[int] = []
    commits: list[Commit] = []

    def perform(appends: Sequence[Append], patient: bool) -> Sequence[BaseException | None] | None:
        if not patient:
            commits.append(group.commit(append(3)))  # somebody queues meanwhile
            return None
        performed.extend(a.expected_position for a in appends)
        return [None] * len(appends)

    group = GroupCommit(perform)
    commits += [group.commit(append(position)) for position in range(3)]
    assert not group.flush(blocking=False)
    assert [commit.done for commit in commits] == [False] * 4
    assert group.flush()
    assert performed == [0, 1, 2, 3]
    assert all(commit.done for commit in commits)


def test_being_broken_off_is_told_to_all_of_the_group() -> None:
    def perform(appends: Sequence[Append], patient: bool) -> Sequence[BaseException | None] | None:
        raise KeyboardInterrupt

    group = GroupCommit(perform)
    commits = [group.commit(append(position)) for position in range(2)]
    with pytest.raises(KeyboardInterrupt):
        group.flush()
    assert [type(commit.error) for commit in commits] == [StoreError, StoreError]
    with pytest.raises(StoreError, match="may be written or not"):
        commits[0].wait()


def test_what_is_due_besides_appends_is_done_once_and_may_fail() -> None:
    perform = Recording()
    group = GroupCommit(perform, due=lambda: True)
    assert group.flush()
    assert group.flush(blocking=False)
    assert perform.groups == [[], []]


def test_threads_share_transactions() -> None:
    """While one performs, the others gather: sixteen commits come in two groups."""
    perform = Recording()
    group = GroupCommit(perform)
    threads = [threading.Thread(target=lambda p=p: group.commit(append(p)).wait()) for p in range(15)]

    def gather() -> None:
        perform.during = lambda: None
        for thread in threads:
            thread.start()
        while len(group._sleepers) < len(threads):  # ends: the lock is held here
            pass

    perform.during = gather
    group.commit(append(99)).wait()
    for thread in threads:
        thread.join()
    assert perform.groups[0] == [99]
    assert len(perform.groups) == 2
    assert sorted(perform.groups[1]) == list(range(15))
    assert not group._sleepers


def test_hundreds_of_threads_neither_lose_nor_strand_a_commit() -> None:
    performed: list[int] = []

    def perform(appends: Sequence[Append], patient: bool) -> Sequence[BaseException | None] | None:
        performed.extend(a.expected_position for a in appends)
        return [None] * len(appends)

    group = GroupCommit(perform)

    def work(first: int) -> None:
        for position in range(first, first + 200):
            if position % 3:
                group.commit(append(position)).wait()
            else:
                group.commit(append(position))
                group.flush(blocking=bool(position % 2))

    threads = [threading.Thread(target=work, args=(1000 * number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(performed) == [1000 * number + n for number in range(24) for n in range(200)]
    assert not group._queue

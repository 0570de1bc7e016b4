"""Handlers: told in order, waited for within a bound, and never able to hold up a step."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.unit.execution.progress.conftest import threads

from orchestrator.errors import InputError
from orchestrator.execution.progress import ProgressEvent, ProgressTracker
from orchestrator.execution.progress import ProgressEventType as T
from orchestrator.execution.progress.worker import IDLE_SECONDS

#: Far more than anything here takes, far less than a test may.
SOON = 30.0


def numbers(events: list[ProgressEvent]) -> list[int]:
    return [event.sequence for event in events]


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    end = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.001)


def joined(batches: list[list[int]]) -> list[int]:
    return [number for batch in batches for number in batch]


class Gate:
    """A handler that lets nobody through until it is opened, and then notes what it got."""

    def __init__(self) -> None:
        self.open, self.entered, self.got = threading.Event(), threading.Event(), list[ProgressEvent]()

    def __call__(self, event: ProgressEvent) -> None:
        self.entered.set()
        assert self.open.wait(SOON)
        self.got.append(event)


def test_handlers_have_run_when_the_verb_returns(tracker: ProgressTracker) -> None:
    first: list[ProgressEvent] = []
    second: list[tuple[T, dict[str, Any]]] = []
    tracker.add_event_handler(first.append)
    tracker.add_real_time_handler(lambda kind, data: second.append((kind, data)))
    for count, step in enumerate("abcde", start=1):
        tracker.start_step("e", step, step)
        assert len(first) == count + 1  # and the execution's start
    assert numbers(first) == [1, 2, 3, 4, 5, 6]
    assert first == tracker.get_events("e")
    assert second[1] == (T.STEP_STARTED, first[1].to_dict())
    assert second[1][0] == "step_started"


def test_no_handler_no_thread(tracker: ProgressTracker) -> None:
    tracker.start_execution("e", 1)
    tracker.add_event_handler(print)
    assert threads() == []


def test_a_worker_with_nothing_to_do_ends_and_the_next_event_starts_another(tracker: ProgressTracker) -> None:
    got: list[ProgressEvent] = []
    tracker.add_event_handler(got.append)
    tracker.start_execution("e", 1)
    (worker,) = threads()
    worker.join(IDLE_SECONDS + SOON)
    assert threads() == []
    tracker.complete_execution("e")
    assert numbers(got) == [1, 2]


def test_a_handler_that_hangs_holds_up_neither_the_step_nor_the_others(tracker: ProgressTracker) -> None:
    before: list[ProgressEvent] = []
    after: list[ProgressEvent] = []
    gate = Gate()
    for handler in (before.append, gate, after.append):
        tracker.add_event_handler(handler)
    tracker.start_execution("e", 1)  # returns
    assert gate.entered.is_set() and not gate.got
    assert numbers(before) == numbers(after) == [1]
    began = time.monotonic()
    for _ in range(100):
        tracker.update_step_progress("e", "a", 1)
    assert time.monotonic() - began < SOON / 2
    assert numbers(before) == numbers(after) == [*range(1, 103)]
    gate.open.set()
    until(lambda: len(gate.got) == 102)
    assert numbers(gate.got) == [*range(1, 103)]
    assert tracker.get_performance_metrics()["dropped_events"] == 0


def test_many_handlers_that_hang(tracker: ProgressTracker) -> None:
    gates = [Gate() for _ in range(5)]
    for gate in gates:
        tracker.add_event_handler(gate)
    got: list[ProgressEvent] = []
    tracker.add_event_handler(got.append)
    tracker.start_execution("e", 1)
    tracker.complete_execution("e")
    assert numbers(got) == [1, 2]
    for gate in gates:
        gate.open.set()
    for gate in gates:
        until(lambda gate=gate: len(gate.got) == 2)


def test_a_handler_that_was_fast_may_hang_later(tracker: ProgressTracker) -> None:
    opened, entered = threading.Event(), threading.Event()
    got: list[int] = []

    def handler(event: ProgressEvent) -> None:
        if event.event_type is T.STEP_STARTED:
            entered.set()
            assert opened.wait(SOON)
        got.append(event.sequence)

    tracker.add_event_handler(handler)
    tracker.start_execution("e", 1)
    assert got == [1]
    tracker.start_step("e", "a", "A")
    assert entered.is_set()
    tracker.complete_step("e", "a")
    opened.set()
    until(lambda: got == [1, 2, 3])


def test_a_slow_handler_comes_back_with_a_fast_call(tracker: ProgressTracker) -> None:
    gate = Gate()
    tracker.add_event_handler(gate)
    tracker.start_execution("e", 1)
    tracker.start_step("e", "a", "A")  # queued: its call will be fast once the gate is open
    gate.open.set()
    until(lambda: len(gate.got) == 2 and len(threads()) == 1)
    tracker.complete_step("e", "a")
    assert numbers(gate.got) == [1, 2, 3]


def test_what_overflows_is_dropped_from_the_old_end_and_counted(tracker: ProgressTracker) -> None:
    gate = Gate()
    tracker.add_event_handler(gate)
    tracker.start_execution("e", 1)  # in the gate
    for _ in range(1200):
        tracker.update_step_progress("e", "a", 1)
    metrics = tracker.get_performance_metrics()
    assert metrics["dropped_events"] == 201
    assert metrics["handler_performance"]["Gate"]["dropped_events"] == 201
    gate.open.set()
    until(lambda: len(gate.got) == 1001)
    assert numbers(gate.got) == [1, *range(203, 1203)]


def test_a_handler_that_raises_is_logged_once_and_counted(
    tracker: ProgressTracker, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[ProgressEvent] = []

    def bad(event: ProgressEvent) -> None:
        raise SystemExit if event.sequence == 2 else ValueError("no")

    tracker.add_event_handler(bad)
    tracker.add_event_handler(got.append)
    with caplog.at_level(logging.ERROR):
        tracker.start_execution("e", 1)
        tracker.complete_step("e", "a")
    assert numbers(got) == [1, 2, 3]
    assert len(caplog.records) == 1 and "handler_failed" in caplog.records[0].message
    performance = tracker.get_performance_metrics()["handler_performance"]
    assert performance["bad"]["faults"] == performance["bad"]["call_count"] == 3
    assert performance["append"]["faults"] == 0


def test_a_handler_may_call_the_tracker(tracker: ProgressTracker) -> None:
    got: list[ProgressEvent] = []

    def nested(event: ProgressEvent) -> None:
        got.append(event)
        if event.event_type is T.EXECUTION_STARTED:
            tracker.start_step("e", "a", "A")
            assert tracker.get_step_progress("e", "a")
            tracker.add_event_handler(later.append)
        elif event.event_type is T.STEP_STARTED:
            tracker.complete_execution("e")

    later: list[ProgressEvent] = []
    tracker.add_event_handler(nested)
    tracker.start_execution("e", 1)
    until(lambda: len(got) == 3)
    assert numbers(got) == [1, 2, 3]
    tracker.start_execution("f", 1)
    assert later[-1].execution_id == "f"


def test_a_removed_handler_is_not_called_any_more(tracker: ProgressTracker) -> None:
    first: list[ProgressEvent] = []
    second: list[ProgressEvent] = []
    end = tracker.add_event_handler(first.append)
    tracker.add_event_handler(second.append)
    tracker.start_execution("e", 1)
    assert tracker.remove_event_handler(second.append)  # a bound method equals itself, though it is made anew
    end()
    tracker.complete_execution("e")
    assert numbers(first) == numbers(second) == [1]
    assert not tracker.remove_event_handler(second.append)
    end()
    assert tracker.get_performance_metrics()["total_handlers"] == 0


def test_a_handler_removed_while_it_hangs_gets_nothing_of_its_queue(tracker: ProgressTracker) -> None:
    gate = Gate()
    tracker.add_event_handler(gate)
    tracker.start_execution("e", 1)
    tracker.complete_execution("e")
    tracker.remove_event_handler(gate)
    gate.open.set()
    until(lambda: len(threads()) == 1)
    assert numbers(gate.got) == [1]


def test_namesakes_are_told_apart(tracker: ProgressTracker) -> None:
    for _ in range(3):
        tracker.add_event_handler(lambda event: None)
    tracker.add_event_handler(partial(print, file=None, end=""))
    tracker.start_execution("e", 1)
    tracker.complete_execution("e")
    performance = tracker.get_performance_metrics()["handler_performance"]
    assert [*performance] == ["<lambda>", "<lambda>#2", "<lambda>#3", "partial"]
    times = performance["<lambda>#3"]
    assert times["call_count"] == 2
    assert 0 < times["min_duration"] <= times["avg_duration"] <= times["max_duration"] < SOON


def test_durations_are_those_of_the_calls(tracker: ProgressTracker) -> None:
    gate = Gate()
    tracker.add_event_handler(gate)
    assert tracker.get_performance_metrics()["handler_performance"]["Gate"]["min_duration"] == 0.0
    tracker.start_execution("e", 1)
    gate.open.set()
    until(lambda: tracker.get_performance_metrics()["handler_performance"]["Gate"]["call_count"] == 1)
    assert tracker.get_performance_metrics()["handler_performance"]["Gate"]["max_duration"] >= 0.010


def test_what_cannot_be_called_is_refused(tracker: ProgressTracker) -> None:
    with pytest.raises(InputError, match="cannot be called"):
        tracker.add_event_handler("print")  # type: ignore[arg-type]


# -- many threads ------------------------------------------------------------------------------------------------------


def test_threads_lose_nothing_and_every_handler_sees_one_order(tracker: ProgressTracker) -> None:
    orders: list[list[int]] = [[], [], []]
    for order in orders:
        tracker.add_event_handler(lambda event, order=order: order.append(event.sequence))
    tracker.start_execution("e", 8 * 25)
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        for count in range(25):
            with tracker.track_step("e", f"s{number}_{count}", "S") as step:
                step.update(50)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(SOON)
    tracker.complete_execution("e")
    tracker.shutdown()
    assert orders == [[*range(1, 603)]] * 3
    progress = tracker.get_execution_progress("e")
    assert (progress.completed_steps, progress.running_steps) == (200, 0)


def test_threads_with_hanging_slow_and_raising_handlers(tracker: ProgressTracker) -> None:
    gate, got = Gate(), list[int]()

    def slow(event: ProgressEvent) -> None:
        gate.open.wait(0.015)

    def bad(event: ProgressEvent) -> None:
        raise ValueError

    for handler in (gate, slow, bad, lambda event: got.append(event.sequence)):
        tracker.add_event_handler(handler)

    def work(number: int) -> None:
        for count in range(20):
            tracker.complete_step("e", f"s{number}_{count}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(SOON)
    assert time.monotonic() - began < SOON
    until(lambda: len(got) == 161)
    assert got == [*range(1, 162)]
    gate.open.set()


# -- batches -----------------------------------------------------------------------------------------------------------


def test_a_full_batch_is_handed_over_at_once(tracker: ProgressTracker) -> None:
    batches: list[list[int]] = []
    tracker.add_batch_handler(lambda events: batches.append(numbers(events)), max_size=3, max_delay=SOON)
    tracker.start_execution("e", 3)
    for step in "abc":
        tracker.complete_step("e", step)
    assert batches == [[1, 2, 3], [4, 5, 6]]
    tracker.shutdown()
    assert batches == [[1, 2, 3], [4, 5, 6], [7]]


def test_a_batch_that_is_not_full_comes_when_it_is_due(tracker: ProgressTracker) -> None:
    batches: list[list[int]] = []
    came = threading.Event()
    tracker.add_batch_handler(lambda events: (batches.append(numbers(events)), came.set()), max_delay=0.05)
    tracker.start_execution("e", 1)
    tracker.start_step("e", "a", "A")
    assert came.wait(SOON)
    assert joined(batches) == [1, 2] or batches == [[1]]
    until(lambda: joined(batches) == [1, 2])


def test_a_batch_handler_that_hangs_holds_up_nobody(tracker: ProgressTracker) -> None:
    opened, batches = threading.Event(), list[list[int]]()

    def handler(events: list[ProgressEvent]) -> None:
        assert opened.wait(SOON)
        batches.append(numbers(events))

    other: list[list[int]] = []
    tracker.add_batch_handler(handler, max_size=2, max_delay=0.01)
    tracker.add_batch_handler(lambda events: other.append(numbers(events)), max_size=2, max_delay=0.01)
    tracker.start_execution("e", 1)
    tracker.start_step("e", "a", "A")
    tracker.complete_step("e", "a")
    until(lambda: joined(other) == [1, 2, 3])
    opened.set()
    until(lambda: joined(batches) == [1, 2, 3])


@pytest.mark.parametrize("bounds", [(0, 0.5), (1, -1), (1, float("inf"))])
def test_bounds_that_make_no_batch_are_refused(tracker: ProgressTracker, bounds: tuple[int, float]) -> None:
    with pytest.raises(InputError, match="a batch has"):
        tracker.add_batch_handler(print, *bounds)


# -- async handlers ----------------------------------------------------------------------------------------------------


async def test_async_handlers_run_on_their_loop_in_order(tracker: ProgressTracker) -> None:
    loop, got, all_here = asyncio.get_running_loop(), list[int](), asyncio.Event()

    async def handler(event: ProgressEvent) -> None:
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        got.append(event.sequence)
        if len(got) == 41:
            all_here.set()

    class Callable_:
        async def __call__(self, kind: T, data: dict[str, Any]) -> None:
            kinds.append(data["sequence"])

    kinds: list[int] = []
    tracker.add_event_handler(partial(handler))
    tracker.add_real_time_handler(Callable_())

    def work() -> None:
        for count in range(10):
            tracker.complete_step("e", f"s{count}")

    tracker.start_execution("e", 20)
    await asyncio.to_thread(work)
    for count in range(10, 20):
        tracker.complete_step("e", f"s{count}")  # on the loop itself
    await asyncio.wait_for(all_here.wait(), SOON)
    assert got == [*range(1, 42)]
    await asyncio.to_thread(tracker.shutdown)
    assert kinds == got


async def test_an_async_batch(tracker: ProgressTracker) -> None:
    batches: list[list[int]] = []
    here = asyncio.Event()

    async def handler(events: list[ProgressEvent]) -> None:
        batches.append(numbers(events))
        if sum(map(len, batches)) == 3:
            here.set()

    tracker.add_batch_handler(handler, max_size=2, max_delay=0.05)
    tracker.start_execution("e", 1)
    tracker.complete_step("e", "a")
    await asyncio.wait_for(here.wait(), SOON)
    assert joined(batches) == [1, 2, 3] and batches[0] == [1, 2]


async def test_shutdown_on_the_loop_lets_its_handlers_finish(tracker: ProgressTracker) -> None:
    got: list[int] = []
    here = asyncio.Event()

    async def handler(event: ProgressEvent) -> None:
        got.append(event.sequence)
        if event.event_type is T.EXECUTION_COMPLETED:
            here.set()

    tracker.add_event_handler(handler)
    tracker.start_execution("e", 1)
    tracker.complete_execution("e")
    began = time.monotonic()
    tracker.shutdown()
    assert time.monotonic() - began < 1.0  # it does not wait for what cannot go on meanwhile
    await asyncio.wait_for(here.wait(), SOON)
    assert got == [1, 2]


def test_an_async_handler_needs_a_loop(tracker: ProgressTracker) -> None:
    async def handler(event: ProgressEvent) -> None:
        raise AssertionError

    with pytest.raises(InputError, match="needs a loop to run on, and none runs here"):
        tracker.add_event_handler(handler)


def test_what_comes_after_the_loop_has_closed_is_dropped_and_counted(tracker: ProgressTracker) -> None:
    got: list[int] = []

    async def handler(event: ProgressEvent) -> None:
        got.append(event.sequence)
        await asyncio.Event().wait()

    async def main() -> None:
        tracker.add_event_handler(handler)
        tracker.start_execution("e", 1)
        tracker.start_step("e", "a", "A")
        while not got:
            await asyncio.sleep(0.001)

    asyncio.run(main())  # cancels the handler, with one event in its queue
    tracker.complete_step("e", "a")
    assert got == [1]
    assert tracker.get_performance_metrics()["dropped_events"] == 2


async def test_an_async_handler_that_raises_is_logged_and_called_on(
    tracker: ProgressTracker, caplog: pytest.LogCaptureFixture
) -> None:
    here = asyncio.Event()

    async def bad(event: ProgressEvent) -> None:
        if event.event_type is T.EXECUTION_COMPLETED:
            here.set()
        raise ValueError

    tracker.add_event_handler(bad)
    tracker.start_execution("e", 1)
    tracker.complete_execution("e")
    await asyncio.wait_for(here.wait(), SOON)
    await asyncio.to_thread(tracker.shutdown)
    assert len(caplog.records) == 1


def test_a_plain_handler_that_gives_a_coroutine_says_what_to_do(
    tracker: ProgressTracker, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(event: ProgressEvent) -> None:
        raise AssertionError

    tracker.add_event_handler(lambda event: handler(event))
    tracker.start_execution("e", 1)
    assert "add the async function itself" in caplog.text


# -- the end -----------------------------------------------------------------------------------------------------------


def test_shutdown_delivers_what_is_queued_and_forgets_the_handlers(tracker: ProgressTracker) -> None:
    gate = Gate()
    tracker.add_event_handler(gate)
    tracker.start_execution("e", 1)
    tracker.complete_execution("e")
    timer = threading.Timer(0.05, gate.open.set)
    timer.start()
    tracker.shutdown()
    assert numbers(gate.got) == [1, 2]
    assert threads() == []
    tracker.start_execution("f", 1)
    tracker.shutdown()
    assert numbers(gate.got) == [1, 2]
    assert tracker.get_execution_progress("f")
    timer.join()


def test_shutdown_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, tracker: ProgressTracker) -> None:
    monkeypatch.setattr("orchestrator.execution.progress.tracker.SHUTDOWN_SECONDS", 0.1)
    gate = Gate()
    tracker.add_event_handler(gate)
    tracker.start_execution("e", 1)
    tracker.complete_execution("e")
    tracker.shutdown()
    assert tracker.get_performance_metrics()["dropped_events"] == 1
    gate.open.set()
    until(lambda: threads() == [])
    assert numbers(gate.got) == [1]


def test_a_handler_may_shut_the_tracker_down(tracker: ProgressTracker) -> None:
    done = threading.Event()

    def handler(event: ProgressEvent) -> None:
        tracker.shutdown()
        done.set()

    tracker.add_event_handler(handler)
    tracker.start_execution("e", 1)
    assert done.wait(1.0)
    until(lambda: threads() == [])


def test_a_machine_without_threads_drops_and_counts(tracker: ProgressTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    tracker.add_event_handler(print)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    tracker.start_execution("e", 1)
    tracker.complete_execution("e")
    monkeypatch.undo()
    assert tracker.get_performance_metrics()["dropped_events"] == 2
    assert len(tracker.get_events("e")) == 2


def test_a_program_ends_also_where_a_handler_hangs() -> None:
    code = """
import threading
from orchestrator.execution.progress import ProgressTracker
tracker = ProgressTracker()
tracker.add_event_handler(lambda event: threading.Event().wait())
tracker.add_event_handler(lambda event: print(event.event_type, flush=True))
tracker.start_execution("e", 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON)
    assert (done.returncode, done.stdout, done.stderr) == (0, "execution_started\n", "")

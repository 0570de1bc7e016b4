"""Metrics on their own, and how light a context is."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.clock import SystemClock
from orchestrator.execution.state import ExecutionContext, ExecutionMetrics


def test_metrics_of_a_program_without_a_context() -> None:
    metrics = ExecutionMetrics(steps_total=4)
    assert metrics.start_time is not None
    assert metrics.start_time.tzinfo is UTC
    assert (metrics.completion_percentage(), metrics.success_rate()) == (0.0, 0.0)
    metrics.steps_completed, metrics.steps_failed, metrics.steps_skipped = 1, 1, 1
    assert (metrics.completion_percentage(), metrics.success_rate()) == (50.0, 50.0)
    metrics.mark_completed()
    assert metrics.duration is not None
    assert metrics.duration >= timedelta(0)
    assert ExecutionMetrics().completion_percentage() == 0.0


def test_the_end_may_be_given() -> None:
    metrics = ExecutionMetrics(start_time=datetime(2026, 1, 1, tzinfo=UTC))
    metrics.mark_completed(datetime(2026, 1, 1, 0, 1, tzinfo=UTC))
    assert metrics.duration == timedelta(minutes=1)
    never = ExecutionMetrics(start_time=None)
    never.mark_completed()
    assert never.duration is None


@pytest.fixture(params=["UTC", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_a_naive_time_is_local_time_and_kept_as_given() -> None:
    start, end = datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 1)
    for given, until in ((start, end), (start.astimezone(UTC), end), (start, end.astimezone(UTC))):
        metrics = ExecutionMetrics(start_time=given)
        metrics.mark_completed(until)
        assert (metrics.start_time, metrics.end_time, metrics.duration) == (given, until, timedelta(minutes=1))
    now = ExecutionMetrics(start_time=datetime.now())
    now.mark_completed()
    assert now.duration is not None
    assert timedelta(0) <= now.duration < timedelta(minutes=1)


def test_an_open_context_is_small() -> None:
    """One with a variable and two steps, started: below 6 kB; ten thousand of them are normal."""
    clock = SystemClock()

    def opened(number: int) -> ExecutionContext:
        context = ExecutionContext(f"run-{number}", "p", clock=clock)
        context.start()
        context.variable_manager.set_variable("n", number)
        context.complete_step("a")
        context.start_step("b")
        return context

    opened(-1)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [opened(number) for number in range(300)]
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    assert each < 6_000

"""What a manager remembers: errors, counts, values; and the block that records."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.execution.recovery.parts import Context, failing, manager

from orchestrator.errors import InputError
from orchestrator.execution.recovery import ErrorCategory, ErrorSeverity, RecoveryPlan, RecoveryStrategy
from orchestrator.execution.recovery.history import MOST_ERRORS
from orchestrator.testing.clock import FakeClock

C, V, S = ErrorCategory, ErrorSeverity, RecoveryStrategy
KINDS = [ConnectionError, ValueError, TimeoutError, MemoryError, KeyError]


def test_an_error_is_recorded_with_all_that_is_known_of_it() -> None:
    clock = FakeClock()
    recovery = manager(Context(), clock=clock)
    cause = ValueError("bad row")
    recovery.handle_error(cause, "load", "Load it", {"row": 3})
    (error,) = recovery.get_error_history()
    assert (error.category, error.severity, error.exception) == (C.VALIDATION, V.LOW, cause)
    assert (error.step_id, error.step_name, error.execution_id, error.context) == ("load", "Load it", "e", {"row": 3})
    assert error.timestamp.timestamp() == clock.time()
    assert len(error.error_id) == 16


def test_classifying_records_nothing_and_unpacks() -> None:
    recovery = manager()
    category, severity = recovery.classify_error(ConnectionError("x"), {"url": "u"})
    assert (category, severity) == (C.NETWORK, V.MEDIUM)
    assert recovery.classify_error(ValueError("x"), {"url": "u"}).context == {"url": "u"}
    assert recovery.get_error_history() == []


def test_each_manager_has_tables_of_its_own() -> None:
    one, two = manager(), manager()
    one.classifier.add(ValueError, C.USER, V.HIGH)
    assert one.classify_error(ValueError()).category is C.USER
    assert two.classify_error(ValueError()).category is C.VALIDATION


steps, kinds = st.sampled_from(["a", "b", None]), st.sampled_from(KINDS)


@given(
    st.lists(st.tuples(steps, kinds), max_size=20),
    steps,
    st.none() | st.sampled_from(C),
    st.none() | st.sampled_from(V),
    st.none() | st.integers(0, 25),
)
def test_the_history_gives_what_fits_the_newest_last(
    errors: list[tuple[str | None, type[Exception]]],
    step: str | None,
    category: C | None,
    severity: V | None,
    limit: int | None,
) -> None:
    recovery = manager()
    for number, (step_id, kind) in enumerate(errors):
        recovery.handle_error(kind(str(number)), step_id)
    everything = recovery.get_error_history()
    assert [str(error.exception).strip("'") for error in everything] == [str(n) for n in range(len(errors))]
    expected = [
        error
        for error in everything
        if step in (None, error.step_id) and category in (None, error.category) and severity in (None, error.severity)
    ]
    if limit is not None:
        expected = expected[len(expected) - limit :] if limit < len(expected) else expected
    assert recovery.get_error_history(step, category, severity, limit) == expected
    status = recovery.get_recovery_status()
    assert status["total_errors"] == len(errors)
    assert sum(status["error_counts_by_category"].values()) == len(errors)
    assert sum(status["error_counts_by_severity"].values()) == len(errors)
    for word in C:
        found = recovery.get_error_history(category=word)
        assert status["error_counts_by_category"].get(str(word), 0) == len(found)


def test_the_history_is_bounded_and_the_counts_go_on() -> None:
    recovery = manager()
    error = recovery.describe(ValueError("x"))
    for _ in range(MOST_ERRORS + 5):
        recovery.record(error)
    assert len(recovery.get_error_history()) == MOST_ERRORS == 1000
    assert recovery.get_recovery_status()["total_errors"] == MOST_ERRORS + 5
    with pytest.raises(InputError, match="limit"):
        recovery.get_error_history(limit=-1)


async def test_cleaning_up_forgets_one_execution_one_step_or_all() -> None:
    context = Context()
    recovery = manager(context)
    executor, _ = failing("done")
    for step in ("a", "b"):
        recovery.handle_error(ConnectionError("x"), step)
        assert await recovery.execute_recovery(step, RecoveryPlan(S.RETRY), executor)
    context.execution_id = "another"
    recovery.handle_error(ValueError("x"), "c")
    recovery.cleanup("a")
    assert [error.step_id for error in recovery.get_error_history()] == ["b", "c"]
    assert (recovery.get_retry_count("a"), recovery.get_retry_count("b")) == (0, 1)
    assert recovery.get_recovery_status()["steps_with_retries"] == 1
    recovery.cleanup("another")
    assert [error.step_id for error in recovery.get_error_history()] == ["b"]
    assert recovery.get_recovery_status()["error_counts_by_category"] == {"network": 1}
    recovery.cleanup()
    assert recovery.get_recovery_status() == manager().get_recovery_status()
    assert recovery.get_recovery_value("b") is None


async def test_counts_of_retries_are_reset_by_hand() -> None:
    recovery = manager()
    executor, _ = failing("done")
    assert await recovery.execute_recovery("a", RecoveryPlan(S.RETRY), executor)
    assert recovery.get_retry_count("a") == 1
    recovery.reset_retry_count("a")
    recovery.reset_retry_count("never seen")
    assert recovery.get_retry_count("a") == 0


def test_a_shut_down_manager_forgets_its_handlers_and_errors() -> None:
    recovery = manager()
    recovery.register_global_error_handler(lambda error: RecoveryPlan(S.SKIP))
    recovery.set_recovery_plan("s", RecoveryPlan(S.SKIP))
    recovery.handle_error(ValueError())
    recovery.shutdown()
    assert recovery.get_recovery_status() == manager().get_recovery_status()
    assert recovery.handle_error(ValueError(), "s").strategy is S.FAIL_FAST


# -- the block ---------------------------------------------------------------------------------------------------------


async def test_the_block_records_and_lets_the_error_go_on() -> None:
    recovery = manager()
    with pytest.raises(ConnectionError), recovery.handle_step_errors("s", "The step") as block:
        raise ConnectionError("x")
    with pytest.raises(ValueError):
        async with recovery.handle_step_errors("t", "Another"):
            raise ValueError("y")
    assert [(error.step_id, error.step_name) for error in recovery.get_error_history()] == [
        ("s", "The step"),
        ("t", "Another"),
    ]
    assert block.error is not None
    assert recovery.plan_for(block.error).strategy is S.RETRY_WITH_BACKOFF


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_program_leaves_the_block_unrecorded(end: type[BaseException]) -> None:
    recovery = manager()
    with pytest.raises(end), recovery.handle_step_errors("s", "The step"):
        raise end
    with recovery.handle_step_errors("s") as block:
        pass
    assert (recovery.get_error_history(), block.error) == ([], None)


# -- threads -----------------------------------------------------------------------------------------------------------


def test_many_threads_lose_no_error_and_no_count() -> None:
    recovery, told = manager(), []
    recovery.on_error(lambda error: told.append(error.error_id))
    recovery.register_global_error_handler(lambda error: None)
    start = threading.Barrier(16)
    faults: list[Any] = []

    def work(n: int) -> None:
        start.wait()
        try:
            for _ in range(50):
                recovery.handle_error(KINDS[n % 5](str(n)), f"s{n}")
                recovery.get_recovery_status()
                recovery.get_error_history(f"s{n}", limit=3)
                recovery.register_error_handler(C.USER, lambda error: None)()
        except Exception as exc:  # noqa: BLE001 - shown below
            faults.append(exc)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert recovery.get_recovery_status()["total_errors"] == 800
    assert told == [error.error_id for error in recovery.get_error_history()]  # each once, in the order of the history

"""Plans as data, and the order in which one is sought for an error."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.execution.recovery.parts import Context, manager

from orchestrator.errors import InputError
from orchestrator.execution.recovery import (
    ErrorCategory,
    ErrorInfo,
    ErrorSeverity,
    RecoveryManager,
    RecoveryPlan,
    RecoveryStrategy,
    RetryConfig,
    create_recovery_manager,
    critical_error_handler,
    network_error_handler,
    timeout_error_handler,
)

S, C, V = RecoveryStrategy, ErrorCategory, ErrorSeverity

texts = st.text(max_size=5)
plans = st.builds(
    RecoveryPlan,
    strategy=st.sampled_from(S),
    target_checkpoint=st.none() | texts,
    alternative_steps=st.lists(texts, max_size=3),
    retry_config=st.none() | st.builds(RetryConfig, max_attempts=st.integers(0, 9), jitter=st.floats(0, 1)),
    manual_instructions=st.none() | texts,
    timeout=st.none() | st.floats(0, 1e6),
    default_output=st.none() | st.integers(),
    description=texts,
)


@given(plans)
def test_a_plan_is_plain_data_and_comes_back(plan: RecoveryPlan) -> None:
    data = json.loads(json.dumps(plan.to_dict()))
    assert "default_output" not in data
    assert RecoveryPlan.from_dict(data, default_output=plan.default_output) == plan


def test_a_plan_has_the_defaults_of_its_words() -> None:
    plan = RecoveryPlan(S.SKIP)
    assert plan == RecoveryPlan("skip", None, [], None, None, None, None, "")  # type: ignore[arg-type]
    assert [strategy for strategy in S if not RecoveryPlan(strategy).is_automated()] == [S.MANUAL_INTERVENTION]
    assert [str(strategy) for strategy in S] == [strategy.name.lower() for strategy in S]
    assert RecoveryPlan(S.RETRY, timeout=timedelta(minutes=2)).timeout == 120


def test_a_plan_keeps_a_list_of_its_own() -> None:
    steps = ["a"]
    plan = RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=steps)
    steps.append("b")
    assert plan.alternative_steps == ["a"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "pray"},
        {"strategy": "skip", "alternative_steps": "abc"},
        {"strategy": "skip", "alternative_steps": None},
        {"strategy": "skip", "alternative_steps": [3]},
        {"strategy": "skip", "timeout": -1},
        {"strategy": "skip", "timeout": "5"},
        {"strategy": "skip", "timeout": float("nan")},
        {"strategy": "skip", "retry_config": 3},
    ],
    ids=str,
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        RecoveryPlan(**wrong)


def test_data_that_is_no_plan_is_refused() -> None:
    for data in ({}, {"strategy": "skip", "colour": "red"}):
        with pytest.raises(InputError, match="no recovery plan"):
            RecoveryPlan.from_dict(data)


# -- where a plan comes from -------------------------------------------------------------------------------------------


def gives(name: str, asked: list[str], plan: RecoveryPlan | None) -> Callable[[ErrorInfo], RecoveryPlan | None]:
    def handler(error: ErrorInfo) -> RecoveryPlan | None:
        asked.append(name)
        return plan

    return handler


def named(name: str) -> RecoveryPlan:
    return RecoveryPlan(S.SKIP, description=name)


@given(st.sets(st.sampled_from(["category", "global", "own", "step"])))
def test_the_order_in_which_a_plan_is_sought(present: set[str]) -> None:
    asked: list[str] = []
    recovery = manager()
    plans = {name: named(name) for name in present}
    recovery.register_global_error_handler(gives("global", asked, plans.get("global")))
    recovery.register_error_handler(C.TIMEOUT, gives("other", asked, named("other")))
    recovery.register_error_handler("network", gives("silent", asked, None))  # type: ignore[arg-type]
    recovery.register_error_handler(C.NETWORK, gives("category", asked, plans.get("category")))
    if "step" in present:
        recovery.set_recovery_plan("s", plans["step"])
    error = recovery.describe(ConnectionError("x"), "s")
    found = recovery.plan_for(error, own=plans.get("own"))
    order = ["category", "global", "step", "own"]
    expected = next((name for name in order if name in present), "")
    assert (found.description or "") == expected
    assert found.strategy is (S.SKIP if expected else S.RETRY_WITH_BACKOFF)
    assert asked == (["silent", "category"] if expected == "category" else ["silent", "category", "global"])


def test_handlers_are_asked_in_their_order_until_they_are_taken_away() -> None:
    recovery = manager()
    end = recovery.register_error_handler(C.NETWORK, lambda error: named("first"))
    recovery.register_error_handler(C.NETWORK, lambda error: named("second"))
    assert recovery.handle_error(ConnectionError()).description == "first"
    end()
    end()
    assert recovery.handle_error(ConnectionError()).description == "second"


def test_a_step_loses_its_plan_by_none_and_an_item_has_its_loops() -> None:
    recovery = manager()
    recovery.set_recovery_plan("months", named("loop"))
    recovery.set_recovery_plan("months[2]", named("item"))
    assert recovery.handle_error(ValueError(), "months[1]").description == "loop"
    assert recovery.handle_error(ValueError(), "months[2]").description == "item"
    recovery.set_recovery_plan("months", None)
    assert recovery.handle_error(ValueError(), "months[1]").strategy is S.FAIL_FAST


async def coroutine(error: ErrorInfo) -> RecoveryPlan:
    return named("never")


def test_a_handler_that_raises_or_gives_no_plan_is_logged_counted_and_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recovery = manager()
    recovery.register_error_handler(C.NETWORK, lambda error: 1 / 0)  # type: ignore[arg-type,return-value]
    recovery.register_error_handler(C.NETWORK, lambda error: "skip")  # type: ignore[arg-type,return-value]
    recovery.register_error_handler(C.NETWORK, coroutine)  # type: ignore[arg-type]
    recovery.register_error_handler(C.NETWORK, lambda error: named("good"))
    with caplog.at_level(logging.ERROR):
        assert recovery.handle_error(ConnectionError()).description == "good"
    assert recovery.get_recovery_status()["handler_faults"] == 3
    assert caplog.text.count("recovery_handler") == 3


def raised(severity: ErrorSeverity, category: ErrorCategory, recovery: RecoveryManager) -> RecoveryPlan:
    kind = type("Own", (Exception,), {"__module__": "own"})
    recovery.classifier.add(kind, category, severity)
    return recovery.handle_error(kind("x"), "s")


@pytest.mark.parametrize("category", C)
@pytest.mark.parametrize("severity", V)
@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_default_is_by_severity(severity: ErrorSeverity, category: ErrorCategory, checkpoint: bool) -> None:
    context = Context()
    context.checkpoints = context.checkpoints if checkpoint else []
    retried = category in RetryConfig().retry_on_categories
    expected = {
        V.LOW: S.RETRY if retried else S.FAIL_FAST,
        V.MEDIUM: S.RETRY_WITH_BACKOFF if retried else S.FAIL_FAST,
        V.HIGH: S.ROLLBACK if checkpoint else S.FAIL_FAST,
        V.CRITICAL: S.FAIL_FAST,
    }
    assert raised(severity, category, manager(context)).strategy is expected[severity]


def test_a_given_default_takes_the_place_of_the_one_by_severity_and_retries_what_it_covers() -> None:
    recovery = manager()
    policy = RecoveryPlan(S.RETRY, retry_config=RetryConfig(retry_on_categories=frozenset({C.VALIDATION})))
    assert recovery.plan_for(recovery.describe(ValueError()), policy) is policy
    assert recovery.plan_for(recovery.describe(ConnectionError()), policy).strategy is S.FAIL_FAST
    always = RecoveryPlan(S.RETRY, retry_config=RetryConfig(retry_condition=lambda error: True))
    assert recovery.plan_for(recovery.describe(MemoryError()), always) is always
    assert recovery.get_error_history() == []  # asking records nothing


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_program_is_recorded_and_never_recovered_from(end: type[BaseException]) -> None:
    recovery = manager()
    recovery.register_global_error_handler(lambda error: named("never asked"))
    recovery.set_recovery_plan("s", named("never taken"))
    assert recovery.handle_error(end(), "s").strategy is S.FAIL_FAST
    assert recovery.get_error_history(severity=V.CRITICAL)[0].step_id == "s"


def test_the_ready_handlers() -> None:
    def info(category: C, severity: V = V.MEDIUM) -> ErrorInfo:
        return ErrorInfo("1", category, severity, "x")

    network, timeout = network_error_handler(info(C.NETWORK)), timeout_error_handler(info(C.TIMEOUT))
    assert network is not None and timeout is not None
    assert (network.strategy, network.retry.max_attempts) == (S.RETRY_WITH_BACKOFF, 5)
    assert (timeout.strategy, timeout.retry.max_attempts) == (S.RETRY, 3)
    critical = critical_error_handler(info(C.USER, V.CRITICAL))
    assert critical is not None and critical.strategy is S.FAIL_FAST
    assert network_error_handler(info(C.TIMEOUT)) is timeout_error_handler(info(C.NETWORK)) is None
    assert critical_error_handler(info(C.NETWORK, V.HIGH)) is None
    none = {"category_specific": 0, "global": 0}
    assert create_recovery_manager().get_recovery_status()["registered_handlers"] == none


def test_what_cannot_be_registered_is_refused() -> None:
    recovery = manager()
    for register in (
        lambda: recovery.register_error_handler("nothing", network_error_handler),
        lambda: recovery.register_error_handler(C.NETWORK, "no function"),  # type: ignore[arg-type]
        lambda: recovery.register_global_error_handler(None),  # type: ignore[arg-type]
        lambda: recovery.set_recovery_plan("s", S.SKIP),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError):
            register()

"""The policies of a definition, as the engine reads them: `retry`, `on_error`, `effect`, `join`, `on_item_failure`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from orchestrator.failure import ONE_ATTEMPT, RETRIED_BY_DEFAULT, ErrorCategory, ErrorSeverity, RetryConfig
from orchestrator.pipelines.definition import DefaultsDef, ErrorRuleDef, RetryDef, StepDef
from orchestrator.pipelines.error_rules import RETRIES
from orchestrator.pipelines.specs import Effect, ErrorRule

#: Keys of the format that RetryConfig has as well.
_SHARED = ("max_attempts", "initial_delay", "max_delay", "backoff_factor", "exponential_backoff", "jitter")


def retry_of(step: StepDef, defaults: DefaultsDef) -> RetryConfig:
    """The step's own keys over those of the defaults; one attempt where neither says anything."""
    if "retry" not in step and "retry" not in defaults:
        return ONE_ATTEMPT
    keys = cast(RetryDef, {**defaults.get("retry", {}), **step.get("retry", {})})
    categories = frozenset(map(ErrorCategory, keys["on"])) if "on" in keys else RETRIED_BY_DEFAULT
    return RetryConfig(**_shared(keys), retry_on_categories=categories, timeout=keys.get("timeout"))


def _shared(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {key: keys[key] for key in _SHARED if key in keys}


def error_rules_of(step: StepDef, defaults: DefaultsDef) -> tuple[ErrorRule, ...]:
    """The rules of a step, or else those of the defaults, in their order."""
    rules = step["on_error"] if "on_error" in step else defaults.get("on_error", ())
    return tuple([_error_rule(rule) for rule in rules]) if rules else ()


def effect_of(step: StepDef, _defaults: DefaultsDef) -> Effect | None:
    """What is done with the step's effect in doubt; None where it says nothing. With a handler that looks, it looks."""
    if "effect" not in step:
        return None
    verify = step["effect"].get("verify")
    return Effect(step["effect"].get("in_doubt", "verify" if verify else "ask"), verify)


def join_of(step: StepDef, _defaults: DefaultsDef) -> int | None:
    """How many branches must end well; None for all."""
    join = step.get("join", "all")
    return join if isinstance(join, int) else 1 if join == "any" else None


def item_failure_of(step: StepDef, _defaults: DefaultsDef) -> Literal["stop", "collect"] | float:
    """What a failed item does to its loop."""
    return cast('Literal["stop", "collect"] | float', step.get("on_item_failure", "stop"))


def _error_rule(rule: ErrorRuleDef) -> ErrorRule:
    return ErrorRule(
        categories=frozenset(map(ErrorCategory, rule.get("category", ()))),
        severities=frozenset(map(ErrorSeverity, rule.get("severity", ()))),
        exceptions=frozenset(rule.get("exception", ())),
        statuses=frozenset(rule.get("status", ())),
        message=rule.get("message", ""),
        strategy=rule["strategy"],
        retry=_retry_of_rule(rule),
        output=rule.get("output"),
        checkpoint=rule.get("checkpoint"),
        steps=tuple(rule.get("steps", ())),
        instructions=rule.get("instructions", ""),
        timeout=rule.get("timeout"),
    )


def _retry_of_rule(rule: ErrorRuleDef) -> RetryConfig | None:
    """Every category is covered: the rule has chosen the error. `retry` waits the same time each time."""
    if rule["strategy"] not in RETRIES:
        return None
    grows = rule["strategy"] == "retry_with_backoff"
    return RetryConfig(**_shared(rule), exponential_backoff=grows, retry_on_categories=frozenset(ErrorCategory))

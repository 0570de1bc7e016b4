"""The options of a step: what people write, brought into the form that a pipeline's file has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeAlias

from orchestrator.errors import InputError
from orchestrator.execution.flow import Given, Make, planned
from orchestrator.failure import ErrorCategory, RetryConfig
from orchestrator.pipelines.definition import IN_DOUBT, StepDef
from orchestrator.pipelines.durations import seconds
from orchestrator.pipelines.plan import LoopSpec
from orchestrator.pipelines.planned import PlannedStep
from orchestrator.pipelines.wording import did_you_mean

Span: TypeAlias = float | str | timedelta
Retry: TypeAlias = int | RetryConfig | Mapping[str, Any]
EffectPolicy: TypeAlias = Literal["retry", "skip", "ask"] | Mapping[str, Any]
Rules: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
#: A text with `{parameter}` in it, or what makes a key of the arguments.
Key: TypeAlias = str | Callable[..., object]


class OtherStep(Protocol):
    """A step function, as far as the recovery of another runs it."""

    name: str

    @property
    def planned(self) -> PlannedStep:
        """The step as the engine carries it."""
        ...

    def make(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Make:
        """Makes its work with these arguments."""
        ...


def definition_of(
    name: str,
    target: str,
    *,
    retry: Retry | None,
    timeout: Span | None,
    runner: str | None,
    effect: EffectPolicy | None,
    important: bool,
    on_error: Rules | None,
) -> tuple[StepDef, Callable[..., Any] | None, Mapping[str, OtherStep]]:
    """The step as a file would have it, the function that looks whether its effect has happened, and the other steps
    that its recovery runs. Raises InputError, and PipelineFileError where an option is malformed.
    """
    definition: dict[str, Any] = {"id": name, "call": target}
    if timeout is not None:
        definition["timeout"] = _seconds(name, timeout)
    if retry is not None:
        definition["retry"] = _retry(name, retry)
    if runner is not None:
        if runner != "process":
            raise InputError(f"step {name!r}: runner is 'process' or is left out, not {runner!r}")
        definition["runner"] = runner
    verify = None
    if effect is not None:
        definition["effect"], verify = _effect(name, effect)
    if important:
        definition["important"] = True
    others: dict[str, OtherStep] = {}
    if on_error is not None:
        definition["on_error"] = _rules(name, on_error, others)
    return definition, verify, others  # type: ignore[return-value]  # built key by key


def _seconds(name: str, value: Span) -> float:
    try:
        found = seconds(value)
    except ValueError as exc:
        raise InputError(f"step {name!r}: timeout: {exc}") from None
    if found <= 0:
        raise InputError(f"step {name!r}: timeout: a timeout is longer than 0")
    return found


def _retry(name: str, retry: Retry) -> Mapping[str, Any]:
    if isinstance(retry, bool) or not isinstance(retry, int | RetryConfig | Mapping):
        raise InputError(
            f"step {name!r}: retry is the number of attempts, a RetryConfig or a mapping, not {retry!r:.60}"
        )
    if isinstance(retry, int):
        if retry < 1:
            raise InputError(f"step {name!r}: retry counts the attempts in all, the first included; it is at least 1")
        return {"max_attempts": retry, "on": sorted(map(str, ErrorCategory))}
    if isinstance(retry, RetryConfig):
        plain = {
            key: getattr(retry, key)
            for key in ("max_attempts", "initial_delay", "max_delay", "backoff_factor", "exponential_backoff", "jitter")
        }
        limit = {"timeout": retry.timeout} if retry.timeout is not None else {}
        return {**plain, **limit, "on": sorted(map(str, retry.retry_on_categories))}
    from orchestrator.pipelines.policies import Retry as Model

    return Model(**retry).written()  # type: ignore[no-any-return]  # plain data


def _effect(name: str, effect: EffectPolicy) -> tuple[Mapping[str, Any], Callable[..., Any] | None]:
    given: dict[str, Any] = {"in_doubt": effect} if isinstance(effect, str) else dict(effect)
    verify = given.get("verify")
    policy = given.get("in_doubt", "verify" if verify else None)
    if policy not in IN_DOUBT:
        hint = did_you_mean(str(policy), IN_DOUBT) or f"say {', '.join(IN_DOUBT)}"
        raise InputError(f"step {name!r}: effect: there is no policy {policy!r}; {hint}")
    if policy == "verify" and not callable(verify):
        raise InputError(f"step {name!r}: effect: verify needs the function that looks: {{'verify': function}}")
    told = {"in_doubt": policy} | ({"verify": f"{verify.__module__}:{verify.__qualname__}"} if callable(verify) else {})
    return told, getattr(verify, "function", verify) if callable(verify) else None


def _rules(name: str, on_error: Rules, others: dict[str, OtherStep]) -> Sequence[Mapping[str, Any]]:
    from orchestrator.pipelines.policies import OnError

    found = []
    for rule in [on_error] if isinstance(on_error, Mapping) else on_error:
        plain = dict(rule)
        names = []
        for other in plain.get("steps") or ():
            if not hasattr(other, "planned"):
                raise InputError(f"step {name!r}: on_error: steps are functions with @step, not {other!r:.60}")
            others[other.name] = other
            names.append(other.name)
        if names:
            plain["steps"] = names
        for key in ("exception", "category", "severity"):
            if isinstance(plain.get(key), type):
                plain[key] = plain[key].__qualname__
        found.append(OnError(**plain).written())
    return found


def planned_map(
    definition: StepDef, items: Sequence[Any], max_parallel: int | None, on_item_failure: str
) -> PlannedStep:
    """The same step for each of some items."""
    more: dict[str, Any] = {"for_each": "items", "on_item_failure": on_item_failure}
    if max_parallel is not None:
        more["max_parallel"] = max_parallel
    step = planned({**definition, **more})  # type: ignore[typeddict-item]  # built key by key
    step.loop = LoopSpec(Given(items), "item", max_parallel)
    return step

"""The policies of the model: what is done when an attempt fails, by one step or by all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from orchestrator.pipelines import fields
from orchestrator.pipelines.base import Model
from orchestrator.pipelines.error_rules import rule_findings
from orchestrator.pipelines.positions import Finding

if TYPE_CHECKING:
    #: Seconds, or a text such as "90s", "5m", "1h30m", "250ms".
    Span = float | str | timedelta


class Retry(Model):
    """When and how soon a failed attempt is tried again. A key that is not set is taken from the defaults."""

    _what = "retry"
    _kept = frozenset(
        {"max_attempts", "initial_delay", "max_delay", "backoff_factor", "exponential_backoff", "jitter", "on"}
    )

    max_attempts: fields.Count = Field(3, description="Tries in all, the first included.")
    initial_delay: fields.Duration = Field(1.0, description="Before the second try.")
    max_delay: fields.Duration = Field(60.0, description="No wait is longer.")
    backoff_factor: fields.Factor = Field(2.0, description="Each wait is this many times the one before.")
    exponential_backoff: fields.Boolean = Field(True, description="False: every wait is initial_delay.")
    jitter: fields.Share = Field(0.0, description="Share of the wait that chance takes off or adds: 0 to 1.")
    on: fields.Categories = Field(
        ["network", "timeout", "resource"], description="The categories of errors that are tried again."
    )
    timeout: fields.TimeLimit | None = Field(
        None, description="How long tries and waits may take in all, from the first failure on."
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            max_attempts: int = 3,
            initial_delay: Span = 1.0,
            max_delay: Span = 60.0,
            backoff_factor: float = 2.0,
            exponential_backoff: bool = True,
            jitter: float = 0.0,
            on: Sequence[str] = ("network", "timeout", "resource"),
            timeout: Span | None = None,
        ) -> None: ...


class OnError(Model):
    """A rule of `on_error`: which errors it is for (all that is given must hold), and the way out of them."""

    _what = "rule"
    _kept = frozenset({"max_attempts", "initial_delay", "max_delay", "backoff_factor", "jitter"})

    category: fields.ErrorCategories | None = Field(
        None, description="For errors of this category, or of one of these."
    )
    severity: fields.ErrorSeverities | None = Field(None, description="For errors as bad as this, or as one of these.")
    exception: fields.ExceptionNames | None = Field(
        None, description="For exceptions of this type, or of one of these: ValueError, requests.exceptions.Timeout."
    )
    status: fields.Statuses | None = Field(None, description="For errors with this HTTP status, or one of these.")
    message: fields.Phrase | None = Field(None, description="For errors whose message contains this; case is ignored.")
    strategy: fields.Strategy = Field(description="What is done then.")
    max_attempts: fields.Count = Field(3, description="Strategies that retry: tries in all, the first included.")
    initial_delay: fields.Duration = Field(1.0, description="Strategies that retry: before the second try.")
    max_delay: fields.Duration = Field(60.0, description="retry_with_backoff: no wait is longer.")
    backoff_factor: fields.Factor = Field(
        2.0, description="retry_with_backoff: each wait is this many times the one before."
    )
    jitter: fields.Share = Field(
        0.0, description="Strategies that retry: share of the wait that chance takes off or adds, 0 to 1."
    )
    output: fields.Plain = Field(None, description="skip: the output of the step, a plain value without ${…}.")
    checkpoint: fields.Name | None = Field(
        None, description="rollback: the name of a checkpoint; without it, the latest one."
    )
    instructions: fields.Phrase | None = Field(None, description="manual_intervention: what a person is told to do.")
    steps: fields.Identifiers | None = Field(
        None, description="alternative_path: steps that run in its place, in this order; the last one's output counts."
    )
    timeout: fields.TimeLimit | None = Field(
        None, description="How long the recovery may take in all: the tries and waits, or the wait for an answer."
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            strategy: str,
            category: str | Sequence[str] | None = None,
            severity: str | Sequence[str] | None = None,
            exception: str | Sequence[str] | None = None,
            status: int | Sequence[int] | None = None,
            message: str | None = None,
            max_attempts: int = 3,
            initial_delay: Span = 1.0,
            max_delay: Span = 60.0,
            backoff_factor: float = 2.0,
            jitter: float = 0.0,
            output: Any = None,
            checkpoint: str | None = None,
            instructions: str | None = None,
            steps: Sequence[str] | None = None,
            timeout: Span | None = None,
        ) -> None: ...

    def _rules(self) -> Iterable[Finding]:
        return rule_findings(self.canonical(), ())


class Defaults(Model):
    """What holds for every step that does not say otherwise."""

    _what = "defaults"

    timeout: fields.TimeLimit | None = Field(None, description="How long one attempt of a call or run step may take.")
    retry: Retry | None = Field(None, description="When a failed attempt of a call or run step is tried again.")
    on_error: Annotated[list[OnError], Field(min_length=1)] | None = Field(
        None, description="What follows a failed attempt of a call, run or compound step."
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            timeout: Span | None = None,
            retry: Retry | Mapping[str, Any] | None = None,
            on_error: Sequence[OnError | Mapping[str, Any]] | None = None,
        ) -> None: ...

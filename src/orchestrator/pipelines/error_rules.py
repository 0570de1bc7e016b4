"""What holds within `retry`, and within the rules of `on_error`: options stand with the strategy that they belong to.

In a file with faults a key whose value is at fault is there, with None; so a rule that was to match few errors is not
taken for one that matches all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.pipelines.definition import ErrorRuleDef
from orchestrator.pipelines.modifier_rules import templates_in
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.wording import Path, one_of

#: The strategies that try again.
RETRIES = ("retry", "retry_with_backoff")

#: An option -> the strategies that it belongs to.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "max_attempts": RETRIES,
    "initial_delay": RETRIES,
    "max_delay": ("retry_with_backoff",),
    "backoff_factor": ("retry_with_backoff",),
    "jitter": RETRIES,
    "output": ("skip",),
    "checkpoint": ("rollback",),
    "instructions": ("manual_intervention",),
    "steps": ("alternative_path",),
    "timeout": (*RETRIES, "manual_intervention"),
}

#: A strategy that cannot do without an option -> that option.
REQUIRED: Mapping[str, str] = {"manual_intervention": "instructions", "alternative_path": "steps"}

_EXAMPLES = {
    "instructions": 'for example `instructions: "create the table, then answer retry"`',
    "steps": "for example `steps: [mirror]`",
}


def retry_rules(retry: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """The first wait must not be longer than the longest."""
    first, longest = retry.get("initial_delay", 0.0), retry.get("max_delay", 60.0)
    if isinstance(first, float) and isinstance(longest, float) and first > longest:
        message = f"initial_delay ({first:g} s) is longer than max_delay ({longest:g} s)"
        yield Finding((*path, "initial_delay"), message, hint=f"set max_delay to at least {first:g}")


def error_rules(rules: Sequence[ErrorRuleDef], path: Path) -> Iterator[Finding]:
    """What is wrong with the rules of a step, each alone and in their order."""
    for place, rule in enumerate(rules):
        yield from rule_findings(rule, (*path, place))
    everything = next((place for place, rule in enumerate(rules) if _matches_everything(rule)), len(rules))
    if everything < len(rules) - 1:
        message = "no error comes to this rule: the one before it matches every error"
        yield Finding((*path, everything + 1), message, hint="a rule without a condition is the last")


def _matches_everything(rule: ErrorRuleDef) -> bool:
    return "strategy" in rule and rule.keys() <= {"strategy", *OPTIONS}


def rule_findings(rule: ErrorRuleDef, path: Path) -> Iterator[Finding]:
    """What is wrong with one rule."""
    strategy = rule.get("strategy")
    if not strategy:  # reported for itself
        return
    yield from _options(rule, strategy, path)
    if strategy == "retry_with_backoff":
        yield from retry_rules(rule, path)
    if strategy == "skip":
        for place in templates_in(rule.get("output"), (*path, "output")):
            message = "this output is a plain value: a ${…} in it is not filled in"
            yield Finding(place, message, hint="use alternative_path with a step that computes it")


def _options(rule: ErrorRuleDef, strategy: str, path: Path) -> Iterator[Finding]:
    for option, allowed in OPTIONS.items():
        if strategy not in allowed and rule.get(option) is not None:
            message = f"{option!r} belongs to {one_of(allowed)}, the strategy of this rule is {strategy!r}"
            yield Finding((*path, option), message, at_key=True)
    required = REQUIRED.get(strategy)
    if required and required not in rule:
        yield Finding((*path, "strategy"), f"{strategy} needs the key {required!r}", hint=_EXAMPLES[required])
    elif required and rule.get(required) == []:
        yield Finding((*path, required), "there is no step in this list", hint=_EXAMPLES[required])

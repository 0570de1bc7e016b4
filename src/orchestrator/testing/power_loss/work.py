"""What runs while the power goes: a few executions at once, with everything that writes to a store."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, TypeAlias

from orchestrator.pipelines.model import Pipeline
from orchestrator.types import ExecutionId

#: What runs, by execution id.
Work: TypeAlias = Mapping[ExecutionId, Pipeline]
_HANDLERS = "orchestrator.testing.power_loss.handlers:"
_RETRY = {"max_attempts": 3, "initial_delay": 0.0, "on": ["network"]}
#: What is said to a step that asks.
ANSWER = "said"


def make_work(chance: Random) -> Work:
    """A chain, a fan-out with large values, and an execution that is set back and asks a person."""
    models = {"chain": _chain(chance), "fan": _fan(chance), "recovering": _recovering()}
    return {ExecutionId(name): Pipeline.from_canonical(model, None) for name, model in models.items()}


def _call(id_: str, handler: str, arguments: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": id_, "call": _HANDLERS + handler, "with": dict(arguments), **more}


def _chain(chance: Random) -> dict[str, Any]:
    length = chance.randint(4, 12)
    steps = [_call("s0", "add", {"value": 0}, checkpoint="first")]
    for n in range(1, length):
        flaky = chance.random() < 0.2
        steps.append(_call(f"s{n}", "add", {"value": f"${{s{n - 1}}}", "flaky": flaky}, retry=_RETRY))
    return {"pipeline": "chain", "steps": steps, "outputs": {"last": f"${{s{length - 1}}}"}}


def _fan(chance: Random) -> dict[str, Any]:
    loop = {"for_each": list(range(chance.randint(2, 8))), "max_parallel": chance.randint(2, 8)}
    return {
        "pipeline": "fan",
        "steps": [
            _call("parts", "add", {"value": "${item}"}, retry=_RETRY, **loop),
            _call("big", "large", {"value": "${parts[0]}", "size": chance.choice([70_000, 200_000, 1_200_000])}),
            {"id": "kept", "set": {"carried": "${big}"}},
            _call("digest", "digest", {"data": "${carried}"}, needs=["kept"]),
            _call("again", "large", {"value": 7, "size": 66_000}, needs=["digest"]),
        ],
        "outputs": {"parts": "${parts}", "digest": "${digest}", "again": "${again}"},
    }


def _recovering() -> dict[str, Any]:
    return {
        "pipeline": "recovering",
        "steps": [
            _call("one", "add", {"value": 1}, checkpoint="base"),
            _call("two", "add", {"value": "${one}"}),
            _call(
                "back",
                "fail_in_first_generation",
                {"value": "${two}"},
                on_error=[{"strategy": "rollback", "checkpoint": "base"}],
            ),
            _call(
                "asked",
                "fail",
                {},
                needs=["back"],
                on_error=[{"strategy": "manual_intervention", "instructions": "say something"}],
            ),
        ],
        "outputs": {"back": "${back}", "asked": "${asked}"},
    }

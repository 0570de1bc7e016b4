"""What of a definition with faults is still worth checking.

A file with one wrong key should tell about its wrong references as well. So what is at fault is taken out, and the
rest, which is valid, goes through the same checks as a whole definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from orchestrator.pipelines.definition import PipelineDef
from orchestrator.pipelines.linking import Linked
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.rules import PartialStep
from orchestrator.pipelines.wording import Path


@dataclass(frozen=True, slots=True)
class ValidParts:
    """A definition without what is at fault. `keys` are those that each step has in the file, faulty ones included;
    `names` are names that its faulty parts would have."""

    definition: PipelineDef
    keys: list[frozenset[str]]
    names: frozenset[str]


def valid_parts(data: Any, findings: list[Finding], linked: Linked) -> ValidParts | None:
    """What is left of a definition; None where nothing can be said about it."""
    if not isinstance(data, Mapping) or not isinstance(data.get("steps"), list):
        return None
    if not isinstance(data.get("inputs", {}), Mapping):
        return None
    bad = {finding.path[:length] for finding in findings for length in range(1, len(finding.path) + 1)}
    rest = _Rest(bad, linked)
    outputs = data.get("outputs", {})
    definition = {
        "inputs": {name: spec if ("inputs", name) not in bad else {} for name, spec in data.get("inputs", {}).items()},
        "steps": rest.steps(data["steps"], ("steps",)),
        "outputs": {
            name: None if ("outputs", name) in bad else value
            for name, value in (outputs.items() if isinstance(outputs, Mapping) else ())
        },
    }
    for key in ("returns", "concurrency"):
        if (key,) not in bad and data.get(key) is not None:
            definition[key] = data[key]
    if isinstance(data.get("finally"), list):
        definition["finally"] = rest.steps(data["finally"], ("finally",))
    if linked.members:
        definition["pipelines"] = linked.members
    keys = [step.present for step in definition["steps"]]
    return ValidParts(cast(PipelineDef, definition), keys, frozenset(rest.names))


class _Rest:
    """Takes out of steps what is at fault, at every depth; `names` are those that the faulty parts would have."""

    def __init__(self, bad: set[Path], linked: Linked) -> None:
        self.names: set[str] = set()
        self._bad, self._linked = bad, linked

    def steps(self, given: list[Any], path: Path) -> list[PartialStep]:
        return [self._step(step, (*path, index)) for index, step in enumerate(given)]

    def _step(self, given: Any, path: Path) -> PartialStep:
        kept = PartialStep()
        if not isinstance(given, Mapping):
            return kept
        step = {key: value for key, value in given.items() if value is not None}  # null is as good as no key
        kept.present = frozenset(step)
        for key, value in step.items():
            if (sound := self._value(key, value, (*path, key))) is not None:
                kept[key] = sound
        if "pipeline" in kept:
            kept["pipeline"] = self._linked.refs.get(path)
            if kept["pipeline"] is None:
                del kept["pipeline"]
        self.names.update(_names(step, path, self._bad))
        return kept

    def _value(self, key: str, value: Any, path: Path) -> Any:
        """What is left of the value of a key; None where it is not there for the checks."""
        if key in ("steps", "parallel") and isinstance(value, list):
            return self.steps(value, path)
        if key == "switch" and isinstance(value, list):
            return [self._case(case, (*path, index)) for index, case in enumerate(value)]
        if path not in self._bad:
            return value
        if key == "on_error" and isinstance(value, list):
            return [self._rule(rule, (*path, index)) for index, rule in enumerate(value)]
        if key == "form" and isinstance(value, Mapping):
            return {name: self._sound(spec, (*path, name)) for name, spec in value.items()}
        return None

    def _sound(self, value: Any, path: Path) -> dict[str, Any]:
        """What is left of a mapping."""
        if not isinstance(value, Mapping):
            return {}
        return {key: part for key, part in value.items() if (*path, key) not in self._bad}

    def _case(self, case: Any, path: Path) -> dict[str, Any]:
        """A case; one without its condition is not taken for one without any."""
        if not isinstance(case, Mapping):
            return {"when": True, "steps": []}
        steps = self.steps(case["steps"], (*path, "steps")) if isinstance(case.get("steps"), list) else []
        rest = {
            key: case[key] for key in ("when", "output") if case.get(key) is not None and (*path, key) not in self._bad
        }
        return {**({"when": True} if (*path, "when") in self._bad else {}), **rest, "steps": steps}

    def _rule(self, rule: Any, path: Path) -> dict[str, Any]:
        """Of a faulty rule the rest, as `error_rules` takes it."""
        if not isinstance(rule, Mapping):
            return {}
        return {key: None if (*path, key) in self._bad else value for key, value in rule.items()}


def _names(step: Mapping[str, Any], path: Path, bad: set[Path]) -> Iterator[str]:
    """The names that the faulty keys of a step are meant to give."""
    for key in ("id", "as", "set"):
        if (*path, key) in bad:
            given = step.get(key)
            yield from [given] if isinstance(given, str) else given if isinstance(given, Mapping) else ()

"""What pydantic found in a definition, in the words of the format; and what of the definition is still worth checking.

A file with one wrong key should tell about its wrong references as well. So what is at fault is taken out, and the
rest, which is valid, goes through the same checks as a whole definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.pipelines.definition import PipelineDef
from orchestrator.pipelines.positions import MOST_FAULTS, Finding
from orchestrator.pipelines.unfit import Unfit
from orchestrator.pipelines.wording import Path, kind_of, nearest, shorten

_KEYS: dict[str | int, str] = {"with_": "with", "set_": "set", "as_": "as"}
_CONTAINERS = {"list_type": "list", "dict_type": "mapping", "model_type": "mapping", "model_attributes_type": "mapping"}

#: The short forms that people try, and what they stand for.
_EXAMPLES = {
    "inputs": "for example `inputs: {hot: {type: number, default: 25}}`",
    "retry": "for example `retry: {max_attempts: 3}`",
    "defaults": "for example `defaults: {timeout: 60s}`",
    "steps": "each step begins with `- id:`",
    "on_error": "for example `on_error: [{category: network, strategy: skip}]`",
}


def findings_of(error: ValidationError, model: type[BaseModel]) -> list[Finding]:
    """The faults of a validation error, each with the path of what is at fault."""
    found = [finding for detail in error.errors(include_url=False) for finding in _findings(detail, model)]
    lacking = {finding.path for finding in found if finding.lacks}
    suspects = (finding for finding in found if finding.name and finding.path[:-1] in lacking)
    misspelt = {
        (finding.path[:-1], word)
        for finding in islice(suspects, MOST_FAULTS)
        for word in nearest(finding.name, finding.known)
    }
    return [finding for finding in found if (finding.path, finding.lacks) not in misspelt]


def _findings(detail: ErrorDetails, model: type[BaseModel]) -> Iterator[Finding]:
    path: Path = detail["loc"]
    at_key = path[-1:] == ("[key]",)
    if at_key:
        path = path[:-1]
    elif detail["type"] != "extra_forbidden":  # a field of Python by its key in a file
        path = tuple(_KEYS.get(part, part) for part in path)
    unfit = detail.get("ctx", {}).get("error")
    match detail["type"]:
        case "value_error" if isinstance(unfit, Unfit):
            for fault in unfit.faults:
                where = (*path, *fault.place)
                yield Finding(
                    where, str(fault), at_key or fault.at_key, name=fault.name, known=fault.known, hint=fault.hint
                )
        case "extra_forbidden":
            key = shorten(str(path[-1]))
            yield Finding(path, f"unknown key {key!r}", at_key=True, name=key, known=keys_at(model, path[:-1]))
        case "missing":
            key = str(path[-1])
            yield Finding(path[:-1], f"{_owner(path[:-1], model)} needs the key {key!r}", lacks=key)
        case "too_short":
            what = "on_error needs at least one rule" if "on_error" in path else "a pipeline needs at least one step"
            yield Finding(path, what)
        case type_ if container := _CONTAINERS.get(type_):
            yield Finding(path, f"expected a {container}, got {kind_of(detail['input'])}", hint=_example(path))
        case _:
            yield Finding(path, detail["msg"])


def _example(path: Path) -> str:
    words = [part for part in path if isinstance(part, str)]
    return next((_EXAMPLES[word] for word in (*words[-1:], *words[:1]) if word in _EXAMPLES), "")


def _owner(path: Path, model: type[BaseModel]) -> str:
    if not path:
        return f"a {getattr(model, '_what', 'pipeline')}"
    return "a rule" if "on_error" in path else "a step"


def keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the mapping at `path` may have."""
    parts = iter(path)
    for part in parts:
        inner, nested = next(
            (_model_in(info.annotation) for name, info in model.model_fields.items() if name.rstrip("_") == part),
            (None, False),
        )
        if inner is None:
            return []
        model = inner
        if nested:
            next(parts, None)
    return [info.serialization_alias or name for name, info in model.model_fields.items()]


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model in an annotation, and whether it stands inside a list or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        inner, nested = _model_in(argument)
        if inner is not None:
            return inner, nested or get_origin(annotation) in (list, dict)
    return None, False


@dataclass(frozen=True, slots=True)
class ValidParts:
    """A definition without what is at fault. `keys` are those that each step has in the file, faulty ones included;
    `names` are names that its faulty parts would have."""

    definition: PipelineDef
    keys: list[frozenset[str]]
    names: frozenset[str]


def valid_parts(data: Any, findings: list[Finding]) -> ValidParts | None:
    """What is left of a definition; None where nothing can be said about it."""
    if not isinstance(data, Mapping) or not isinstance(data.get("steps"), list):
        return None
    if not isinstance(data.get("inputs", {}), Mapping):
        return None
    raw = [_without_null(step) if isinstance(step, Mapping) else {} for step in data["steps"]]
    bad = {finding.path[:length] for finding in findings for length in range(1, len(finding.path) + 1)}
    steps = [_sound(step, ("steps", index), bad) for index, step in enumerate(raw)]
    outputs = data.get("outputs", {})
    rest = {
        "inputs": {name: spec if ("inputs", name) not in bad else {} for name, spec in data.get("inputs", {}).items()},
        "steps": steps,
        "outputs": {
            name: value
            for name, value in (outputs.items() if isinstance(outputs, Mapping) else ())
            if ("outputs", name) not in bad
        },
    }
    names = frozenset(name for index, step in enumerate(raw) for name in _names(step, ("steps", index), bad))
    return ValidParts(cast(PipelineDef, rest), [frozenset(step) for step in raw], names)


def _sound(step: Mapping[str, Any], path: Path, bad: set[Path]) -> dict[str, Any]:
    """A step without the keys that are at fault; of faulty rules the rest, as `error_rules` takes it."""
    kept = {key: value for key, value in step.items() if (*path, key) not in bad}
    rules = step.get("on_error")
    if (*path, "on_error") in bad and isinstance(rules, list):
        kept["on_error"] = [_sound_rule(rule, (*path, "on_error", place), bad) for place, rule in enumerate(rules)]
    return kept


def _sound_rule(rule: Any, path: Path, bad: set[Path]) -> dict[str, Any]:
    if not isinstance(rule, Mapping):
        return {}
    return {key: None if (*path, key) in bad else value for key, value in rule.items()}


def _without_null(step: Mapping[str, Any]) -> dict[str, Any]:
    """A key with nothing behind it is as good as none."""
    return {key: value for key, value in step.items() if value is not None}


def _names(step: Mapping[str, Any], path: Path, bad: set[Path]) -> Iterator[str]:
    """The names that the faulty keys of a step are meant to give."""
    for key in ("id", "as", "set"):
        if (*path, key) in bad:
            given = step.get(key)
            yield from [given] if isinstance(given, str) else given if isinstance(given, Mapping) else ()

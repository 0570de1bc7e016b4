"""What pydantic found in a definition, in the words of the format."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.pipelines.positions import MOST_FAULTS, Finding
from orchestrator.pipelines.unfit import Unfit
from orchestrator.pipelines.wording import Path, kind_of, nearest, shorten

_KEYS: dict[str | int, str] = {f"{word}_": word for word in ("with", "set", "as", "while", "return", "finally")}
_CONTAINERS = {"list_type": "list", "dict_type": "mapping", "model_type": "mapping", "model_attributes_type": "mapping"}

#: A list that cannot be empty -> what to say.
_LEAST = {
    "on_error": "on_error needs at least one rule",
    "switch": "a switch needs at least one case",
    "parallel": "a parallel step needs at least one branch",
    "finally": "finally needs at least one step",
}

#: The short forms that people try, and what they stand for.
_EXAMPLES = {
    "inputs": "for example `inputs: {hot: {type: number, default: 25}}`",
    "retry": "for example `retry: {max_attempts: 3}`",
    "defaults": "for example `defaults: {timeout: 60s}`",
    "steps": "each step begins with `- id:`",
    "finally": "each step begins with `- id:`",
    "parallel": "each branch is a step, which begins with `- id:`",
    "switch": "each case begins with `- when:`, and has `steps`",
    "form": "for example `form: {amount: {type: number, default: 5}}`",
    "effect": "for example `effect: {in_doubt: ask}`",
    "concurrency": 'for example `concurrency: {key: "${customer}"}`',
    "pipelines": "for example `pipelines: {child: child.yaml}`",
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
            owner = _owner(path[:-1], model).replace("a step", "a block")
            yield Finding(path, _LEAST.get(str(path[-1])) or f"{owner} needs at least one step")
        case type_ if container := _CONTAINERS.get(type_):
            yield Finding(path, f"expected a {container}, got {kind_of(detail['input'])}", hint=_example(path))
        case _:
            yield Finding(path, detail["msg"])


def _example(path: Path) -> str:
    words = [part for part in path if isinstance(part, str)]
    return next((_EXAMPLES[word] for word in (*words[-1:], *words[:1]) if word in _EXAMPLES), "")


def _owner(path: Path, model: type[BaseModel]) -> str:
    """What the mapping at `path` is: `a step`, `an effect`."""
    owner = _model_at(model, path)
    what = getattr(owner, "_what", "pipeline") if owner is not None else "step"
    return what if path[-1:] == (what,) else f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the mapping at `path` may have."""
    there = _model_at(model, path)
    return [info.serialization_alias or name for name, info in there.model_fields.items()] if there else []


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model of the mapping at `path`."""
    parts = iter(path)
    for part in parts:
        inner, nested = next(
            (_model_in(info.annotation) for name, info in model.model_fields.items() if name.rstrip("_") == part),
            (None, False),
        )
        if inner is None:
            return None
        model = inner
        if nested:
            next(parts, None)
    return model


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model in an annotation, and whether it stands inside a list or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        inner, nested = _model_in(argument)
        if inner is not None:
            return inner, nested or get_origin(annotation) in (list, dict)
    return None, False

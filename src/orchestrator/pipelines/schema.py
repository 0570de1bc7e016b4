"""The JSON Schema of the pipeline format, for editors.

Made from the model, so that it cannot say anything else. Editors read draft 7 and below: newer keywords that pydantic
emits are put into their older form. A schema cannot say everything that the checks know; what it accepts may still have
faults, what it refuses always has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.pipelines.definition import KINDS, STRATEGIES
from orchestrator.pipelines.error_rules import OPTIONS, REQUIRED
from orchestrator.pipelines.model import Pipeline

#: Under these keywords stand names, not keywords.
_NAMED = frozenset({"properties", "patternProperties"})

DIALECT = "http://json-schema.org/draft-07/schema#"


def json_schema() -> dict[str, Any]:
    """A JSON Schema (draft 7) with a description of every key."""
    raw = Pipeline.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions = {name: _older(schema) for name, schema in raw.pop("$defs").items()}
    raw["properties"]["inputs"]["additionalProperties"] = False
    member = {"anyOf": [raw["properties"]["pipelines"]["additionalProperties"], {"$ref": "#/definitions/Pipeline"}]}
    raw["properties"]["pipelines"]["additionalProperties"] = member
    root = {"$schema": DIALECT, **_older(raw), "title": "Orchestrator pipeline"}
    inner = {key: part for key, part in root.items() if key not in ("$schema", "title")}
    definitions["Pipeline"] = {**inner, "required": [key for key in raw["required"] if key != "pipeline"]}
    definitions["Step"]["properties"]["form"]["additionalProperties"] = False
    step = definitions["Step"]
    step["oneOf"] = [{"required": [kind]} for kind in KINDS]
    rule = definitions["OnError"]
    rule["dependencies"] = {option: _strategy_in(allowed) for option, allowed in OPTIONS.items()}
    free = [strategy for strategy in STRATEGIES if strategy not in REQUIRED]
    rule["anyOf"] = [_strategy_in(free), *({"required": [option]} for option in REQUIRED.values())]
    step["dependencies"] = {
        "as": {"anyOf": [{"required": ["for_each"]}, {"required": ["while"]}]},
        "max_parallel": ["for_each"],
        "on_item_failure": ["for_each"],
        "max_iterations": ["while"],
        "with": {"anyOf": [{"required": ["call"]}, {"required": ["pipeline"]}]},
        "env": ["run"],
        "join": ["parallel"],
        "form": ["approve"],
        "who": ["approve"],
        "choices": ["approve"],
        "default": ["deadline"],
    }
    return {**root, "definitions": definitions}


def _strategy_in(strategies: Sequence[str]) -> dict[str, Any]:
    return {"properties": {"strategy": {"enum": list(strategies)}}}


def _older(schema: Any) -> Any:
    """A schema without null alternatives and titles, and with nothing beside a `$ref`, which draft 7 would overlook."""
    if isinstance(schema, list):
        return [_older(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        key: {name: _older(inner) for name, inner in part.items()} if key in _NAMED else _older(part)
        for key, part in schema.items()
        if key != "title"
    }
    if plain.get("default", ...) is None or isinstance(plain.get("default"), dict):
        del plain["default"]
    plain = _without_null(plain)
    if "$ref" in plain and len(plain) > 1:
        return {"allOf": [{"$ref": plain.pop("$ref")}], **plain}
    return plain


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf", [])
    if {"type": "null"} not in choices:
        return schema
    kept = [choice for choice in choices if choice != {"type": "null"}]
    rest = {key: part for key, part in schema.items() if key != "anyOf"}
    return {**rest, **kept[0]} if len(kept) == 1 else {**rest, "anyOf": kept}

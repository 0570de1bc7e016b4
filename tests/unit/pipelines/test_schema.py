"""The JSON Schema: what editors are told must be draft 7, complete, and no stricter than the format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orchestrator.pipelines.definition import (
    KINDS,
    STRATEGIES,
    CaseDef,
    ConcurrencyDef,
    DefaultsDef,
    EffectDef,
    ErrorRuleDef,
    FieldDef,
    InputDef,
    PipelineDef,
    RetryDef,
    StepDef,
)
from orchestrator.pipelines.error_rules import OPTIONS, REQUIRED
from orchestrator.pipelines.model import (
    Case,
    Concurrency,
    Defaults,
    Effect,
    FormField,
    InputSpec,
    OnError,
    Pipeline,
    Retry,
    Step,
)
from orchestrator.pipelines.schema import json_schema

DRAFT_7 = {
    "$schema", "$ref", "title", "description", "default", "type", "enum", "pattern", "minLength", "minimum", "maximum",
    "items", "minItems", "properties", "patternProperties", "additionalProperties", "propertyNames", "minProperties",
    "required", "dependencies", "definitions", "anyOf", "allOf", "oneOf",
}  # fmt: skip


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside of a schema."""
    yield schema
    for keyword, part in schema.items():
        if keyword in ("properties", "patternProperties", "definitions"):
            for inner in part.values():
                yield from schemas(inner)
        elif keyword in ("anyOf", "allOf", "oneOf"):
            for inner in part:
                yield from schemas(inner)
        elif keyword in ("items", "additionalProperties", "propertyNames") and isinstance(part, dict):
            yield from schemas(part)


def test_it_uses_draft_7_only() -> None:
    used = {keyword for schema in schemas(json_schema()) for keyword in schema}
    assert used <= DRAFT_7
    json.dumps(json_schema())


def test_nothing_stands_beside_a_reference() -> None:
    references = [schema for schema in schemas(json_schema()) if "$ref" in schema]
    assert len(references) >= 5
    assert all(set(schema) == {"$ref"} for schema in references)
    definitions = json_schema()["definitions"]
    assert all(schema["$ref"].removeprefix("#/definitions/") in definitions for schema in references)


FORMS: dict[type[Any], type[Any]] = {
    Pipeline: PipelineDef,
    Step: StepDef,
    Case: CaseDef,
    InputSpec: InputDef,
    FormField: FieldDef,
    Retry: RetryDef,
    Defaults: DefaultsDef,
    OnError: ErrorRuleDef,
    Effect: EffectDef,
    Concurrency: ConcurrencyDef,
}


def test_every_key_of_the_model_is_there_and_described() -> None:
    schema = json_schema()
    for model, form in FORMS.items():
        properties = schema["properties"] if model is Pipeline else schema["definitions"][model.__name__]["properties"]
        keys = {info.serialization_alias or name for name, info in model.model_fields.items()}
        assert set(properties) == keys
        assert all(part.get("description") for part in properties.values())
        assert keys == set(form.__annotations__) - ({"folder"} if model is Pipeline else set())


def test_steps_hold_steps_and_pipelines_hold_pipelines() -> None:
    schema = json_schema()
    step, case, member = (schema["definitions"][name] for name in ("Step", "Case", "Pipeline"))
    for inner in (step["properties"]["steps"], step["properties"]["parallel"], case["properties"]["steps"]):
        assert inner["items"] == {"$ref": "#/definitions/Step"}
    assert step["properties"]["switch"]["items"] == {"$ref": "#/definitions/Case"}
    assert {"$ref": "#/definitions/Pipeline"} in member["properties"]["pipelines"]["additionalProperties"]["anyOf"]
    assert member["properties"] == schema["properties"]
    assert (schema["required"], member["required"]) == (["pipeline", "steps"], ["steps"])


def test_null_is_not_offered() -> None:
    assert not any(
        schema.get("type") == "null" or schema.get("default", 0) is None for schema in schemas(json_schema())
    )


def test_a_step_is_of_one_kind() -> None:
    step = json_schema()["definitions"]["Step"]
    assert step["oneOf"] == [{"required": [kind]} for kind in KINDS]
    assert step["dependencies"]["as"] == {"anyOf": [{"required": ["for_each"]}, {"required": ["while"]}]}
    assert step["dependencies"]["max_parallel"] == ["for_each"]


def holds(schema: dict[str, Any], rule: dict[str, Any]) -> bool:
    """Whether a rule fulfils the part of a schema that relates its keys: enough of draft 7 for `OnError`."""
    return (
        all(key in rule for key in schema.get("required", ()))
        and all(rule[key] in part["enum"] for key, part in schema.get("properties", {}).items() if "enum" in part)
        and all(holds(part, rule) for key, part in schema.get("dependencies", {}).items() if key in rule)
        and ("anyOf" not in schema or any(holds(part, rule) for part in schema["anyOf"]))
    )


def test_an_option_stands_with_its_strategy() -> None:
    schema = json_schema()["definitions"]["OnError"]
    assert schema["properties"]["strategy"]["enum"] == list(STRATEGIES)
    assert schema["required"] == ["strategy"]
    for strategy in STRATEGIES:
        needed = {REQUIRED[strategy]: 0} if strategy in REQUIRED else {}
        assert holds(schema, {"strategy": strategy, **needed})
        assert holds(schema, {"strategy": strategy}) == (not needed)
        for option, allowed in OPTIONS.items():
            assert holds(schema, {"strategy": strategy, option: 0, **needed}) == (strategy in allowed)

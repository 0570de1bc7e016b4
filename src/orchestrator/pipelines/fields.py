"""The types of the model's fields: what each accepts (`accept`), and what editors are told about it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

from orchestrator.pipelines import accept, containers, durations
from orchestrator.pipelines.definition import STRATEGIES
from orchestrator.pipelines.input_types import TYPES

_DURATION = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": durations.PATTERN}]}
_VALUES = {"type": "object"}
#: For an editor `\w` is ASCII; a name may have other letters too.
_WORD = r"[\w\u0080-\uffff]"
_IDENTIFIER = {"type": "string", "pattern": f"^[A-Za-z_]{_WORD}*$"}
#: HTTP statuses.
_STATUS = {"type": "integer", "minimum": 100, "maximum": 599}
_TARGET = {"type": "string", "pattern": rf"^[A-Za-z_]({_WORD}|\.)*:[A-Za-z_]({_WORD}|\.)*$"}


def _one_or_more(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


Text = Annotated[str, PlainValidator(accept.text), WithJsonSchema({"type": "string"})]
Name = Annotated[str, PlainValidator(accept.name), WithJsonSchema({"type": "string", "minLength": 1})]
Identifier = Annotated[str, PlainValidator(accept.identifier), WithJsonSchema(_IDENTIFIER)]
Type = Annotated[str, PlainValidator(accept.word(TYPES, "type")), WithJsonSchema({"enum": list(TYPES)})]
Target = Annotated[str, PlainValidator(accept.target), WithJsonSchema(_TARGET)]
Boolean = Annotated[bool, PlainValidator(accept.boolean), WithJsonSchema({"type": "boolean"})]
Count = Annotated[int, PlainValidator(accept.whole(1, 1_000_000)), WithJsonSchema({"type": "integer", "minimum": 1})]
Factor = Annotated[float, PlainValidator(accept.number(1, 1000)), WithJsonSchema({"type": "number", "minimum": 1})]
Share = Annotated[
    float, PlainValidator(accept.number(0, 1)), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]
Duration = Annotated[float, PlainValidator(accept.duration), WithJsonSchema(_DURATION)]
TimeLimit = Annotated[float, PlainValidator(accept.time_limit), WithJsonSchema(_DURATION)]
Plain = Annotated[Any, PlainValidator(containers.plain), WithJsonSchema({})]
Arguments = Annotated[
    dict[str, Any],
    PlainValidator(containers.mapping_of(accept.text, containers.plain, "arguments", "{path: data.csv}")),
    WithJsonSchema(_VALUES),
]
Variables = Annotated[
    dict[str, Any],
    PlainValidator(containers.mapping_of(accept.identifier, containers.plain, "variables", "{limit: 25}")),
    WithJsonSchema({"type": "object", "propertyNames": {"pattern": _IDENTIFIER["pattern"]}, "minProperties": 1}),
]
Outputs = Annotated[
    dict[str, Any],
    PlainValidator(
        containers.mapping_of(accept.identifier, containers.plain, "names and values", "{summary: ${months}}")
    ),
    WithJsonSchema({"type": "object", "propertyNames": {"pattern": _IDENTIFIER["pattern"]}}),
]
Condition = Annotated[Any, PlainValidator(containers.plain), WithJsonSchema({"type": ["string", "boolean"]})]
Items = Annotated[Any, PlainValidator(containers.plain), WithJsonSchema({"type": ["string", "array", "object"]})]
Command = Annotated[
    str | list[str],
    PlainValidator(containers.command),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1},
            ]
        }
    ),
]
Environment = Annotated[
    dict[str, str],
    PlainValidator(containers.mapping_of(accept.environment_name, accept.environment_value, "variables", "{LANG: C}")),
    WithJsonSchema(_VALUES | {"additionalProperties": {"type": ["string", "number", "boolean"]}}),
]
Identifiers = Annotated[
    list[str],
    PlainValidator(containers.list_of(accept.identifier, "step ids", "[load]")),
    WithJsonSchema({"type": "array", "items": _IDENTIFIER}),
]
Categories = Annotated[
    list[str],
    PlainValidator(containers.list_of(accept.word(accept.CATEGORIES, "category"), "categories", "[network, timeout]")),
    WithJsonSchema({"type": "array", "items": {"enum": list(accept.CATEGORIES)}}),
]
Strategy = Annotated[
    str, PlainValidator(accept.word(STRATEGIES, "strategy")), WithJsonSchema({"enum": list(STRATEGIES)})
]
Phrase = Annotated[str, PlainValidator(accept.phrase), WithJsonSchema({"type": "string", "minLength": 1})]
ErrorCategories = Annotated[
    list[str],
    PlainValidator(
        containers.one_or_more(accept.word(accept.CATEGORIES, "category"), "categories", "[network, timeout]")
    ),
    WithJsonSchema(_one_or_more({"enum": list(accept.CATEGORIES)})),
]
ErrorSeverities = Annotated[
    list[str],
    PlainValidator(containers.one_or_more(accept.word(accept.SEVERITIES, "severity"), "severities", "[low, medium]")),
    WithJsonSchema(_one_or_more({"enum": list(accept.SEVERITIES)})),
]
ExceptionNames = Annotated[
    list[str],
    PlainValidator(containers.one_or_more(accept.exception, "names of exceptions", "[ValueError, KeyError]")),
    WithJsonSchema(_one_or_more({"type": "string", "pattern": rf"^[A-Za-z_]{_WORD}*(\.[A-Za-z_]{_WORD}*)*$"})),
]
Statuses = Annotated[
    list[int],
    PlainValidator(containers.one_or_more(accept.whole(100, 599), "HTTP statuses", "[502, 503]")),
    WithJsonSchema(_one_or_more(_STATUS)),
]
ResultFields = Annotated[
    list[str] | dict[str, str],
    PlainValidator(containers.result_fields),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": _IDENTIFIER},
                {"type": "object", "additionalProperties": {"enum": list(TYPES)}},
            ]
        }
    ),
]
Parse = Annotated[
    Literal["text", "json"],
    PlainValidator(accept.word(("text", "json"), "parse")),
    WithJsonSchema({"enum": ["text", "json"]}),
]
Runner = Annotated[
    Literal["process"], PlainValidator(accept.word(("process",), "runner")), WithJsonSchema({"enum": ["process"]})
]

"""The types of the model's fields: what each accepts (`accept`), and what editors are told about it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

from orchestrator.pipelines import accept, containers, durations, moments
from orchestrator.pipelines.definition import IN_DOUBT, STRATEGIES, WHEN_BUSY
from orchestrator.pipelines.input_types import FIELD_TYPES, TYPES

_DURATION = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": durations.PATTERN}]}
_VALUES = {"type": "object"}
_WORDING = {"type": "string", "minLength": 1}
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
Wording = Annotated[str, PlainValidator(accept.wording), WithJsonSchema(_WORDING)]
Wait = Annotated[
    float | str,
    PlainValidator(accept.wait),
    WithJsonSchema(
        {
            "anyOf": [
                *_DURATION["anyOf"],
                {"type": "string", "pattern": moments.PATTERN},
                {"type": "string", "pattern": r"\$\{"},
            ]
        }
    ),
]
Join = Annotated[
    int | str,
    PlainValidator(accept.join),
    WithJsonSchema({"anyOf": [{"enum": list(accept.JOINS)}, {"type": "integer", "minimum": 1}]}),
]
ItemFailure = Annotated[
    str | float,
    PlainValidator(accept.item_failure),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(accept.ITEM_FAILURES)},
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^\d{1,3}(\.\d{1,9})?\s*%$"},
            ]
        }
    ),
]
People = Annotated[
    list[str],
    PlainValidator(containers.one_or_more(accept.wording, "names", "[ann, bob]")),
    WithJsonSchema(_one_or_more(_WORDING)),
]
Choices = Annotated[
    list[str],
    PlainValidator(containers.choices),
    WithJsonSchema({"type": "array", "items": _WORDING, "minItems": 1}),
]
FieldType = Annotated[
    str, PlainValidator(accept.word(FIELD_TYPES, "type")), WithJsonSchema({"enum": list(FIELD_TYPES)})
]
FieldChoices = Annotated[list[Any], PlainValidator(containers.values), WithJsonSchema({"type": "array", "minItems": 1})]
InDoubt = Annotated[str, PlainValidator(accept.word(IN_DOUBT, "in_doubt")), WithJsonSchema({"enum": list(IN_DOUBT)})]
WhenBusy = Annotated[
    str, PlainValidator(accept.word(WHEN_BUSY, "when_busy")), WithJsonSchema({"enum": list(WHEN_BUSY)})
]
OutputTypes = Annotated[
    dict[str, str],
    PlainValidator(
        containers.mapping_of(
            accept.identifier, accept.word(TYPES, "type"), "outputs and types", "{summary: list, mean: number}"
        )
    ),
    WithJsonSchema({"type": "object", "additionalProperties": {"enum": list(TYPES)}}),
]
PipelineName = Annotated[str, PlainValidator(accept.pipeline_name), WithJsonSchema(_WORDING)]
#: What an editor is told of the path of a pipeline's file.
PIPELINE_FILE = {"type": "string", "pattern": r"\.[yY][aA]?[mM][lL]$"}

"""Values typed on the command line: `name=value` pairs and JSON, read by the type that is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click


def pairs(texts: Sequence[str], option: str) -> Mapping[str, str]:
    """The texts of an option that may be repeated, each NAME=VALUE."""
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        found[name.strip()] = value
    return found


def json_value(text: str, option: str) -> Any:
    """The value that a JSON text stands for."""
    from orchestrator.cli.words import shorten

    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        wrong = f"{shorten(text, 200)!r} is no JSON ({exc}); a text is written '\"text\"'"
        raise click.BadParameter(wrong, param_hint=option) from None


def typed(name: str, text: str, type_word: str) -> Any:
    """The value that a text stands for where a value of this type is asked for: a text as it is, the rest as YAML."""
    from orchestrator.errors import InputError, PipelineFileError
    from orchestrator.pipelines.yaml_source import parse_yaml

    if type_word in ("string", "path"):
        return text
    try:
        value, _ = parse_yaml(text, name)
    except PipelineFileError as error:
        raise InputError(f"{name} cannot be read as YAML: {error.faults[0].message}") from None
    return value


def typed_fields(texts: Mapping[str, str], form: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Fields of a form by their types; those that it does not have are left for the engine to refuse."""
    return {
        name: typed(f"field {name!r}", text, str(form.get(name, {}).get("type", "any"))) for name, text in texts.items()
    }

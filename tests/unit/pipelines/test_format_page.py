"""The page of the format says what the code does: every key, type and default; every example loads."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestrator.pipelines.definition import KINDS, STRATEGIES, steps_of
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
from orchestrator.pipelines.plan import make_plan
from orchestrator.pipelines.schema import json_schema
from orchestrator.pipelines.templates import compile_value
from orchestrator.pipelines.yaml_source import parse_yaml

PAGE = Path(__file__).parents[3].joinpath("docs/reference/pipeline-format.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| .*\|$")

#: The models, in the order of the tables.
MODELS = [Pipeline, InputSpec, Step, Case, FormField, Concurrency, Defaults, Retry, OnError, Effect]


def tables() -> list[dict[str, tuple[str, str]]]:
    """Each table: key -> (type, default)."""
    found: list[dict[str, tuple[str, str]]] = []
    for before, line in pairwise(PAGE.split("\n")):
        if before.startswith("|---"):
            found.append({})
        if match := ROW.match(line):
            found[-1][match[1]] = (match[2], match[3])
    return [table for table in found if table]


def default_of(model: type[Any], key: str) -> str:
    """A default as the page writes it."""
    schema = json_schema()
    shown = schema if model is Pipeline else schema["definitions"][model.__name__]
    if key in shown.get("required", []) or (model in (InputSpec, FormField) and key == "default"):
        return "required"
    default = shown["properties"][key].get("default")
    if isinstance(default, list):
        return f"[{', '.join(default)}]"
    return "none" if default in (None, "") else default if isinstance(default, str) else json.dumps(default)


@pytest.mark.parametrize(
    ("model", "table"), list(zip(MODELS, tables(), strict=True)), ids=lambda part: getattr(part, "__name__", "")
)
def test_every_key_and_default_is_on_the_page(model: type[Any], table: dict[str, tuple[str, str]]) -> None:
    keys = {info.serialization_alias or name for name, info in model.model_fields.items()}
    assert {key: default for key, (_, default) in table.items()} == {key: default_of(model, key) for key in keys}


def words(schema: Any) -> list[str]:
    """The words that a value may be, or the items of a list may be, where there are such words."""
    return [*schema.get("enum", ()), *(word for choice in schema.get("anyOf", ()) for word in words(choice))]


def test_the_words_of_a_key_are_on_the_page() -> None:
    for model, table in zip(MODELS, tables(), strict=True):
        schema = json_schema()
        properties = schema["properties"] if model is Pipeline else schema["definitions"][model.__name__]["properties"]
        for key, (type_, _) in table.items():
            for word in words(properties[key]):
                assert f"`{word}`" in (PAGE if key == "category" else type_)
    for category in json_schema()["definitions"]["Retry"]["properties"]["on"]["items"]["enum"]:
        assert f"`{category}`" in PAGE
    for strategy in STRATEGIES:
        assert f"**{strategy}**" in PAGE


def test_every_kind_has_a_heading_and_an_example() -> None:
    used = {kind for text in EXAMPLES for _, step in steps_of(parse_yaml(text)[0]) for kind in KINDS if kind in step}
    assert used == set(KINDS)
    headings = " ".join(line for line in PAGE.split("\n") if line.startswith("### "))
    assert all(re.search(rf"\b{kind}\b", headings) for kind in KINDS)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split("\n")[0].removeprefix("pipeline: "))
def test_every_example_plans(text: str) -> None:
    make_plan(Pipeline.loads(text))


def note_keys(data: Any, used: dict[type[Any], set[str]]) -> None:
    """Note the keys of a pipeline, and of all that is inside of it."""
    used[Pipeline] |= set(data)
    used[Concurrency] |= set(data.get("concurrency", {}))
    used[Defaults] |= set(data.get("defaults", {}))
    used[Retry] |= set(data.get("defaults", {}).get("retry", {}))
    for spec in data.get("inputs", {}).values():
        used[InputSpec] |= set(spec)
    for member in data.get("pipelines", {}).values():
        if isinstance(member, dict):
            note_keys(member, used)
    for _, step in steps_of(data):
        used[Step] |= set(step)
        used[Retry] |= set(step.get("retry", {}))
        used[Effect] |= set(step.get("effect", {}))
        used[Case] |= {key for case in step.get("switch", ()) for key in case}
        used[FormField] |= {key for spec in step.get("form", {}).values() for key in spec}
        used[OnError] |= {key for rule in step.get("on_error", ()) for key in rule}


def test_every_key_stands_in_an_example() -> None:
    used: dict[type[Any], set[str]] = {model: set() for model in MODELS}
    for text in EXAMPLES:
        note_keys(parse_yaml(text)[0], used)
    for model, table in zip(MODELS, tables(), strict=True):
        assert used[model] == set(table)


def test_the_templates_of_the_page_give_what_it_says() -> None:
    data, _ = parse_yaml(EXAMPLES[-1])
    values = compile_value(data["steps"][0]["set"]).resolve({"rows": data["inputs"]["rows"]["default"]})
    assert values == {"first": 1, "total": 3, "wet": [1], "label": "2 days, wet at first, ${not this}", "note": "none"}

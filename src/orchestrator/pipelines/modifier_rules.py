"""What holds within the parts of a step that are mappings of their own, a form or an effect; and in plain values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.errors import TemplateError
from orchestrator.pipelines.definition import CHOICES, EffectDef, FieldDef, StepDef
from orchestrator.pipelines.input_types import FIELD_TYPES, unfit
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.scanner import has_placeholder
from orchestrator.pipelines.wording import Path, kind_of, one_of, shorten


def effect_rules(effect: EffectDef, path: Path) -> Iterator[Finding]:
    """The function that looks stands with the word that asks for it."""
    in_doubt = effect.get("in_doubt")
    if in_doubt == "verify" and "verify" not in effect:
        hint = "for example `verify: mail:was_sent`"
        yield Finding((*path, "in_doubt"), "verify needs the key 'verify', a function that looks", hint=hint)
    elif "verify" in effect and in_doubt not in (None, "verify"):
        message = f"'verify' belongs to `in_doubt: verify`, here it is {in_doubt!r}"
        yield Finding((*path, "verify"), message, at_key=True)


def field_rules(spec: FieldDef, path: Path) -> Iterator[Finding]:
    """The default and the choices of a form's field are of its type, and the default is among the choices."""
    type_word = spec.get("type", "any")
    if type_word not in FIELD_TYPES:  # reported for itself
        return
    choices = spec.get("choices")
    for index, choice in enumerate(choices if isinstance(choices, list) else ()):
        if fault := unfit(choice, type_word):
            yield Finding((*path, "choices", index), f"{fault} as choice", hint="or change the type")
    if (default := spec.get("default")) is None:
        return
    for place in templates_in(default, (*path, "default")):
        yield Finding(place, "this default is a plain value: a ${…} in it is not filled in")
    if fault := unfit(default, type_word):
        yield Finding((*path, "default"), f"{fault} as default", hint="or change the type")
    elif isinstance(choices, list) and choices and default not in choices:
        yield _not_among((*path, "default"), default, choices)


def answer_rules(step: StepDef, path: Path, keys: Collection[str]) -> Iterator[Finding]:
    """What holds between `deadline`, `default`, `choices` and `form` of a step that waits for somebody."""
    if "default" in step:
        default = step["default"]
        if "deadline" not in keys:
            message = "'default' holds after the deadline, which this step has not"
            yield Finding((*path, "default"), message, at_key=True, hint="for example `deadline: 2d`")
        if "approve" in step:
            choices: Any = step.get("choices", () if "choices" in keys else CHOICES)
            if isinstance(choices, (list, tuple)) and choices and default not in choices:
                yield _not_among((*path, "default"), default, choices)
        for place in templates_in(default, (*path, "default")) if "signal" in step else ():
            yield Finding(place, "this payload is a plain value: a ${…} in it is not filled in")
    form = step.get("form")
    for name, spec in form.items() if isinstance(form, Mapping) else ():
        if isinstance(spec, Mapping):
            yield from field_rules(spec, (*path, "form", name))


def _not_among(path: Path, value: Any, choices: Sequence[Any]) -> Finding:
    words = [choice for choice in choices if isinstance(choice, str)]
    name = value if isinstance(value, str) else ""
    message = f"{kind_of(value)} is none of the choices {one_of([shorten(str(choice)) for choice in choices[:20]])}"
    return Finding(path, message, name=name, known=words)


def templates_in(value: Any, path: Path) -> Iterator[Path]:
    """Where inside of a value a text with a placeholder stands, or with what was to be one."""
    if isinstance(value, str) and _is_template(value):
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from templates_in(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from templates_in(item, (*path, index))


def _is_template(text: str) -> bool:
    try:
        return has_placeholder(text)
    except TemplateError:
        return True

"""Binding what a caller gives to what a pipeline asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, PipelineFileError
from orchestrator.pipelines.definition import Definition, InputDef
from orchestrator.pipelines.input_types import unfit
from orchestrator.pipelines.wording import did_you_mean, one_of
from orchestrator.pipelines.yaml_source import parse_yaml


def bind_inputs(
    pipeline: Definition,
    given: Mapping[str, Any],
    *,
    base_dir: Path | None,
    working_dir: Path,
    as_text: bool = False,
) -> dict[str, Any]:
    """The value of every input, by name: what was given, else the default.

    A path becomes an absolute `pathlib.Path`: a given one is seen from `working_dir`, a default from `base_dir` (the
    folder of the pipeline's file). With `as_text` the given values are texts of a command line, read by the declared
    type: a list, a mapping and `any` as JSON or YAML. Raises InputError with every fault.
    """
    specs = pipeline.canonical().get("inputs", {})
    faults = [_unknown(name, specs) for name in given if name not in specs]
    bound: dict[str, Any] = {}
    for name, spec in specs.items():
        try:
            bound[name] = _bind(name, spec, given, base_dir or working_dir, working_dir, as_text)
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))
    return bound


def _unknown(name: str, specs: Mapping[str, InputDef]) -> str:
    hint = did_you_mean(name, specs)
    known = f"it has {one_of(list(specs))}".replace(" or ", " and ") if specs else "it has none"
    return f"the pipeline has no input {name!r}; {hint or known}"


def _bind(name: str, spec: InputDef, given: Mapping[str, Any], base_dir: Path, working_dir: Path, as_text: bool) -> Any:
    type_word = spec.get("type", "any")
    if name not in given:
        if "default" not in spec:
            about = f" ({spec['description']})" if spec.get("description") else ""
            raise InputError(f"input {name!r}{about} is required; give it with -i {name}=…")
        value, folder = spec["default"], base_dir
    else:
        value, folder = given[name], working_dir
        if as_text and isinstance(value, str):
            value = _read(name, value, type_word)
    if value is None and "default" in spec and spec["default"] is None:
        return None
    if fault := unfit(value, type_word):
        raise InputError(f"input {name!r}: {fault}")
    return folder.absolute() / value if type_word == "path" else value


def _read(name: str, text: str, type_word: str) -> Any:
    """The value that a text of a command line stands for."""
    if type_word in ("string", "path"):
        return text
    if not text.strip():
        return "" if type_word == "any" else None
    if text.lstrip()[:1] in ("{", "[", '"'):
        with suppress(ValueError, RecursionError):  # what is no JSON may still be YAML
            return json.loads(text, object_pairs_hook=_unique)
    try:
        value, _ = parse_yaml(text, f"input {name!r}")
    except PipelineFileError as error:
        raise InputError(f"input {name!r} cannot be read as YAML: {error.faults[0].message}") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("duplicate key")  # YAML says where
    return dict(pairs)

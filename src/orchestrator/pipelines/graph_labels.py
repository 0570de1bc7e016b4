"""What a drawn graph says of a step in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.pipelines.definition import CaseDef, StepDef, kind_of_step
from orchestrator.pipelines.specs import DEFAULT_VARIABLE
from orchestrator.pipelines.wording import shorten


def label_of(step: StepDef) -> str:
    """The kind, what it is given, and its loop and condition."""
    fields: Mapping[str, Any] = step
    label = _what(fields, kind_of_step(step))
    if "for_each" in fields:
        label += f"  for each {fields.get('as', DEFAULT_VARIABLE)} of {_source(fields['for_each'])}"
    if "while" in fields:
        label += f"  while {_source(fields['while'])}"
    return label + (f"  when {_source(fields['when'])}" if "when" in fields else "")


def case_label(case: CaseDef) -> str:
    """The condition of a case of a switch."""
    return f"when {_source(case['when'])}" if "when" in case else "otherwise"


def _what(fields: Mapping[str, Any], kind: str) -> str:
    what = fields[kind]
    if kind == "parallel":
        return f"parallel  join {fields['join']}" if "join" in fields else "parallel"
    if kind in ("steps", "switch"):
        return kind
    if isinstance(what, (list, dict)):
        what = (" " if kind == "run" else ", ").join(map(str, what))
    elif isinstance(what, float):
        what = f"{what:g} s"
    return f"{kind} {shorten(' '.join(str(what).split()))}".rstrip()


def _source(value: Any) -> str:
    return shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))

"""The graph of a pipeline, drawn: for a terminal, as Mermaid, and for Graphviz."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from orchestrator.pipelines.compiling import CompiledStep, compile_step
from orchestrator.pipelines.definition import Definition, kind_of_step
from orchestrator.pipelines.needs import Needs, in_order, infer_needs
from orchestrator.pipelines.wording import shorten


def graph_text(pipeline: Definition) -> str:
    """The graph for a terminal: a line for each step, in an order in which they can run."""
    name, steps, needs = _drawn(pipeline)
    width = max(len(step.id) for step in steps)
    lines = []
    for index in in_order(needs):
        after = ", ".join(steps[need].id for need in sorted(needs[index]))
        lines.append(f"  {steps[index].id:<{width}}  {_label(steps[index])}" + (f"  <- {after}" if after else ""))
    return "\n".join([name, *lines])


def graph_mermaid(pipeline: Definition) -> str:
    """The graph as a Mermaid flowchart."""
    _, steps, needs = _drawn(pipeline)
    lines = ["flowchart TD"]
    lines += [f'  s{index}["{_escaped(step)}"]' for index, step in enumerate(steps)]
    lines += [f"  s{need} --> s{index}" for index, needed in enumerate(needs) for need in sorted(needed)]
    return "\n".join(lines)


def graph_dot(pipeline: Definition) -> str:
    """The graph in the language of Graphviz."""
    name, steps, needs = _drawn(pipeline)
    lines = [f"digraph {json.dumps(name, ensure_ascii=False)} {{", "  node [shape=box];"]
    for index, step in enumerate(steps):
        label = json.dumps(f"{step.id}\n{_label(step)}", ensure_ascii=False)
        lines.append(f"  s{index} [label={label}];")
    lines += [f"  s{need} -> s{index};" for index, needed in enumerate(needs) for need in sorted(needed)]
    return "\n".join([*lines, "}"])


def _drawn(pipeline: Definition) -> tuple[str, list[CompiledStep], Needs]:
    definition = pipeline.canonical()
    steps = [compile_step(step, ("steps", index)) for index, step in enumerate(definition["steps"])]
    return definition["pipeline"], steps, infer_needs(steps, definition.get("inputs", {}))


def _label(step: CompiledStep) -> str:
    fields: Mapping[str, Any] = step.definition
    kind = kind_of_step(step.definition)
    what = fields[kind]
    if not isinstance(what, str):
        what = (" " if kind == "run" else ", ").join(map(str, what))
    label = f"{kind} {shorten(' '.join(what.split()))}"
    if step.loop is not None:
        label += f"  for each {step.loop.variable} of {_source(fields['for_each'])}"
    return label + (f"  when {_source(fields['when'])}" if "when" in fields else "")


def _source(value: Any) -> str:
    return shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _escaped(step: CompiledStep) -> str:
    text = f"{step.id}<br/>{escape(_label(step), quote=False)}"
    return text.replace('"', "#quot;").replace("`", "#96;")

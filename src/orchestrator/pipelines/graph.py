"""The graph of a pipeline, drawn: for a terminal, as Mermaid, and for Graphviz.

What stands inside of a step is drawn inside of it: further in, in a subgraph, in a cluster. A sub-pipeline is drawn by
its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from orchestrator.pipelines.analysis import Analysis, Level, analyse
from orchestrator.pipelines.checks import raise_findings
from orchestrator.pipelines.compiling import CompiledStep
from orchestrator.pipelines.definition import Definition
from orchestrator.pipelines.graph_labels import case_label, label_of
from orchestrator.pipelines.needs import in_order


def graph_text(pipeline: Definition) -> str:
    """The graph for a terminal: a line for each step, in an order in which they can run."""
    analysis = _analysed(pipeline)
    lines = [analysis.definition["pipeline"], *_text(analysis.main, "  ")]
    if analysis.last.steps:
        lines += ["finally", *_text(analysis.last, "  ")]
    return "\n".join(lines)


def _text(level: Level, indent: str) -> Iterator[str]:
    width = max(len(step.id) for step in level.steps)
    for index in in_order(level.needs):
        step = level.steps[index]
        after = ", ".join(level.steps[need].id for need in sorted(level.needs[index]))
        yield f"{indent}{step.id:<{width}}  {label_of(step.definition)}" + (f"  <- {after}" if after else "")
        for place, inner in enumerate(level.inside.get(index, ())):
            if "switch" in step.definition:
                yield f"{indent}  {case_label(step.definition['switch'][place])}"
                yield from _text(inner, f"{indent}    ")
            else:
                yield from _text(inner, f"{indent}  ")


def graph_mermaid(pipeline: Definition) -> str:
    """The graph as a Mermaid flowchart."""
    analysis = _analysed(pipeline)
    lines = ["flowchart TD", *_mermaid(analysis.main, "s", "  ")]
    if analysis.last.steps:
        lines += ['  subgraph f["finally"]', *_mermaid(analysis.last, "f", "    "), "  end"]
    return "\n".join(lines)


def _mermaid(level: Level, name: str, indent: str) -> Iterator[str]:
    for index, step in enumerate(level.steps):
        node, inside = f"{name}{index}", level.inside.get(index, ())
        label = _escaped(step)
        if not inside:
            yield f'{indent}{node}["{label}"]'
            continue
        yield f'{indent}subgraph {node}["{label}"]'
        for place, inner in enumerate(inside):
            if "switch" in step.definition:
                case = _quoted(escape(case_label(step.definition["switch"][place]), quote=False))
                yield f'{indent}  subgraph {node}_{place}["{case}"]'
                yield from _mermaid(inner, f"{node}_{place}_", f"{indent}    ")
                yield f"{indent}  end"
            else:
                yield from _mermaid(inner, f"{node}_", f"{indent}  ")
        yield f"{indent}end"
    for index, needed in enumerate(level.needs):
        for need in sorted(needed):
            yield f"{indent}{name}{need} --> {name}{index}"


def graph_dot(pipeline: Definition) -> str:
    """The graph in the language of Graphviz. A step with others inside is a node in the cluster of these."""
    analysis = _analysed(pipeline)
    lines = [f"digraph {_string(analysis.definition['pipeline'])} {{", "  node [shape=box];"]
    lines += _dot(analysis.main, "s", "  ")
    if analysis.last.steps:
        lines += [*_cluster("f", "  ", "finally"), *_dot(analysis.last, "f", "    "), "  }"]
    return "\n".join([*lines, "}"])


def _dot(level: Level, name: str, indent: str) -> Iterator[str]:
    for index, step in enumerate(level.steps):
        node, inside = f"{name}{index}", level.inside.get(index, ())
        label = _string(f"{step.id}\n{label_of(step.definition)}")
        drawn = f"{node} [label={label}];"
        if not inside:
            yield f"{indent}{drawn}"
            continue
        yield from _cluster(node, indent)
        yield f"{indent}  {drawn}"
        for place, inner in enumerate(inside):
            if "switch" in step.definition:
                yield from _cluster(f"{node}_{place}", f"{indent}  ", case_label(step.definition["switch"][place]))
                yield from _dot(inner, f"{node}_{place}_", f"{indent}    ")
                yield f"{indent}  }}"
            else:
                yield from _dot(inner, f"{node}_", f"{indent}  ")
        yield f"{indent}}}"
    for index, needed in enumerate(level.needs):
        for need in sorted(needed):
            yield f"{indent}{name}{need} -> {name}{index};"


def _cluster(name: str, indent: str, label: str = "") -> list[str]:
    opened = f"{indent}subgraph cluster_{name} {{"
    return [opened, f"{indent}  label={_string(label)};"]


def _analysed(pipeline: Definition) -> Analysis:
    analysis = analyse(pipeline.canonical())
    raise_findings(analysis.findings, analysis.definition, pipeline.positions)
    return analysis


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(step: CompiledStep) -> str:
    return _quoted(f"{step.id}<br/>{escape(label_of(step.definition), quote=False)}")


def _quoted(text: str) -> str:
    return text.replace('"', "#quot;").replace("`", "#96;")

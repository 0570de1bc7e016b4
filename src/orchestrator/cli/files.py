"""`orchestrator validate`, `graph` and `schema`: what concerns pipeline files alone."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.command()
@_FILE
@click.option("--json", "as_json", is_flag=True, help="Print every fault as JSON, for editors and CI.")
def validate(file: Path, as_json: bool) -> int:
    """Check a pipeline file without running it.

    All faults are shown at once, each with its line: YAML, names and scopes of `${...}`, cycles, and handlers that
    cannot be imported.
    """
    from orchestrator.app import validate as check
    from orchestrator.cli.exits import ExitCode
    from orchestrator.cli.paper import Paper
    from orchestrator.cli.words import count
    from orchestrator.errors import PipelineFileError
    from orchestrator.pipelines.model import Pipeline

    paper = Paper(sys.stdout)
    try:
        pipeline = Pipeline.load(file)
        check(pipeline)
    except PipelineFileError as exc:
        if not as_json:
            raise
        paper.json({"file": str(file), "valid": False, "faults": [_fault(fault) for fault in exc.faults]})
        return ExitCode.BAD_INPUT
    if as_json:
        paper.json({"file": str(file), "valid": True, "faults": []})
    else:
        parts = (count(len(pipeline.steps), "step"), count(len(pipeline.inputs), "input"))
        told = f"{paper.symbol('completed')} {pipeline.pipeline} is valid: {', '.join(parts)}"
        paper.lines(paper.prose(told, hanging="  "))
    return ExitCode.DONE


def _fault(fault: object) -> dict[str, object]:
    from dataclasses import asdict

    from orchestrator.errors import Fault

    assert isinstance(fault, Fault)
    return asdict(fault)


@click.command()
@_FILE
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "dot"]),
    default="text",
    show_default=True,
    help="text for the terminal, mermaid for Markdown, dot for Graphviz.",
)
def graph(file: Path, form: str) -> None:
    """Draw the graph of a pipeline file."""
    from orchestrator.cli.paper import Paper
    from orchestrator.pipelines.graph import graph_dot, graph_mermaid, graph_text
    from orchestrator.pipelines.model import Pipeline

    draw = {"text": graph_text, "mermaid": graph_mermaid, "dot": graph_dot}[form]
    Paper(sys.stdout).lines(draw(Pipeline.load(file)).rstrip("\n").split("\n"))


@click.command()
def schema() -> None:
    """Print the JSON Schema of the pipeline format, for editors.

    Many editors check and complete a YAML file that begins with `# yaml-language-server: $schema=PATH`.
    """
    from orchestrator.cli.paper import Paper
    from orchestrator.pipelines.schema import json_schema

    Paper(sys.stdout).json(json_schema())

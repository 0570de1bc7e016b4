"""`orchestrator validate`, `graph` and `schema`: what concerns pipelines that nobody runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from orchestrator.cli.paper import Paper
    from orchestrator.errors import Fault

_PIPELINE = click.argument("named", metavar="PIPELINE", type=click.Path(path_type=str))


@click.command()
@_PIPELINE
@click.option("--json", "as_json", is_flag=True, help="Print every fault as JSON, for editors and CI.")
def validate(named: str, as_json: bool) -> int:
    """Check a pipeline without running it.

    PIPELINE is a file, or a durable function (`module:function`). All faults of a file are shown at once, each with its
    line: YAML, names and scopes of `${...}`, cycles, and handlers that cannot be imported. Of a function its inputs are
    shown; what it calls is known when it runs.
    """
    from orchestrator.cli.exits import ExitCode
    from orchestrator.cli.functions import is_function
    from orchestrator.cli.paper import Paper
    from orchestrator.errors import Fault, HandlerNotFoundError, InputError, PipelineFileError

    paper = Paper(sys.stdout)
    faults: Sequence[Fault] = ()
    told: Sequence[str] = ()
    try:
        told = (_function if is_function(named) else _file)(named, paper)
    except (PipelineFileError, HandlerNotFoundError, InputError) as exc:
        if not as_json:
            raise
        faults = exc.faults if isinstance(exc, PipelineFileError) else [Fault(str(exc))]
    if as_json:
        paper.json({"file": named, "valid": not faults, "faults": [_fault(fault) for fault in faults]})
    else:
        paper.lines(told)
    return ExitCode.BAD_INPUT if faults else ExitCode.DONE


def _file(named: str, paper: Paper) -> Sequence[str]:
    """What there is to say of the pipeline of a file. Raises PipelineFileError with every fault of it."""
    from orchestrator.app import validate as check
    from orchestrator.cli.words import count
    from orchestrator.pipelines.model import Pipeline

    pipeline = Pipeline.load(named)
    check(pipeline)
    parts = (count(len(pipeline.steps), "step"), count(len(pipeline.inputs), "input"))
    told = f"{paper.symbol('completed')} {pipeline.pipeline} is valid: {', '.join(parts)}"
    return [*paper.prose(told, hanging="  ")]


def _function(named: str, paper: Paper) -> Sequence[str]:
    """What there is to say of a durable function. Raises HandlerNotFoundError and InputError where it is none."""
    from orchestrator.cli.arguments import parameters_of
    from orchestrator.cli.functions import find_function
    from orchestrator.cli.words import count

    function = find_function(named)
    parameters = parameters_of(function.function)
    told = f"{function.name} is valid: a durable function, {count(len(parameters), 'input')}"
    columns = max((len(parameter.shown) for parameter in parameters.values()), default=0)
    return [
        *paper.prose(f"{paper.symbol('completed')} {told}", hanging="  "),
        *(paper.joined(f"  {p.shown:<{columns}}  {p.expects}", *p.about()) for p in parameters.values()),
    ]


def _fault(fault: Fault) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(fault)


@click.command()
@_PIPELINE
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "dot"]),
    default="text",
    show_default=True,
    help="text for the terminal, mermaid for Markdown, dot for Graphviz.",
)
def graph(named: str, form: str) -> None:
    """Draw the graph of a pipeline file."""
    from orchestrator.cli.functions import find_function, is_function
    from orchestrator.cli.paper import Paper
    from orchestrator.errors import InputError
    from orchestrator.pipelines.graph import graph_dot, graph_mermaid, graph_text
    from orchestrator.pipelines.model import Pipeline

    if is_function(named):
        name = find_function(named).name
        told = f"{name} is a durable function: its steps are known when it runs; `orchestrator show ID` has them"
        raise InputError(told)
    draw = {"text": graph_text, "mermaid": graph_mermaid, "dot": graph_dot}[form]
    Paper(sys.stdout).lines(draw(Pipeline.load(named)).rstrip("\n").split("\n"))


@click.command()
def schema() -> None:
    """Print the JSON Schema of the pipeline format, for editors.

    Many editors check and complete a YAML file that begins with `# yaml-language-server: $schema=PATH`.
    """
    from orchestrator.cli.paper import Paper
    from orchestrator.pipelines.schema import json_schema

    Paper(sys.stdout).json(json_schema())

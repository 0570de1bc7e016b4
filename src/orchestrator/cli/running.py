"""`orchestrator run`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from orchestrator.cli.going_on import conductor
from orchestrator.cli.options import CTRL_C, running_options, wait_option

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.app.orchestrator import Runnable
    from orchestrator.cli.outline import Outline
    from orchestrator.journal.events import Entry

    #: What is run, the definition that is recorded of it, and its inputs.
    Read: TypeAlias = tuple[Runnable, Mapping[str, Any], Mapping[str, Any]]


@click.command(epilog=CTRL_C)
@click.argument("named", metavar="PIPELINE", type=click.Path(path_type=str))
@click.option("-i", "--input", "texts", metavar="NAME=VALUE", multiple=True, help="An input; may be repeated.")
@click.option(
    "--inputs",
    "inputs_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Inputs from a YAML or JSON file; -i overrides them.",
)
@click.option("--id", "execution_id", metavar="ID", help="The execution's id.  [default: a new one]")
@wait_option
@running_options("disk", "process", "none")
def run(
    named: str, texts: Sequence[str], inputs_file: Path | None, execution_id: str | None, wait: bool, **options: Any
) -> int:
    """Run a pipeline to its end.

    PIPELINE is a file, or a durable function: `module:function` (in the working folder, or installed), or
    `path/to/file.py:function`. Every result is recorded before the next step starts: whatever ends this process,
    `orchestrator resume ID` goes on. Where there is an execution of that id already, with the same pipeline and inputs,
    this goes on with it, or looks on where another process runs it.
    """
    from orchestrator.cli.functions import is_function
    from orchestrator.cli.outline import Outline
    from orchestrator.cli.typed import pairs
    from orchestrator.clock import SystemClock, new_id
    from orchestrator.journal.store import Query

    read = _function if is_function(named) else _file
    pipeline, definition, inputs = read(named, pairs(texts, "-i"), _data(inputs_file) if inputs_file else {})
    id_ = new_id(SystemClock()) if execution_id is None else execution_id

    def past(orchestrator: Orchestrator) -> tuple[Outline, Sequence[Entry]]:
        there = execution_id is not None and orchestrator.list(Query(execution_id=execution_id))
        return Outline(definition), orchestrator.history(id_) if there else ()

    return conductor(id_, options).conduct(
        past, lambda o: o.arun(pipeline, inputs, execution_id=id_, wait=wait), follows=execution_id is not None
    )


def _function(named: str, texts: Mapping[str, str], values: Mapping[str, Any]) -> Read:
    """A durable function, its definition, and the value of every parameter that is given."""
    from orchestrator.cli.arguments import bind_arguments
    from orchestrator.cli.functions import find_function

    function = find_function(named)
    return function, function.plan.canonical, bind_arguments(function.function, texts, values)


def _file(named: str, texts: Mapping[str, str], values: Mapping[str, Any]) -> Read:
    """The pipeline of a file, its definition, and the value of every input."""
    from orchestrator.pipelines.model import Pipeline, bind_inputs

    pipeline = Pipeline.load(named)
    types = {name: spec.type for name, spec in pipeline.inputs.items()}
    given = {name: _typed(value, types.get(name, "any")) for name, value in values.items()} | dict(texts)
    bound = bind_inputs(pipeline, given, base_dir=pipeline.base_dir, working_dir=Path.cwd(), as_text=True)
    return pipeline, pipeline.canonical(), bound


def _typed(value: Any, type_word: str) -> Any:
    """A value of a file, so that reading it as a text of the command line changes nothing."""
    return json.dumps(value) if isinstance(value, str) and type_word not in ("string", "path") else value


def _data(file: Path) -> Mapping[str, Any]:
    from orchestrator.errors import Fault, PipelineFileError
    from orchestrator.pipelines.yaml_source import parse_yaml, read_text

    values, _ = parse_yaml(read_text(file), str(file))
    if not isinstance(values, dict):
        raise PipelineFileError(str(file), [Fault("an inputs file is a mapping of names to values", 1, 1)])
    return values

"""`orchestrator run`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.going_on import conductor
from orchestrator.cli.options import CTRL_C, running_options, wait_option

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.cli.outline import Outline
    from orchestrator.journal.events import Entry
    from orchestrator.pipelines.model import Pipeline


@click.command(epilog=CTRL_C)
@click.argument("file", type=click.Path(path_type=Path))
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
    file: Path, texts: Sequence[str], inputs_file: Path | None, execution_id: str | None, wait: bool, **options: Any
) -> int:
    """Run a pipeline file to its end.

    Every result is recorded before the next step starts: whatever ends this process, `orchestrator resume ID` goes on.
    Where there is an execution of that id already, with the same pipeline and inputs, this goes on with it, or looks on
    where another process runs it.
    """
    from orchestrator.cli.outline import Outline
    from orchestrator.clock import SystemClock, new_id
    from orchestrator.journal.store import Query
    from orchestrator.pipelines.model import Pipeline

    pipeline = Pipeline.load(file)
    inputs = _bound(pipeline, texts, inputs_file)
    id_ = new_id(SystemClock()) if execution_id is None else execution_id

    def past(orchestrator: Orchestrator) -> tuple[Outline, Sequence[Entry]]:
        there = execution_id is not None and orchestrator.list(Query(execution_id=execution_id))
        return Outline(pipeline.canonical()), orchestrator.history(id_) if there else ()

    return conductor(id_, options).conduct(
        past, lambda o: o.arun(pipeline, inputs, execution_id=id_, wait=wait), follows=execution_id is not None
    )


def _bound(pipeline: Pipeline, texts: Sequence[str], file: Path | None) -> Mapping[str, Any]:
    """The value of every input, from the file and from the command line."""
    from orchestrator.pipelines.model import bind_inputs

    types = {name: spec.type for name, spec in pipeline.inputs.items()}
    given = {name: _typed(value, types.get(name, "any")) for name, value in _from_file(file).items()} if file else {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="-i")
        given[name.strip()] = value
    return bind_inputs(pipeline, given, base_dir=pipeline.base_dir, working_dir=Path.cwd(), as_text=True)


def _typed(value: Any, type_word: str) -> Any:
    """A value of a file, so that reading it as a text of the command line changes nothing."""
    return json.dumps(value) if isinstance(value, str) and type_word not in ("string", "path") else value


def _from_file(file: Path) -> Mapping[str, Any]:
    from orchestrator.errors import Fault, PipelineFileError
    from orchestrator.pipelines.yaml_source import parse_yaml, read_text

    values, _ = parse_yaml(read_text(file), str(file))
    if not isinstance(values, dict):
        raise PipelineFileError(str(file), [Fault("an inputs file is a mapping of names to values", 1, 1)])
    return values

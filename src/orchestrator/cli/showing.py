"""`orchestrator show`: one execution, or one of its steps."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.options import hints, json_option, opened, store_option


@click.command()
@click.argument("execution_id", metavar="ID")
@click.argument("step", required=False)
@store_option
@json_option
def show(execution_id: str, step: str | None, store: str | None, as_json: bool) -> None:
    """Show one execution: its steps, what came out, what went wrong.

    With STEP (`load`, `months` or `months[3]`) that step alone, with its whole output.
    """
    from orchestrator.cli.look import Look
    from orchestrator.cli.paper import Paper
    from orchestrator.cli.showing_json import execution_data, step_data
    from orchestrator.cli.showing_text import execution_lines, step_lines

    paper = Paper(sys.stdout)
    with opened(store) as orchestrator:
        look = Look.at(orchestrator, execution_id)
        if as_json:
            paper.json(step_data(look, look.step(step), whole=True) if step else execution_data(look))
        elif step:
            paper.lines(step_lines(look, step, paper, hints(store)))
        else:
            paper.lines(execution_lines(look, paper, hints(store)))

"""`orchestrator approvals`: everything that waits for a person."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import address, hints, json_option, location_of, opened, store_option

if TYPE_CHECKING:
    from orchestrator.cli.hints import Hints
    from orchestrator.cli.paper import Paper
    from orchestrator.execution.engine import Question


@click.command()
@click.argument("execution_id", metavar="ID", required=False)
@store_option
@json_option
def approvals(execution_id: str | None, store: str | None, as_json: bool) -> None:
    """List everything that waits for a person, the oldest first.

    Of one execution, or of all of them: what is asked, who may answer and until when, and the commands that answer.
    """
    from orchestrator.cli.paper import Paper

    with opened(store) as orchestrator:
        found = orchestrator.approvals(execution_id)
    paper = Paper(sys.stdout)
    if as_json:
        paper.json([_data(question) for question in found])
    elif found:
        for number, question in enumerate(found):
            paper.lines([""] if number else [])
            paper.lines(_lines(question, paper, hints(store)))
    else:
        where = f"execution {execution_id}" if execution_id is not None else location_of(address(store))
        paper.lines(paper.prose(f"nothing waits for a person in {where}"))


def _data(question: Question) -> Mapping[str, Any]:
    from orchestrator.cli.words import iso

    return {
        "execution_id": question.execution_id,
        "pipeline": question.pipeline_id,
        "step": question.key,
        "kind": question.kind,
        "prompt": question.prompt,
        "choices": list(question.choices),
        "who": list(question.who),
        "form": question.form,
        "since": iso(question.since),
        "deadline": iso(question.deadline),
        "default": question.default,
        "error": question.error,
    }


def _lines(question: Question, paper: Paper, hints: Hints) -> Iterator[str]:
    from orchestrator.cli.sentences import answer_options
    from orchestrator.cli.waiting import about_approval
    from orchestrator.cli.words import clean, moment, one_line

    pipeline = one_line(question.pipeline_id)
    head = f"{paper.symbol('waiting')} {paper.bold(question.key)} of {pipeline}, execution {question.execution_id}"
    yield from paper.prose(f"{head}, since {moment(question.since)}", hanging="  ")
    if question.error is not None:
        yield from paper.prose(f"it failed: {one_line(str(question.error.get('message', '')))}", "    ")
    for line in clean(question.prompt).strip().splitlines():
        yield from paper.prose(line, "    ")
    ask = {"who": question.who, "form": question.form, "default": question.default}
    for told in about_approval(ask, question.deadline):
        yield from map(paper.dim, paper.prose(told, "    "))
    columns = max(len(choice) for choice in question.choices) + 2
    for choice in question.choices:
        value = ("--value", "JSON") if choice == "skip" else ()
        words = (choice, *(answer_options(ask) if question.kind == "approval" else value))
        command = hints.command("answer", question.execution_id, question.key, *words)
        yield f"    {one_line(choice):<{columns}}{paper.bold(command)}"

"""`orchestrator signal`: a message to a step that waits for one, now or later."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.options import by_option, hints, json_option, login, opened, store_option


@click.command()
@click.argument("execution_id", metavar="ID")
@click.argument("name", metavar="NAME")
@click.option("--payload", "text", metavar="JSON", help="What the signal carries: the step's output.  [default: null]")
@by_option
@store_option
@json_option
def signal(execution_id: str, name: str, text: str | None, by: str | None, store: str | None, as_json: bool) -> None:
    """Send a signal to an execution.

    The step that waits for a signal of this name takes it, of several the one that waits longest; where none waits, it
    is kept for the first that will. Where another process runs the execution, that one takes it within about a second;
    where none does, `resume` or a scheduler goes on with it.
    """
    from orchestrator.cli.paper import Paper
    from orchestrator.cli.typed import json_value
    from orchestrator.cli.words import one_line
    from orchestrator.journal.store import Query

    payload = json_value(text, "--payload") if text is not None else None
    with opened(store) as orchestrator:
        orchestrator.signal(execution_id, name, payload, login() if by is None else by)
        (found,) = orchestrator.list(Query(execution_id=execution_id))
        record = orchestrator.show(execution_id)
    awaited = {
        step.key: step.waiting_for.subject
        for step in record.steps.values()
        if step.waiting and step.waiting_for is not None and step.waiting_for.kind == "signal"
    }
    waits = [key for key, subject in awaited.items() if subject == name]
    owner = None if found.abandoned else found.owner
    paper = Paper(sys.stdout)
    if as_json:
        paper.json({"execution_id": execution_id, "signal": name, "waits": waits, "goes_on": owner})
        return
    takes = f"step {waits[0]} waits for it" if waits else "it is kept until a step waits for it"
    if awaited and not waits:
        key, subject = next(iter(awaited.items()))
        takes += f" (now step {key} waits for {one_line(subject)!r})"
    told = f"{paper.symbol('completed')} the signal {one_line(name)!r} is sent: {takes}"
    paper.lines(paper.prose(f"{told}; {owner} goes on with it" if owner else told, hanging="  "))
    if owner is None:
        paper.line()
        paper.line(f"  {'go on':<9}{paper.bold(hints(store).command('resume', execution_id))}")

"""`orchestrator answer`: what a person says to a step that waits for one."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.going_on import go_on
from orchestrator.cli.options import CTRL_C, by_option, hints, login, opened, running_options, wait_option

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.execution.engine import Question

_DECISIONS = """\b
Answers to a step that failed
  retry  runs the step once more
  skip   leaves it out; --value is what its output is then (null without it)
  abort  gives it up: the execution fails, and `retry` is possible later
Answers to an `approve` step are its choices: approve, reject, or its own.
"""


#: A process that runs an execution looks for answers about once a second.
_TAKEN_SECONDS = 3.0


@click.command(epilog=f"{_DECISIONS}\n{CTRL_C}")
@click.argument("execution_id", metavar="ID")
@click.argument("step", metavar="STEP")
@click.argument("decision", metavar="ANSWER")
@click.option(
    "--field", "fields", metavar="NAME=VALUE", multiple=True, help="A field of the form of an approval; repeatable."
)
@click.option("--value", "text", metavar="JSON", help="With skip: the output of the step. Of an approval: the form.")
@by_option
@click.option("--later", is_flag=True, help="Keep the answer, and do not go on with the execution now.")
@wait_option
@running_options("disk", "process")
def answer(
    execution_id: str,
    step: str,
    decision: str,
    fields: Sequence[str],
    text: str | None,
    by: str | None,
    later: bool,
    wait: bool,
    **options: Any,
) -> int:
    """Answer a step that waits for a person, and go on.

    `approvals` tells which steps wait, and for what. The answer is kept in the store first. Where another process runs
    the execution, that one takes it within about a second.
    """
    from orchestrator.cli.typed import json_value

    given = None if text is None else (json_value(text, "--value"),)
    with opened(options["store"]) as orchestrator:
        question = next((q for q in orchestrator.approvals(execution_id) if q.key == step), None)
        value = _value(question, decision, fields, given)
        orchestrator.answer(execution_id, step, decision, value, login() if by is None else by)
        owner = _who_goes_on(orchestrator, execution_id)
        paused = "" if owner else _paused_by_a_person(orchestrator, execution_id)
    if not (later or owner or paused):
        from orchestrator.errors import OwnedElsewhereError

        try:
            return go_on(execution_id, options, lambda o: o.aresume(execution_id, wait=wait))
        except OwnedElsewhereError as exc:  # somebody else was faster; the answer is there for them
            owner = exc.owner
    _tell(execution_id, step, decision, owner, options, paused)
    return 0


def _value(question: Question | None, decision: str, fields: Sequence[str], given: tuple[Any] | None) -> Any:
    """What goes with the answer. Of a step that does not wait nothing is checked: the engine tells what does."""
    from orchestrator.cli.typed import pairs, typed_fields

    if question is not None and question.kind == "approval":
        form = given[0] if given is not None else {}
        if not isinstance(form, Mapping):
            raise click.BadParameter("the form of an approval is a JSON object of its fields", param_hint="--value")
        return {**form, **typed_fields(pairs(fields, "--field"), question.form)}
    if fields and question is not None:
        raise click.BadParameter("fields go with approvals; this step failed", param_hint="--field")
    if given is not None and decision != "skip":
        raise click.BadParameter("a value goes with `skip` only", param_hint="--value")
    return given[0] if given is not None else None


def _owner(orchestrator: Orchestrator, execution_id: str) -> str | None:
    """The living process that has it."""
    from orchestrator.journal.store import Query

    (found,) = orchestrator.list(Query(execution_id=execution_id))
    return None if found.abandoned else found.owner


def _who_goes_on(orchestrator: Orchestrator, execution_id: str) -> str | None:
    """The living process that has it and takes the answer; None where it let go of it just before."""
    from orchestrator.execution.engine import has_posted_answers

    deadline = time.monotonic() + _TAKEN_SECONDS
    while (owner := _owner(orchestrator, execution_id)) is not None and time.monotonic() < deadline:
        if not has_posted_answers(orchestrator.store, execution_id):
            break
        time.sleep(0.05)
    return owner


def _paused_by_a_person(orchestrator: Orchestrator, execution_id: str) -> str:
    """The words of a pause that somebody asked for, which `resume` alone lifts; nothing where nobody did."""
    from orchestrator.status import ExecutionStatus

    record = orchestrator.show(execution_id)
    asked = record.status is ExecutionStatus.PAUSED and not record.waits and record.pause_reason.startswith("paused")
    return record.pause_reason if asked else ""


def _tell(
    execution_id: str, step: str, decision: str, owner: str | None, options: Mapping[str, Any], paused: str = ""
) -> None:
    """The answer is kept, and this is who goes on."""
    from orchestrator.cli.paper import Paper
    from orchestrator.cli.words import one_line

    paper = Paper(sys.stdout)
    if options["as_json"]:
        paper.json({"execution_id": execution_id, "step": step, "decision": decision, "goes_on": owner})
    elif not options["quiet"]:
        told = f"{paper.symbol('completed')} step {step} is answered: {decision}"
        then = f"; {owner} goes on with it" if owner else f"; the execution is {one_line(paused)}" if paused else ""
        paper.lines(paper.prose(told + then, hanging="  "))
        if owner is None:
            paper.line()
            paper.line(f"  {'go on':<9}{paper.bold(hints(options['store']).command('resume', execution_id))}")

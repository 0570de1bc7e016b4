"""`orchestrator answer`: what a person says about a step that waits for one."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import hints, opened, running_options
from orchestrator.cli.running import CTRL_C, go_on

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator

_DECISIONS = """\b
Answers
  retry  runs the step once more
  skip   leaves it out; --value is what its output is then (null without it)
  abort  gives it up: the execution fails, and `retry` is possible later
"""


#: A process that runs an execution looks for answers about once a second.
_TAKEN_SECONDS = 3.0


@click.command(epilog=f"{_DECISIONS}\n{CTRL_C}")
@click.argument("execution_id", metavar="ID")
@click.argument("step", metavar="STEP")
@click.argument("decision", metavar="ANSWER", type=click.Choice(["retry", "skip", "abort"]))
@click.option("--value", "text", metavar="JSON", help="With skip: the output of the step.")
@click.option("--by", metavar="NAME", help="Who says so.  [default: your login name]")
@click.option("--later", is_flag=True, help="Keep the answer, and do not go on with the execution now.")
@running_options("disk", "process")
def answer(
    execution_id: str, step: str, decision: str, text: str | None, by: str | None, later: bool, **options: Any
) -> int:
    """Answer a step that waits for a person, and go on.

    `show ID` tells which steps wait, and for what. The answer is kept in the store first. Where another process runs
    the execution, that one takes it within about a second.
    """
    value = _value(text, decision)
    with opened(options["store"]) as orchestrator:
        orchestrator.answer(execution_id, step, decision, value, _login() if by is None else by)
        owner = _who_goes_on(orchestrator, execution_id)
    if not (later or owner):
        from orchestrator.errors import OwnedElsewhereError

        try:
            return go_on(execution_id, options, lambda o: o.aresume(execution_id))
        except OwnedElsewhereError as exc:  # somebody else was faster; the answer is there for them
            owner = exc.owner
    _tell(execution_id, step, decision, owner, options)
    return 0


def _value(text: str | None, decision: str) -> Any:
    from orchestrator.cli.words import shorten

    if text is None:
        return None
    if decision != "skip":
        raise click.BadParameter("a value goes with `skip` only", param_hint="--value")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        wrong = f"{shorten(text, 200)!r} is no JSON ({exc}); a text is written '\"text\"'"
        raise click.BadParameter(wrong, param_hint="--value") from None


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return ""


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


def _tell(execution_id: str, step: str, decision: str, owner: str | None, options: Mapping[str, Any]) -> None:
    """The answer is kept, and this is who goes on."""
    from orchestrator.cli.paper import Paper

    paper = Paper(sys.stdout)
    if options["as_json"]:
        paper.json({"execution_id": execution_id, "step": step, "decision": decision, "goes_on": owner})
    elif not options["quiet"]:
        told = f"{paper.symbol('completed')} step {step} is answered: {decision}"
        paper.lines(paper.prose(f"{told}; {owner} goes on with it" if owner else told, hanging="  "))
        if owner is None:
            paper.line()
            paper.line(f"  {'go on':<9}{paper.bold(hints(options['store']).command('resume', execution_id))}")

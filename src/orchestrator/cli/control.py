"""`orchestrator pause` and `cancel`: what one process asks of an execution that another one runs, and waits to see."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.options import by_option, json_option, login, store_option

_REASON = click.option("--reason", metavar="TEXT", default="", help="Why; it is shown with the execution.")
_NO_WAIT = click.option("--no-wait", is_flag=True, help="Do not wait until it has happened.")


@click.command()
@click.argument("execution_id", metavar="ID")
@_REASON
@by_option
@_NO_WAIT
@store_option
@json_option
def pause(execution_id: str, **options: Any) -> int:
    """Pause an execution when what runs of it has ended.

    Nothing new is started. Whoever runs the execution does so within about a second, and this waits until it is paused.
    Only `resume` goes on with it then, no scheduler and no answer.
    """
    return _ask("pause", execution_id, **options)


@click.command()
@click.argument("execution_id", metavar="ID")
@_REASON
@by_option
@_NO_WAIT
@store_option
@json_option
def cancel(execution_id: str, **options: Any) -> int:
    """Give an execution up, and show that it has stopped.

    Whoever runs the execution asks what runs of it to end, then ends it; its `finally` steps run; what cannot be ended
    is named. This waits until that is recorded. Exit code 0: it is cancelled; 1: it ended otherwise meanwhile; 2: it
    had ended before.
    """
    return _ask("cancel", execution_id, **options)


def _ask(
    verb: str, execution_id: str, *, reason: str, by: str | None, no_wait: bool, store: str | None, as_json: bool
) -> int:
    from orchestrator.cli.asking import Asking, told_as_data
    from orchestrator.cli.hints import Hints
    from orchestrator.cli.options import address, hints, is_missing, location_of
    from orchestrator.cli.paper import Paper
    from orchestrator.errors import UnknownExecutionError

    where = address(store)
    if is_missing(where):
        raise UnknownExecutionError(execution_id, location_of(where))
    paper, typed = Paper(sys.stdout), hints(store)
    assert isinstance(typed, Hints)
    asking = Asking(verb, execution_id, paper if not as_json else Paper(sys.stderr), typed)
    code = asking.run(store, reason, login() if by is None else by, wait=not no_wait)
    if as_json:
        paper.json(told_as_data(asking))
    return code

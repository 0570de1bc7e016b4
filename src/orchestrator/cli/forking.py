"""`orchestrator checkpoints`, `restore` and `fork`: back to an earlier place, in the same execution or in a new one."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.going_on import go_on
from orchestrator.cli.options import CTRL_C, hints, json_option, opened, running_options, store_option, wait_option

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator


@click.command()
@click.argument("execution_id", metavar="ID")
@store_option
@json_option
def checkpoints(execution_id: str, store: str | None, as_json: bool) -> None:
    """List the checkpoints of one execution, oldest first.

    `restore` goes back to one that is kept; a `fork` can begin at any.
    """
    from orchestrator.cli.paper import Paper
    from orchestrator.cli.words import iso, moment, one_line

    with opened(store) as orchestrator:
        found = orchestrator.checkpoints(execution_id)
    paper = Paper(sys.stdout)
    if as_json:
        paper.json(
            [
                {
                    "id": c.id,
                    "name": c.name or None,
                    "position": c.position,
                    "at": iso(c.at),
                    "step": c.step,
                    "kept": c.kept,
                }
                for c in found
            ]
        )
        return
    head = [paper.dim(word) for word in ("CHECKPOINT", "ID", "POSITION", "MADE", "AFTER", "")]
    rows = [
        [
            paper.bold(one_line(c.name) or c.id),
            c.id,
            str(c.position),
            moment(c.at),
            c.step or "",
            "" if c.kept else paper.dim("for a fork only"),
        ]
        for c in found
    ]
    paper.table([head, *rows], right=(2,))


@click.command()
@click.argument("execution_id", metavar="ID")
@click.option("--to", "checkpoint", metavar="CHECKPOINT", required=True, help="Its name or id: see `checkpoints`.")
@store_option
@json_option
def restore(execution_id: str, checkpoint: str, store: str | None, as_json: bool) -> None:
    """Set an execution back to a checkpoint.

    Its steps and variables stand then as they stood there, and it is paused: `resume` goes on from there. Its history
    stays. An execution that a process runs is to be paused first.
    """
    from orchestrator.cli.look import outline_of
    from orchestrator.cli.paper import Paper
    from orchestrator.journal import events as ev

    with opened(store) as orchestrator:
        orchestrator.restore(execution_id, checkpoint)
        record, entries = orchestrator.show(execution_id), orchestrator.history(execution_id)
        order = outline_of(orchestrator, entries).order
    restored = [entry.event for entry in entries if isinstance(entry.event, ev.ExecutionRestored)][-1]
    places = {key: place for place, key in enumerate(order)}
    again = sorted(restored.keys, key=lambda key: (places.get(key, len(places)), key))
    paper = Paper(sys.stdout)
    if as_json:
        paper.json(
            {
                "execution_id": execution_id,
                "checkpoint": checkpoint,
                "status": record.status,
                "again": again,
            }
        )
        return
    then = f"; {', '.join(again)} will run again" if again else ""
    told = f"{paper.symbol('completed')} {execution_id} is set back to checkpoint {checkpoint}{then}"
    paper.lines(paper.prose(told, hanging="  "))
    paper.line()
    paper.line(f"  {'go on':<9}{paper.bold(hints(store).command('resume', execution_id))}")


@click.command(epilog=CTRL_C)
@click.argument("execution_id", metavar="ID")
@click.option(
    "--at", metavar="PLACE", help="A checkpoint (its name or id) or a position of `history`.  [default: its end]"
)
@click.option("--id", "fork_id", metavar="NEW", help="The id of the new execution.  [default: a new one]")
@click.option("--set", "texts", metavar="NAME=VALUE", multiple=True, help="A variable of the new one; may be repeated.")
@click.option("--from", "step", metavar="KEY", help="Begin anew at this step, with all that depends on it.")
@click.option("--later", is_flag=True, help="Make it, and do not go on with it now.")
@wait_option
@running_options("disk", "process")
def fork(
    execution_id: str,
    at: str | None,
    fork_id: str | None,
    texts: Sequence[str],
    step: str | None,
    later: bool,
    wait: bool,
    **options: Any,
) -> int:
    """Make a new execution that begins where another one stood, and go on with it.

    What had happened up to there is taken over, results included: nothing of it is done again. The other execution
    stays as it is. A variable that is set counts for steps that begin from then on; --from runs a step again that had
    ended.
    """
    from orchestrator.cli.typed import pairs

    with opened(options["store"]) as orchestrator:
        given = pairs(texts, "--set")
        variables = _variables(orchestrator, execution_id, given) if given else {}
        new = orchestrator.fork(execution_id, at=at, fork_id=fork_id, variables=variables, from_step=step)
        record = orchestrator.show(new)
    position = record.forked_from[1] if record.forked_from is not None else 0
    if not later:
        from orchestrator.errors import ConcurrencyBusyError

        try:
            return go_on(new, options, lambda o: o.aresume(new, wait=wait))
        except ConcurrencyBusyError:  # it is made all the same
            _tell(new, execution_id, position, options)
            raise
    _tell(new, execution_id, position, options)
    return 0


def _variables(orchestrator: Orchestrator, execution_id: str, given: Mapping[str, str]) -> Mapping[str, Any]:
    """The values that were given, each by the type of the input that it stands for. Raises InputError."""
    from orchestrator.cli.functions import parameters_of_recorded
    from orchestrator.cli.look import outline_of
    from orchestrator.errors import InputError
    from orchestrator.pipelines.wording import did_you_mean

    record = orchestrator.show(execution_id)
    outline = outline_of(orchestrator, orchestrator.history(execution_id))
    inputs: Mapping[str, Mapping[str, Any]] = outline.definition.get("inputs", {})
    known = dict.fromkeys([*inputs, *record.inputs, *record.variables, *outline.order])
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
            raise InputError(f"execution {execution_id} has no variable {name!r}; {hint}")
    parameters = parameters_of_recorded(outline, str(record.base_dir or ""))
    return {
        name: parameters[name].read(name, text) if name in parameters else _variable(name, text, inputs.get(name, {}))
        for name, text in given.items()
    }


def _variable(name: str, text: str, spec: Mapping[str, Any]) -> Any:
    """A value that fits the input of that name, as one that is given to `run` does. Raises InputError."""
    from orchestrator.cli.typed import typed
    from orchestrator.errors import InputError
    from orchestrator.pipelines.input_types import unfit

    type_word = str(spec.get("type", "any"))
    value = typed(f"variable {name!r}", text, type_word)
    if value is None and "default" in spec and spec["default"] is None:
        return None
    if fault := unfit(value, type_word):
        raise InputError(f"variable {name!r}: {fault}")
    return Path.cwd() / value if type_word == "path" else value


def _tell(new: str, source: str, position: int, options: Mapping[str, Any]) -> None:
    from orchestrator.cli.paper import Paper

    paper = Paper(sys.stdout)
    if options["as_json"]:
        paper.json({"execution_id": new, "forked_from": source, "position": position, "status": "paused"})
    elif not options["quiet"]:
        told = f"{paper.symbol('completed')} execution {new} begins where {source} stood at position {position}"
        paper.lines(paper.prose(told, hanging="  "))
        paper.line()
        paper.line(f"  {'go on':<9}{paper.bold(hints(options['store']).command('resume', new))}")

"""`orchestrator history`: the journal, one line per event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, opened, store_option

if TYPE_CHECKING:
    from orchestrator.journal.events import Entry

#: As long as the longest kind, `intervention_requested`.
_KIND_COLUMNS = 22


@click.command()
@click.argument("execution_id", metavar="ID")
@store_option
@json_option
def history(execution_id: str, store: str | None, as_json: bool) -> None:
    """Show the events of one execution.

    One line each: its position in the journal, its time, its kind, and what it says.
    """
    import sys

    from orchestrator.cli.paper import Paper
    from orchestrator.cli.words import iso, time_of_day
    from orchestrator.journal.records import kind_of

    with opened(store) as orchestrator:
        entries = orchestrator.history(execution_id)
    paper = Paper(sys.stdout)
    if as_json:
        paper.json(
            [
                {"position": e.position, "at": iso(e.at), "kind": kind_of(e.event), **dict(facts(e, whole=True))}
                for e in entries
            ]
        )
        return
    positions = len(str(entries[-1].position))
    for entry in entries:
        place = f"{entry.position:>{positions}}  {time_of_day(entry.at)}"
        told = f"{kind_of(entry.event):<{_KIND_COLUMNS}}  {in_words(entry)}"
        paper.lines(paper.prose(told, f"{paper.dim(place)}  ", " " * (len(place) + 2)))


def facts(entry: Entry, *, whole: bool) -> Iterator[tuple[str, Any]]:
    """What an event says, field by field. A value is told by its size (`show` has it), an error by its message."""
    from dataclasses import fields

    from orchestrator.journal.codec import Encoded
    from orchestrator.journal.records import kind_of

    event = entry.event
    for name in (field.name for field in fields(event)):
        value = getattr(event, name)
        match value:
            case Encoded():
                yield name, size(value)
            case Mapping() if name == "error" and not whole:
                yield name, value.get("message", "")
            case tuple() if name == "items":
                yield name, len(value)
            case tuple() if name in ("inputs", "writes"):
                yield name, {key: size(encoded) for key, encoded in value}
            case int() if name == "position":  # the entry has one of its own
                yield _PLACES.get(kind_of(event), "checkpoint_position"), value
            case Mapping() if name == "hashes" and not whole:
                yield "handlers", len(value)
            case Mapping() if name == "ask" and not whole:
                yield "choices", tuple(value.get("choices", ()))
            case _:
                yield name, value


def size(value: Any) -> str:
    """How much an encoded value takes: `812 bytes`, or with blobs `240 bytes and 3 blobs`."""
    from orchestrator.cli.words import count

    blobs = f" and {count(len(value.blobs), 'blob')}" if value.blobs else ""
    return f"{count(len(value.data), 'byte')}{blobs}"


#: Fields that tell nothing to a person, or nothing in one line.
_LEFT_OUT = ("execution_id", "model", "graph", "base_dir", "checkpoint_position", "message")
#: Fields whose value speaks for itself.
_BARE = ("key", "step_key", "reason", "pipeline_id", "description", "decision", "instructions", "subject", "how")
#: Kinds whose `position` is another one than that of a checkpoint.
_PLACES = {"signal_taken": "signal_position", "execution_forked": "position_there"}


def in_words(entry: Entry) -> str:
    """What an event says, in one line for a person."""
    return "  ".join(word for name, value in facts(entry, whole=False) if (word := _in_a_word(name, value)))


def _in_a_word(name: str, value: Any) -> str:
    """One fact, its name included where the value alone says too little; empty where there is nothing to tell."""
    from orchestrator.cli.rows import way_out
    from orchestrator.cli.words import moment, one_line, shorten, time_of_day

    if name in _LEFT_OUT or value in (None, "", (), {}) or (name == "generation" and value == 1):
        return ""
    if isinstance(value, bool):
        return name if value else ""
    match name:
        case "due_at":
            return f"again at {time_of_day(value)}"
        case "deadline" | "until":
            return f"until {moment(value)}"
        case "kind":
            return f"for {'an' if str(value)[0] in 'aeiou' else 'a'} {value}"
        case "case":
            return f"case {value + 1}"
        case "index":
            return f"round {value + 1}"
        case "error":
            return shorten(one_line(str(value)), 100)
        case "plan":
            return way_out(value)
        case "keys":
            return ", ".join(value)
        case "inputs" | "writes" | "deleted" | "expanded" | "changed" | "choices" | "parts":
            return f"{name} {', '.join(value)}"
        case _:
            text = shorten(one_line(str(value)), 100)
            return text if name in _BARE else f"{name} {text}"

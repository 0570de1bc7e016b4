"""`orchestrator history`: the journal, one line per event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, opened, store_option

if TYPE_CHECKING:
    from orchestrator.journal.events import Entry


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
        paper.line(f"{paper.dim(place)}  {kind_of(entry.event):<19}  {_in_words(entry)}")


def facts(entry: Entry, *, whole: bool) -> Iterator[tuple[str, Any]]:
    """What an event says, field by field. A value is told by its size (`show` has it), an error by its message."""
    from dataclasses import fields

    from orchestrator.journal.codec import Encoded

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
            case _:
                yield name, value


def size(value: Any) -> str:
    """How much an encoded value takes: `812 bytes`, or with blobs `240 bytes and 3 blobs`."""
    from orchestrator.cli.words import count

    blobs = f" and {count(len(value.blobs), 'blob')}" if value.blobs else ""
    return f"{count(len(value.data), 'byte')}{blobs}"


def _in_words(entry: Entry) -> str:
    from orchestrator.cli.words import one_line, shorten, time_of_day

    words = []
    for name, value in facts(entry, whole=False):
        match name:
            case "execution_id" | "model" | "base_dir":
                continue
            case "key" | "step_key" | "reason" | "pipeline_id":
                words.append(str(value))
            case "generation" | "attempt" | "checkpoint" | "fingerprint" | "output" | "outputs" | "epoch" | "owner":
                if value is not None and (name != "generation" or value > 1):
                    words.append(f"{name} {value}")
            case "due_at":
                words.append(f"again at {time_of_day(value)}")
            case "error":
                words.append(shorten(one_line(str(value)), 100))
            case "keys":
                words.append(", ".join(value))
            case "inputs" | "writes":
                words += [f"{name} {', '.join(value)}"] if value else []
            case _:
                words.append(f"{name} {value}")
    return "  ".join(word for word in words if word)

"""`orchestrator du`: where the bytes are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import address, json_option, location_of, opened, store_option

if TYPE_CHECKING:
    from orchestrator.cli.paper import Paper
    from orchestrator.journal.step_usage import ExecutionUsage
    from orchestrator.journal.usage import Usage, Usages


@click.command()
@click.argument("execution_id", metavar="[ID]", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many lines each.")
@store_option
@json_option
def du(execution_id: str | None, limit: int, store: str | None, as_json: bool) -> None:
    """Show how many bytes each execution takes, or each step of one.

    Largest first. With ID each step and each variable of that execution; a
    step has the bytes of the variables that it sets. VALUES are large values,
    which are kept once however many refer to them: SHARED is the part of them
    that others hold as well.
    """
    import sys

    from orchestrator.cli.paper import Paper

    paper = Paper(sys.stdout)
    with opened(store) as orchestrator:
        if execution_id is not None:
            _show_execution(orchestrator.usage_of(execution_id), paper, limit, as_json)
        else:
            _show_store(orchestrator.usage(), paper, location_of(address(store)), limit, as_json)


def _show_store(usages: Usages, paper: Paper, where: str, limit: int, as_json: bool) -> None:
    from orchestrator.cli.words import count

    if as_json:
        executions = [_data(usage, "execution_id", "appends") for usage in usages.executions[:limit]]
        paper.json({"executions": executions, **_store_data(usages), "store": where})
    elif usages.executions:
        _table(usages.executions, ("EXECUTION", "APPENDS"), paper, limit)
        paper.line()
        total = count(len(usages.executions), "execution")
        paper.lines(paper.prose(paper.joined(total, *_store_facts(_store_data(usages)), where)))
    else:
        paper.lines(paper.prose(f"no executions yet in {where}; `orchestrator run FILE` starts one"))


def _store_data(usages: Usages) -> Mapping[str, int]:
    store = usages.store
    return {
        "executions_total": len(usages.executions),
        "journal_bytes": sum(usage.journal_bytes for usage in usages.executions),
        "value_bytes": store.blob_bytes,
        "unused_bytes": usages.unused_bytes,
        "note_bytes": sum(usage.note_bytes for usage in usages.executions),
        "file_bytes": store.file_bytes,
        "free_bytes": store.free_bytes,
        "log_bytes": store.log_bytes,
    }


def _store_facts(data: Mapping[str, int]) -> Iterator[str]:
    """Each fact where there is something to say."""
    from orchestrator.cli.words import size

    facts = {
        "journal_bytes": "journals",
        "value_bytes": "values",
        "unused_bytes": "values of no execution",
        "note_bytes": "notes",
        "file_bytes": "file",
        "free_bytes": "free in it",
        "log_bytes": "write-ahead log",
    }
    return (f"{word} {size(data[name])}" for name, word in facts.items() if data[name])


def _show_execution(found: ExecutionUsage, paper: Paper, limit: int, as_json: bool) -> None:
    if as_json:
        steps = [_data(usage, "step", "events") for usage in found.steps[:limit]]
        variables = [_data(usage, "variable", "versions") for usage in found.variables[:limit]]
        paper.json({**_data(found.whole, "execution_id", "appends"), "steps": steps, "variables": variables})
        return
    paper.lines(paper.prose(paper.joined(paper.bold(found.whole.name), *_facts(found.whole))))
    for usages, words in ((found.steps, ("STEP", "EVENTS")), (found.variables, ("VARIABLE", "VERSIONS"))):
        if usages:
            paper.line()
            _table(usages, words, paper, limit)


def _facts(whole: Usage) -> Iterator[str]:
    """An execution in one line; values that several of its steps hold count once."""
    from orchestrator.cli.words import count, size

    yield size(whole.total_bytes)
    yield f"journal {size(whole.journal_bytes)} in {count(whole.count, 'append')}"
    if whole.value_bytes:
        shared = f" ({size(whole.shared_bytes)} shared with other executions)" if whole.shared_bytes else ""
        yield f"values {size(whole.value_bytes)}{shared}"
    if whole.note_bytes:
        yield f"notes {size(whole.note_bytes)}"


def _data(usage: Usage, name: str, count: str) -> Mapping[str, Any]:
    return {
        name: usage.name or None,
        count: usage.count,
        "total_bytes": usage.total_bytes,
        "journal_bytes": usage.journal_bytes,
        "value_bytes": usage.value_bytes,
        "shared_bytes": usage.shared_bytes,
        "note_bytes": usage.note_bytes,
    }


def _table(usages: Sequence[Usage], words: tuple[str, str], paper: Paper, limit: int) -> None:
    """A line each, and one for the rest. A column in which all is nothing is left out."""
    from orchestrator.cli.words import count

    head = (*words, "JOURNAL", "VALUES", "SHARED", "NOTES", "TOTAL")
    rows = [_cells(usage) for usage in usages[:limit]]
    kept = [i for i in range(len(head)) if i < 2 or any(row[i] != "0 B" for row in rows)]
    table = [[paper.dim(head[i]) for i in kept], *([row[i] for i in kept] for row in rows)]
    paper.table(table, right=range(1, len(kept)))
    if len(usages) > limit:
        rest = count(len(usages) - limit, "smaller one")
        paper.line(paper.dim(f"{paper.symbols.ellipsis} and {rest}; `--limit` shows more"))


def _cells(usage: Usage) -> Sequence[str]:
    from orchestrator.cli.words import one_line, size

    parts = (usage.journal_bytes, usage.value_bytes, usage.shared_bytes, usage.note_bytes, usage.total_bytes)
    return [one_line(usage.name) or "(no step)", f"{usage.count:,}", *map(size, parts)]

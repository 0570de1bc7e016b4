"""The page: every figure with its spread, beside the targets and the peers, and how all of it was made."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from benchmarks.contenders import CONTENDERS, LIMIT, ORCHESTRATOR, Contender
from benchmarks.figures import FIGURES, number
from benchmarks.results import Results, Spread
from benchmarks.workloads import WORKLOADS, Workload

#: What Orchestrator is called by where it is alone with its variant.
_OURS = {"bare": "Orchestrator, durability none", "bare_threads": "Orchestrator, durability none"}
_NOT_PEERS = {ORCHESTRATOR, LIMIT, *_OURS.values()}


def page(results: Results, charts: Iterable[str] = ()) -> str:
    """`RESULTS.md`."""
    drawn = set(charts)
    parts = [
        "# Measured",
        how(results),
        "## In short",
        summary(results),
        *(section(results, workload, drawn) for workload in WORKLOADS if _entrants(results, workload)),
        "## Who was measured",
        contestants(results),
        "## Dashes",
        dashes(results),
        NOTES.strip(),
    ]
    return "\n\n".join(parts) + "\n"


def how(results: Results) -> str:
    """How it was made."""
    machine, raw, load = results.machine, results.range_of("raw_commit_seconds"), results.range_of("load")
    rounds = 1 + max((sample.round for sample in results.samples), default=0)
    text = HOW.strip().format(
        command=results.command,
        rounds=rounds,
        s="s" if rounds > 1 else "",
        raw=_written(Spread(*(value * 1e6 for value in raw))),
        load=_written(load),
        **machine,
    )
    return "\n\n".join(textwrap.fill(part, 120, break_on_hyphens=False) for part in text.split("\n\n"))


def summary(results: Results) -> str:
    """A row for each target: what was to be reached, what was, what the limit and the best durable peer have."""
    rows = [
        _summary_row(results, workload, target.figure, target.most)
        for workload in WORKLOADS
        for target in workload.targets
        if _entrants(results, workload)
    ]
    head = (
        "workload",
        "figure",
        "target",
        "Orchestrator",
        "reached",
        "limit",
        "best durable peer",
        "peer ÷ Orchestrator",
    )
    return _table(head, rows)


def section(results: Results, workload: Workload, charts: set[str]) -> str:
    """One workload: what it is, its chart, its table."""
    figures = [FIGURES[name].label for name in workload.figures]
    rows = [_contender_row(results, workload, contender) for contender in _entrants(results, workload)]
    image = [f"![{workload.title}](charts/{workload.key}.svg)"] if workload.key in charts else []
    title = f"## {workload.title}" + (f": {_size(results, workload):,} {workload.unit}" if workload.unit else "")
    return "\n\n".join([title, workload.what, *image, _table(("system", *figures), rows)])


def contestants(results: Results) -> str:
    """Versions and sync modes."""
    rows = [(_name(c), c.sync, _versions(results, c)) for c in CONTENDERS]
    return _table(("system", "sync mode", "versions"), rows)


def dashes(results: Results) -> str:
    """Why a system has no figure."""
    lines = [f"- {c.name}: {reason}." for c in CONTENDERS if (reason := results.reasons.get(c.name))]
    for contender in CONTENDERS:
        for workload in WORKLOADS:
            reason = contender.lacks.get(workload.key) or (
                "" if results.of(contender.name, workload.key) else results.reason(contender.name, workload.key)
            )
            if reason and contender.name not in results.reasons:
                lines.append(f"- {contender.name}, {workload.title}: {reason}.")
    return "\n".join(lines) or "None."


def _entrants(results: Results, workload: Workload) -> list[Contender]:
    """Who was to run a workload, with or without success; none where nobody has a result."""
    entrants = [c for c in CONTENDERS if workload.key in {**c.runs, **c.cold, **c.lacks}]
    return entrants if any(results.of(c.name, workload.key) for c in entrants) else []


def _size(results: Results, workload: Workload) -> int:
    return max((sample.size for sample in results.samples if sample.workload == workload.key), default=workload.size)


def _summary_row(results: Results, workload: Workload, figure: str, most: float) -> tuple[str, ...]:
    ours = results.spread(_OURS.get(workload.key, ORCHESTRATOR), workload.key, figure)
    limit = results.spread(LIMIT, workload.key, figure)
    peer = _best_peer(results, workload, figure)
    reached = "–" if ours is None else "yes" if ours.median <= most else "**no**"
    shown = (f"{peer[0]}: {number(peer[1])}", number(peer[1] / ours.median)) if peer and ours else ("–", "–")
    target = f"≤ {number(most)}"
    return workload.title, FIGURES[figure].label, target, _written(ours), reached, _median(limit), *shown


def _best_peer(results: Results, workload: Workload, figure: str) -> tuple[str, float] | None:
    medians = [
        (spread.median, contender.name)
        for contender in CONTENDERS
        if contender.keeps_each_step
        and contender.name not in _NOT_PEERS
        and figure == workload.figure
        and (spread := results.spread(contender.name, workload.key, figure))
    ]
    if not medians:
        return None
    median, name = min(medians)
    return name, median


def _contender_row(results: Results, workload: Workload, contender: Contender) -> tuple[str, ...]:
    samples = results.of(contender.name, workload.key)
    is_other = bool(samples) and samples[0].size != _size(results, workload)
    size = f" ({samples[0].size:,} {workload.unit})" if is_other else ""
    figures = (_written(results.spread(contender.name, workload.key, figure)) for figure in workload.figures)
    return _name(contender) + size, *figures


def _name(contender: Contender) -> str:
    names = {ORCHESTRATOR: f"**{ORCHESTRATOR}**", LIMIT: "*limit: by hand with apsw*"}
    return names.get(contender.name, contender.name)


def _versions(results: Results, contender: Contender) -> str:
    found = results.versions.get(contender.name, {})
    return ", ".join(f"{name} {version}" for name, version in found.items()) or "–"


def _written(spread: Spread | None) -> str:
    """Median (least–most)."""
    return "–" if spread is None else f"{number(spread.median)} ({number(spread.least)}–{number(spread.most)})"


def _median(spread: Spread | None) -> str:
    return "–" if spread is None else number(spread.median)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


HOW = """
Made by `{command}`: {rounds} round{s} in turn, each sample in a fresh process and an empty folder, warmed up outside of
the clock; median (least–most). Machine: {cores} cores, {processor}, {system}, {filesystem}; Python {python}, SQLite
{sqlite} (apsw; the peers use the one of their Python). Load average while it ran: {load}.

*Raw commits per step* is the time of a step over the time of one raw SQLite commit (a row of 100 bytes, WAL,
synchronous FULL), measured just before and just after each sample: {raw} µs. It is the figure to compare where the disk
is shared; the others are those of this machine. *Limit* is the same results written by hand with apsw in the same sync
mode. *Rows* are those of all tables at the end; *KB written* is what the process gave to the disk. Templates and other
parts on their own are in [ROOMS.md](ROOMS.md).
"""

NOTES = """
## What is not equal

- Steps do nothing and return about 100 bytes, so that only the engine is measured. With real work it matters less.
- W1-W3: Orchestrator checks the pipeline within the clock; a peer's graph is compiled before it.
- W4: one kill per system; each sample resumes a copy of what it left, in a new process, after the imports. The limit
  reads every result back. Burr reads its newest state only: the results of earlier steps are gone.
- W5: one step of Orchestrator makes the text and each other step takes it as an argument. In LangGraph and Burr it is
  in the state; in DBOS a step's result that is passed on, as DBOS does not store arguments; by hand a row written
  once. The text is hexadecimal digits, of which Orchestrator's compression makes half.
- W6: the first use of Orchestrator's names counts under *first use*, as `import orchestrator` itself loads little.
- W7: an event that nobody sets (Orchestrator, LangGraph, the limit), a message that nobody sends (DBOS), an application
  between two steps (Burr). Connections and threads that a system opens once are in the figure.
- The faster of a peer's ordinary and coroutine forms was taken. LangGraph's default durability, `async`, is faster and
  loses finished steps when the process dies.
- Compared as durable is what has each step on the disk before the next begins. Not so: LangGraph's functional API hands
  a task's result to a thread that writes it later (W4 runs several bodies again); pydantic-graph never syncs; Prefect
  commits with synchronous NORMAL.
- DBOS on PostgreSQL is left out: a server is no equal of a file.
- The end of a process is not the loss of power: whether the disk keeps what it has synced is not tested here.
"""

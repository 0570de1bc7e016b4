"""`orchestrator show` for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from orchestrator.cli.ending import output_lines
from orchestrator.cli.hints import Hints
from orchestrator.cli.keys import label_of
from orchestrator.cli.look import Look
from orchestrator.cli.paper import COLOURS, Paper, visible
from orchestrator.cli.rows import Row
from orchestrator.cli.sentences import awaited
from orchestrator.cli.story import step_story, story
from orchestrator.cli.waiting import how_to_answer, only_a_time, only_waits, waiting_lines
from orchestrator.cli.words import clean, count, duration, json_text, moment, one_line, plain_data, shorten
from orchestrator.status import ENDED, UNFINISHED

#: Lines of a traceback, for the execution that it ended and for the step that it belongs to.
_TRACEBACK_LINES, _WHOLE_TRACEBACK = 12, 200
_NAME_COLUMNS = 40
#: Why it is paused stands beside its state, or below where that takes more.
_REASON_COLUMNS = 120
#: Of why a step failed whose failure is borne.
_WHY_COLUMNS = 120


def execution_lines(look: Look, paper: Paper, hints: Hints) -> Iterator[str]:
    """The execution, its steps, what came out of it or what went wrong, and what to type next."""
    record = look.record
    reason = one_line(record.pause_reason)
    beside = f" ({reason})" if 0 < len(reason) <= _REASON_COLUMNS else ""
    state = paper.paint(look.state, COLOURS.get(look.state))
    yield from paper.prose(f"{paper.bold(record.pipeline_id)}  {record.execution_id}  {state}{beside}")
    steps = look.board.counted(record.steps_done)
    took = duration(look.board.seconds(look.now))
    facts = paper.joined(moment(record.created_at), took, steps, look.orchestrator.store.location)
    yield from map(paper.dim, paper.prose(facts))
    if reason and not beside:
        yield from paper.prose(reason)
    if look.asked and record.status in UNFINISHED:
        yield from paper.prose(f"asked to {', '.join(one_line(word) for word in look.asked)}; nobody has done so yet")
    if rows := look.board.rows(look.now):
        yield ""
        yield from _rows(rows, look, paper)
    if record.outputs is not None and (outputs := look.orchestrator.value(record.outputs)):
        yield ""
        yield "outputs"
        yield from output_lines(outputs, paper)
    told = list(story(look.board, paper, traceback_lines=_TRACEBACK_LINES))
    yield from ["", *told] if told else []
    yield ""
    if record.status in UNFINISHED:
        yield from waiting_lines(look.board, paper, hints, traceback_lines=_TRACEBACK_LINES)
    yield from _next(look, paper, hints)


def _rows(rows: Sequence[Row], look: Look, paper: Paper) -> Iterator[str]:
    names = ["  " * row.depth + label_of(row.key) for row in rows]
    columns = min(_NAME_COLUMNS, max(map(len, names)))
    for name, row in zip(names, rows, strict=True):
        yield from _row(f"{name:<{columns}}", row, look, paper)


def _row(name: str, row: Row, look: Look, paper: Paper) -> Iterator[str]:
    idle = row.state in ("pending", "skipped") or row.seconds is None
    took = "" if idle else duration(row.seconds or 0.0)
    start = f"  {paper.symbol(row.sign)} {paper.dim(name) if idle else name}  {paper.dim(f'{took:>7}')}  "
    first, *more = paper.prose(", ".join(_told(row, look)), start, " " * visible(start))
    yield start + paper.dim(first.removeprefix(start))
    yield from map(paper.dim, more)


def _told(row: Row, look: Look) -> Iterator[str]:
    if row.name:
        yield one_line(row.name)
    if row.state == "waiting" and row.asked is not None and not row.asked.is_for_a_person and not row.opened:
        yield f"waiting {awaited(row.asked)}"
    elif row.state == "cancelled" and row.reason:
        yield f"cancelled: {one_line(row.reason)}"
    elif row.state == "pending" and look.record.status in ENDED:
        yield "not run"
    elif row.state == "failed" and look.record.failed_step is None and not row.opened:  # no story below tells why
        why = (look.step(row.key).error or {}).get("message", "no message")
        yield f"failed: {shorten(one_line(str(why)), _WHY_COLUMNS)}"
    elif row.state != "completed":
        yield row.state
    if row.case is not None:
        yield f"case {row.case + 1}"
    if row.rounds is not None:
        yield count(row.rounds, "round")
    if row.total is not None:
        some = "" if row.done == row.total else f"{row.done:,} of "
        yield some + count(row.total, "item")
    if row.waiting and row.total is not None:
        people = row.asked is not None and row.asked.is_for_a_person
        yield f"{row.waiting:,} waiting{' for a person' if people else ''}"
    if row.attempt > 1:
        yield count(row.attempt, "attempt")
    if row.recovery and row.state != "skipped":
        yield row.recovery
    if row.rollbacks:
        yield count(row.rollbacks, "rollback")
    checkpoint = look.step(row.key).checkpoint
    if checkpoint is not None:
        yield f"checkpoint {checkpoint}"


def _next(look: Look, paper: Paper, hints: Hints) -> Iterator[str]:
    resume = ("resume", "go on")
    verb = {"failed": ("retry", "retry"), "paused": resume, "abandoned": resume}.get(look.state)
    if look.state == "paused" and (only_waits(look.board) or only_a_time(look.board)):
        verb = None
    for word, purpose in (verb, ("logs", "logs")) if verb else (("logs", "logs"),):
        yield f"  {purpose:<9}{paper.bold(hints.command(word, look.record.execution_id))}"


def step_lines(look: Look, key: str, paper: Paper, hints: Hints) -> Iterator[str]:
    """One step: how it stands, what went wrong in it, and its whole output."""
    step = look.step(key)
    state = look.board.state(step)
    yield f"{paper.bold(step.key)}  {paper.paint(state, COLOURS.get(state))}"
    if step.started_at is not None:
        seconds = look.board.step_seconds(step.key, look.now)
        told = [moment(step.started_at)]
        told += [duration(seconds)] if seconds is not None else []
        told += [f"attempt {step.attempt}"] if step.attempt > 1 else []
        told += [one_line(step.name)] if step.name else []
        yield from map(paper.dim, paper.prose(paper.joined(*told)))
    if step.failures:
        questions = look.board.questions.about(step.key)
        answered = [question for question in questions if not (step.waiting and question is questions[-1])]
        yield ""
        yield from step_story(step, paper, answered, traceback_lines=_WHOLE_TRACEBACK)
        if len(answered) < len(questions):
            yield ""
            yield from how_to_answer(look.board, questions[-1], paper, hints)
    if step.reason:
        yield ""
        yield from paper.prose(one_line(step.reason), "  ")
    inside = look.board.rows_of(step.key, look.now)[1:]
    if inside:
        yield ""
        yield from _rows([replace(row, depth=row.depth - 1) for row in inside], look, paper)
    if not step.failures:
        for question in look.board.questions.open_of(step.key).values():
            if question.key == step.key:
                yield ""
                yield from how_to_answer(look.board, question, paper, hints)
    found = look.output(step)
    if found is not None:
        value = plain_data(found[0])
        yield ""
        yield from (clean(value) if isinstance(value, str) else json_text(value)).split("\n")

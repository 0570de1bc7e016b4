"""What stands there when steps wait: what went wrong or is asked, until when, and what to type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.paper import Paper
from orchestrator.cli.questions import APPROVAL, FAILURE, SIGNAL, TIME, Question
from orchestrator.cli.sentences import answer_options, awaited
from orchestrator.cli.story import step_story
from orchestrator.cli.words import clean, count, iso, moment, one_line

#: So many waiting steps are told in full, and so many more by their keys.
_IN_FULL, _NAMED = 3, 5
#: Why an execution is paused that waits, in journals of old, which do not say so otherwise.
_OF_OLD = "waiting "


def only_waits(board: Board) -> bool:
    """Whether nothing but an answer or a signal helps: a resume would have nothing to do."""
    questions, record = board.questions, board.record
    if questions.posted or not (record.waits or record.pause_reason.startswith(_OF_OLD)):
        return False
    kinds = {question.kind for question in questions.waits()}
    return bool(kinds) and TIME not in kinds


def only_a_time(board: Board) -> bool:
    """Whether nothing but times are awaited: what goes on then stands beside each of them."""
    kinds = {question.kind for question in board.questions.waits()}
    return board.record.waits and kinds == {TIME} and not board.questions.posted


def waiting_lines(board: Board, paper: Paper, hints: Hints | None, *, traceback_lines: int) -> Iterator[str]:
    """Every step that waits; nothing where none does. Without hints nobody can answer: nothing was kept."""
    questions = sorted(board.questions.waits(), key=lambda question: not question.is_for_a_person)
    for question in questions[:_IN_FULL]:
        step = board.record.steps[question.key]
        if question.kind == FAILURE:
            answered = board.questions.about(step.key)[:-1]
            yield from step_story(step, paper, answered, traceback_lines=traceback_lines)
            yield ""
        else:
            sign = paper.symbol("waiting" if question.is_for_a_person else "asleep")
            yield from paper.prose(f"{sign} step {paper.bold(question.key)} waits {_for_what(question)}", hanging="  ")
        yield from how_to_answer(board, question, paper, hints)
        yield ""
    if others := [question.key for question in questions[_IN_FULL:]]:
        more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
        yield from paper.prose(f"{count(len(others), 'other')} also: {', '.join(others[:_NAMED])}{more}", "  ")
        yield ""


def waits_data(board: Board) -> list[Mapping[str, Any]]:
    """All that an execution waits for, for programs."""
    return [
        {
            "step": question.key,
            "kind": question.kind,
            "for": question.instructions,
            "since": iso(question.asked_at),
            "until": iso(question.deadline),
            "answered": board.questions.posted.get(question.key),
        }
        for question in board.questions.waits()
    ]


def _for_what(question: Question) -> str:
    return "for a person" if question.kind == APPROVAL else awaited(question)


def how_to_answer(board: Board, question: Question, paper: Paper, hints: Hints | None) -> Iterator[str]:
    """What a person is told, and the commands that end the wait."""
    if question.is_for_a_person:
        for line in clean(question.instructions).strip().splitlines():
            yield from paper.prose(line, "  ")
    if question.key in board.questions.posted:
        verb = "answered already: " if question.is_for_a_person else "already "
        yield from paper.prose(verb + board.questions.posted[question.key], "  ")
        return
    if hints is None:
        yield from paper.prose("nothing was kept, so that nobody can answer; run it with a store", "  ")
        return
    if question.kind == APPROVAL:
        for told in about_approval(question.ask, question.deadline):
            yield from paper.prose(told, "  ")
    elif question.kind == FAILURE and question.deadline is not None:
        yield from paper.prose(f"without an answer until {moment(question.deadline)} the step fails", "  ")
    commands = [*_commands(board, question, hints)]
    if commands and question.is_for_a_person:
        yield ""
    columns = max(9, *(len(purpose) + 1 for purpose, _ in commands)) if commands else 0
    for purpose, command in commands:
        yield f"  {purpose:<{columns}}{paper.bold(command)}"


def _commands(board: Board, question: Question, hints: Hints) -> Iterator[tuple[str, str]]:
    id_ = board.execution_id
    match question.kind:
        case "failure":
            yield "retry", hints.command("answer", id_, question.key, "retry")
            yield "skip", hints.command("answer", id_, question.key, "skip", "--value", "JSON")
            yield "give up", hints.command("answer", id_, question.key, "abort")
        case "approval":
            options = answer_options(question.ask)
            for choice in question.choices:
                yield one_line(choice), hints.command("answer", id_, question.key, choice, *options)
        case "signal":
            yield "send it", hints.command(SIGNAL, id_, question.instructions, "--payload", "JSON")
        case _:
            yield "go on", hints.command("resume", id_, "--wait")


def about_approval(ask: Mapping[str, Any], deadline: float | None) -> Iterator[str]:
    """Who may answer, with which fields, until when, and what counts then."""
    if who := [one_line(str(name)) for name in ask.get("who", ())]:
        yield f"who may answer: {', '.join(who)} (--by says who does)"
    form: Mapping[str, Mapping[str, Any]] = ask.get("form", {})
    for name, spec in form.items():
        yield f"field {one_line(str(name))}: {', '.join(_field(spec))}"
    if deadline is not None:
        default = ask.get("default")
        then = f"the answer is {one_line(str(default))}" if default is not None else "the step fails"
        yield f"without an answer until {moment(deadline)} {then}"


def _field(spec: Mapping[str, Any]) -> Iterator[str]:
    yield str(spec.get("type", "any"))
    if "default" in spec:
        yield f"{one_line(repr(spec['default']))} by default"
    else:
        yield "required"
    if "choices" in spec:
        yield "one of " + " ".join(one_line(str(choice)) for choice in spec["choices"])
    if spec.get("description"):
        yield one_line(str(spec["description"]))

"""What stands there when steps wait for a person: what went wrong, what is to be done, and how to answer."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.paper import Paper
from orchestrator.cli.questions import Question
from orchestrator.cli.story import step_story
from orchestrator.cli.words import clean, count, moment

#: So many waiting steps are told in full, and so many more by their keys.
_IN_FULL, _NAMED = 3, 5
#: Why an execution is paused that has more to do than to wait.
_INTERRUPTED = "interrupted"


def only_waits(board: Board) -> bool:
    """Whether nothing but an answer helps: a resume would have nothing to do."""
    questions = board.questions
    return any(questions.unanswered()) and not questions.posted and board.record.pause_reason != _INTERRUPTED


def waiting_lines(board: Board, paper: Paper, hints: Hints | None, *, traceback_lines: int) -> Iterator[str]:
    """Every step that waits; nothing where none does. Without hints nobody can answer: nothing was kept."""
    questions = [*board.questions.open()]
    for question in questions[:_IN_FULL]:
        step = board.record.steps[question.key]
        answered = board.questions.about(step.key)[:-1]
        yield from step_story(step, paper, answered, traceback_lines=traceback_lines)
        yield ""
        yield from how_to_answer(board, question, paper, hints)
        yield ""
    if others := [question.key for question in questions[_IN_FULL:]]:
        more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
        yield from paper.prose(f"{count(len(others), 'other')} also: {', '.join(others[:_NAMED])}{more}", "  ")
        yield ""


def how_to_answer(board: Board, question: Question, paper: Paper, hints: Hints | None) -> Iterator[str]:
    """The instructions of one question and the commands that answer it."""
    for line in clean(question.instructions).strip().splitlines():
        yield from paper.prose(line, "  ")
    if question.key in board.questions.posted:
        yield from paper.prose(f"answered already: {board.questions.posted[question.key]}", "  ")
        return
    if hints is None:
        yield from paper.prose("nothing was kept, so that nobody can answer; run it with a store", "  ")
        return
    if question.deadline is not None:
        yield from paper.prose(f"without an answer until {moment(question.deadline)} the step fails", "  ")
    yield ""
    for purpose, words in (("retry", ("retry",)), ("skip", ("skip", "--value", "JSON")), ("give up", ("abort",))):
        command = hints.command("answer", board.execution_id, question.key, *words)
        yield f"  {purpose:<9}{paper.bold(command)}"

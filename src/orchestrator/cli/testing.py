"""`orchestrator test`: the tests that stand in a file beside a pipeline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from orchestrator.cli.paper import Paper
    from orchestrator.testing.files import CaseResult, Subject


@click.command()
@click.argument("named", metavar="PIPELINE")
@click.option(
    "--tests",
    "tests_file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The file of the tests.  [default: NAME.tests.yaml beside NAME.yaml]",
)
@click.option("-k", "word", metavar="WORD", default="", help="Only the tests that have WORD in their name.")
@click.option(
    "--crash-everywhere",
    "crashes",
    is_flag=True,
    help="Run each test again for each commit, with a crash before it and after it.",
)
@click.option(
    "--clock",
    type=click.Choice(["fake", "real"]),
    default="fake",
    show_default=True,
    help="With a fake clock waits take no time.",
)
def test(named: str, tests_file: Path | None, word: str, crashes: bool, clock: str) -> int:
    """Run the tests of a pipeline, which stand in a file beside it.

    PIPELINE is a file, or a durable function: `module:function`, whose tests are in module.function.tests.yaml. Each
    test gives inputs, says what steps come to instead of their work, and what is expected of the run. Nothing is
    written: journals are kept in memory.
    """
    from orchestrator.cli.exits import ExitCode
    from orchestrator.cli.paper import Paper
    from orchestrator.cli.words import count
    from orchestrator.testing.files import read_cases, run_case

    subject, beside = _subject(named)
    file = tests_file or beside
    cases = [case for case in read_cases(file, subject) if word in case.name]
    if not cases:
        raise click.UsageError(f"no test has {word!r} in its name")
    paper = Paper(sys.stdout)
    failed = 0
    for case in cases:
        result = run_case(subject, case, real_clock=clock == "real", crashes=crashes)
        failed += not result.passed
        _tell(result, paper, str(file))
        sys.stdout.flush()
    told = f"{count(len(cases), 'test')}, {failed} failed" if failed else f"{count(len(cases), 'test')}, all ok"
    paper.line()
    paper.line(f"{paper.symbol('failed' if failed else 'completed')} {told}")
    return ExitCode.FAILED if failed else ExitCode.DONE


def _subject(named: str) -> tuple[Subject, Path]:
    """What a person has named, and where its tests stand when nothing else is said."""
    from orchestrator.cli.functions import find_function, is_function
    from orchestrator.testing.files import subject_of_file, subject_of_function

    if not is_function(named):
        return subject_of_file(named), Path(named).with_suffix(".tests.yaml")
    function = find_function(named)
    place, _, name = named.rpartition(":")
    folder = Path(place).with_suffix("") if place.endswith(".py") else Path(place.replace(".", "/"))
    return subject_of_function(function), folder.with_name(f"{folder.name}.{name}.tests.yaml")


def _tell(result: CaseResult, paper: Paper, file: str) -> None:
    """One line for a test, and one for each thing that was not as expected."""
    from orchestrator.cli.words import count

    word = paper.paint("ok    ", "green") if result.passed else paper.paint("FAILED", "red")
    crashed = f" {paper.symbols.dot} {result.cuts} crashes at {count(result.commits, 'commit')}" if result.cuts else ""
    paper.line(f"{word}  {result.case.name}  {paper.dim(f'{result.seconds:.2f} s')}{crashed}")
    if not result.passed:
        paper.line(f"        {paper.dim(f'{file}:{result.case.line}')}")
        for line in result.lines:
            paper.lines(paper.prose(line, indent="        ", hanging="          "))

"""The command line: shows and commands, decides nothing.

`main` is what `orchestrator`, `orc` and `python -m orchestrator` call. What a command needs is imported when that
command runs, so that `--help` and a mistyped option cost next to nothing. Whatever goes wrong becomes one message on
stderr and one exit code here (`exits`); a traceback is shown for a bug of ours alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def main(args: Sequence[str] | None = None) -> int:
    """Run one command of the command line and give its exit code; `args` are those of the process by default."""
    import click

    from orchestrator.cli.group import root
    from orchestrator.cli.hints import program
    from orchestrator.cli.streams import complete, forgiving, hush, is_full, lacks_files, pipe_is_broken

    complete()
    forgiving()
    try:
        # Without its standalone mode click raises what it would otherwise print and exit for.
        code = root.main(args, prog_name=program(), complete_var="_ORCHESTRATOR_COMPLETE", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as exc:
        _show(exc)
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - told on stderr
        if pipe_is_broken(exc):  # whoever read has read enough
            hush(sys.stdout)
            return 0
        if is_full(exc):
            hush(sys.stdout)
            return _cannot_write(exc)
        if lacks_files(exc):
            _print("error: no more files can be opened; raise the limit (`ulimit -n`), then try again")
            return _LACKS_FILES
        return _explain(exc)
    return int(code or 0)


def _show(exc: click.ClickException) -> None:
    """What click says, ended between words where the terminal would cut through one."""
    import io

    from orchestrator.cli.paper import Paper

    text, paper = io.StringIO(), Paper(sys.stderr)
    exc.show(text)
    for line in text.getvalue().splitlines():
        paper.lines(paper.prose(line))


_INTERRUPTED = 130
_OUTPUT_LOST = 1
_LACKS_FILES = 1


def _cannot_write(exc: BaseException) -> int:
    from orchestrator.cli.streams import hush

    try:
        print(f"error: cannot write the output: {getattr(exc, 'strerror', exc)}", file=sys.stderr, flush=True)
    except OSError:  # stderr is full as well: the exit code has to do
        hush(sys.stderr)
    return _OUTPUT_LOST


def _explain(exc: Exception) -> int:
    """Say on stderr what went wrong, with a traceback only where nobody but us can be at fault."""
    from orchestrator.cli.exits import ExitCode, exit_code_of

    code = exit_code_of(exc)
    if code is ExitCode.BUG or os.environ.get("ORCHESTRATOR_TRACEBACK"):
        _print_traceback(exc)
    for line in _message(exc, bug=code is ExitCode.BUG).splitlines():
        _print(line)
    return code


def _print_traceback(exc: Exception) -> None:
    """Where it went wrong, to be sent to us: without what looks like a credential."""
    import traceback

    from orchestrator.cli.paper import Paper
    from orchestrator.failure import scrub

    Paper(sys.stderr).lines(scrub("".join(traceback.format_exception(exc))).splitlines())


def _print(line: str) -> None:
    """A line on stderr. What is indented stands as it is: a line of a file, and the sign below it."""
    from orchestrator.cli.paper import Paper

    paper = Paper(sys.stderr)
    paper.lines([line] if line.startswith("    ") else paper.prose(line, hanging="       "))


def _message(exc: Exception, *, bug: bool) -> str:
    from orchestrator.cli.words import count
    from orchestrator.errors import PipelineFileError

    if bug:
        return "error: this is a fault of orchestrator itself, not of your pipeline; please report it"
    if isinstance(exc, PipelineFileError):  # begins with file:line:column, where editors look for it
        if len(exc.faults) == 1 and not exc.faults[0].line:  # of the file as a whole: there is nothing to count
            return f"error: {exc}"
        return f"{exc}\nerror: {exc.file} has {count(len(exc.faults), 'fault')}"
    return "error: " + str(exc).replace("\n", "\n       ")

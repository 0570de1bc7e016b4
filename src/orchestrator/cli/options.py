"""Options that several commands share, and opening a store to look into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.cli.hints import Hints

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator

F = TypeVar("F", bound=Callable[..., Any])

STORE_VARIABLE = "ORCHESTRATOR_STORE"

store_option = click.option(
    "--store",
    metavar="URL",
    envvar=STORE_VARIABLE,
    help="Where journals are kept: a path, sqlite:PATH or memory:  [default: .orchestrator/journal.db; "
    f"environment: {STORE_VARIABLE}]",
)

wait_option = click.option(
    "--wait", is_flag=True, help="Stay until the end, however long it waits for a person, a signal or a time."
)

by_option = click.option("--by", metavar="NAME", help="Who says so.  [default: your login name]")

#: What Ctrl-C does to a command that runs steps.
CTRL_C = """\b
Ctrl-C
  once   starts nothing new, asks what runs to end and gives it 10 seconds;
         the execution is paused then, and `resume` goes on (exit code 130)
  twice  ends everything at once; what was recorded is kept, `resume` goes on
SIGTERM does the same.
"""


def login() -> str:
    """The name that this account goes by; empty for one without."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as in some containers
        return ""


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def running_options(*durabilities: str) -> Callable[[F], F]:
    """The options of a command that runs steps."""

    def add(command: F) -> F:
        for option in (
            click.option("--quiet", "-q", is_flag=True, help="Say nothing unless it goes wrong."),
            click.option(
                "--json",
                "as_json",
                is_flag=True,
                help="Print the result as one JSON object on stdout; progress goes to stderr.",
            ),
            click.option(
                "--durability",
                type=click.Choice(durabilities),
                default="disk",
                show_default=True,
                help="What a recorded result survives: a loss of power (disk) or the death of this process (process)"
                + ("; none keeps it in memory." if "none" in durabilities else "."),
            ),
            store_option,
        ):
            command = option(command)
        return command

    return add


def hints(store: str | None) -> Hints:
    """Commands for this context; an address that stands in the environment need not be typed again."""
    context = click.get_current_context()
    source = context.get_parameter_source("store")
    typed = source is not None and source.name == "COMMANDLINE"
    return Hints(context.find_root().info_name or "orchestrator", store if typed else None)


@contextmanager
def opened(store: str | None) -> Iterator[Orchestrator]:
    """The store, to look into. One that is not there is not made: looking leaves nothing behind."""
    from orchestrator.app import Orchestrator
    from orchestrator.errors import UnknownExecutionError

    missing = is_missing(address(store))
    with Orchestrator("memory:" if missing else store) as orchestrator:
        try:
            yield orchestrator
        except UnknownExecutionError as exc:
            if not missing:
                raise
            raise UnknownExecutionError(exc.execution_id, location_of(address(store))) from None


def address(store: str | None) -> str:
    """The address that `--store` gave, or the default one."""
    from orchestrator.storage import DEFAULT_STORE

    return store or DEFAULT_STORE


def is_missing(url: str) -> bool:
    """Whether this names a file, and one that does not exist."""
    path = _file_of(url)
    return path is not None and not Path(path).exists()


def location_of(url: str) -> str:
    """What a person would call it: the path of a file, else the address."""
    return _file_of(url) or url


def _file_of(url: str) -> str | None:
    """The path that an address names; None for another kind of store."""
    scheme, colon, rest = url.partition(":")
    named = bool(colon) and len(scheme) > 1  # a single letter is a drive
    if named and scheme.lower() != "sqlite":
        return None
    path = rest if named else url
    return path.removeprefix("//") if path.startswith("///") else path

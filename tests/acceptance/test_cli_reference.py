"""The reference of the command line says what `--help` says, and names every command and exit code.

After a change of a help text: `ORCHESTRATOR_WRITE_REFERENCE=1 pytest tests/acceptance/test_cli_reference.py`.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli.exits import ExitCode
from orchestrator.cli.group import SECTIONS, root

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"
BLOCK = re.compile(r"```text\n\$ orchestrator(?P<command> [\w-]+)? --help\n(?P<help>.*?)```", re.DOTALL)


def help_of(name: str) -> str:
    """What `orchestrator NAME --help` prints in a terminal of 80 columns."""
    done = CliRunner().invoke(
        root, [*name.split(), "--help"], prog_name="orchestrator", terminal_width=78
    )  # what click takes of 80
    assert done.exit_code == 0
    return done.output


def rewritten(page: str) -> str:
    def block(found: re.Match[str]) -> str:
        name = found["command"] or ""
        return f"```text\n$ orchestrator{name} --help\n{help_of(name.strip()).rstrip()}\n```"

    return BLOCK.sub(block, page)


def commands() -> Iterator[str]:
    for section in SECTIONS.values():
        yield from section


def test_the_page_shows_every_help_text_word_for_word() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("ORCHESTRATOR_WRITE_REFERENCE"):
        PAGE.write_text(rewritten(page), encoding="utf-8")
        pytest.skip("written")
    shown = {(found["command"] or "").strip() for found in BLOCK.finditer(page)}
    assert shown == {"", *commands()}
    assert page == rewritten(page)


def test_the_page_and_the_help_name_every_exit_code() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {int(code) for code in rows} == {int(code) for code in ExitCode}
    told = dict(re.findall(r"^    (\d+) +(.+)$", help_of(""), flags=re.MULTILINE))
    assert told == {code: meaning for code, meaning in rows.items() if int(code) != ExitCode.BUG}


@pytest.mark.parametrize("name", list(commands()))
def test_the_register_has_the_first_line_of_each_help_text(name: str) -> None:
    context = click.Context(root)
    command = root.get_command(context, name)
    assert command is not None and command.name == name
    line = next(commands[name][1] for commands in SECTIONS.values() if name in commands)
    assert (command.help or "").splitlines()[0] == line

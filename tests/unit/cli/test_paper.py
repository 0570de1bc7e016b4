"""Lines that end between words where a terminal would cut through one."""

import io

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.paper import Paper, visible, wrapped

TEXT = "error: the file of the pipeline cannot be read; give another one"


class Screen(io.StringIO):
    """A terminal as far as paper asks."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    return Paper(Screen())


def test_a_sentence_in_a_narrow_terminal(narrow: Paper) -> None:
    assert [*narrow.prose(TEXT, hanging="  ")] == [
        "error: the file of the",
        "  pipeline cannot be read;",
        "  give another one",
    ]
    assert [*narrow.prose("  " + TEXT, "> ")][:2] == [">   error: the file of the", ">   pipeline cannot be read;"]
    assert [*narrow.prose("")] == [""]


def test_a_table_in_a_narrow_terminal(narrow: Paper) -> None:
    narrow.table([["STEP", "WHAT", "WHY"], ["one", "run again", "asked for, or more"]])
    assert isinstance(narrow.stream, io.StringIO)
    assert narrow.stream.getvalue().splitlines() == [
        "STEP  WHAT       WHY",
        "one   run again  asked for, or",
        " " * 17 + "more",
    ]


def test_where_nobodys_terminal_sets_a_width_nothing_is_cut() -> None:
    assert [*Paper(io.StringIO()).prose(TEXT, "  ")] == ["  " + TEXT]


def test_colours_take_no_room_and_a_long_word_stands_alone() -> None:
    painted = click.style("four", fg="red")
    assert wrapped(f"{painted} {painted}", 9, 9) == [f"{painted} {painted}"]
    assert wrapped("a /a/path/that/is/long b", 8, 8) == ["a", "/a/path/that/is/long", "b"]
    assert wrapped("漢字 漢字", 8, 8) == ["漢字", "漢字"]


@given(st.text(st.sampled_from("ab漢 "), max_size=60), st.integers(1, 20), st.integers(1, 20))
def test_no_line_is_too_long_and_no_word_is_lost(text: str, first: int, later: int) -> None:
    lines = wrapped(text, first, later)
    assert " ".join(lines).split() == text.split()
    for place, line in enumerate(lines):
        assert visible(line.strip()) <= (later if place else first) or " " not in line.strip()

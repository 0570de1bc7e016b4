"""Which rows of a long pipeline are shown."""

import re

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.rows import Row
from orchestrator.cli.window import window
from orchestrator.types import StepKey

ACTIVE = ("running", "retrying", "recovering", "waiting", "failed")
STATES = ("pending", "completed", "skipped", "unfinished", *ACTIVE)


def row(number: int, state: str) -> Row:
    return Row(
        key=StepKey(f"s{number:04}"),
        state=state,
        seconds=None,
        attempt=0,
        failed_attempts=0,
        total=None,
        done=0,
        failed=0,
        doing=(),
        running=0,
        text="",
        earlier=False,
    )


def rows(*states: str) -> list[Row]:
    return [row(number, state) for number, state in enumerate(states)]


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=60), st.integers(min_value=1, max_value=40))
def test_what_is_shown_fits_is_in_order_and_what_is_not_is_counted(states: list[str], height: int) -> None:
    all_rows = rows(*states)
    shown = window(all_rows, height)
    counted = [int(n) for n in re.findall(r"\d+", f"{shown.before} {shown.after}")]
    assert len(shown.rows) + bool(shown.before) + bool(shown.after) <= max(height, 3)
    assert [r.key for r in shown.rows] == sorted(r.key for r in shown.rows)
    assert len(shown.rows) + sum(counted) == len(all_rows)
    active = sum(r.state in ACTIVE for r in all_rows)
    shown_active = sum(r.state in ACTIVE for r in shown.rows)
    assert shown_active == min(active, len(shown.rows))


def test_the_middle_of_a_chain() -> None:
    shown = window(rows(*["completed"] * 20, "running", *["pending"] * 20), 9)
    assert [r.key for r in shown.rows] == [f"s{n:04}" for n in range(17, 24)]
    assert (shown.before, shown.after) == ("17 more completed", "17 more pending")


def test_the_end_of_a_chain_fills_the_room() -> None:
    shown = window(rows(*["completed"] * 40), 9)
    assert len(shown.rows) == 7 and shown.rows[-1].key == "s0039"


def test_a_terminal_that_is_high_enough_shows_all() -> None:
    all_rows = rows(*STATES)
    assert window(all_rows, len(all_rows)).rows == all_rows

"""Programs that cover one feature each: cut before and after every commit, cancelled and paused at every event."""

from __future__ import annotations

import pytest
from tests.machine.flow.trial import Life
from tests.machine.functions.fixed import PROGRAMS
from tests.machine.functions.trial import Trial

from orchestrator.testing.crashing_store import When

SIDES: tuple[When, When] = ("before", "after")


def _ended(name: str, *lives: Life) -> tuple[str, list[int]]:
    """How it ended, and the commits of each life."""
    is_async, body = PROGRAMS[name]
    trial, commits = Trial(body, is_async), []
    for life in lives:
        trial.live(life)
        commits.append(trial.commits)
    return trial.finish().status, commits


@pytest.mark.parametrize("name", PROGRAMS)
def test_cut_at_every_commit(name: str) -> None:
    status, (commits,) = _ended(name, Life())
    for at in range(1, commits + 1):
        for when in SIDES:
            assert _ended(name, Life(cut=at, when=when))[0] == status, (at, when)


@pytest.mark.parametrize("name", PROGRAMS)
def test_cut_again_soon_after_a_cut(name: str) -> None:
    status, (commits,) = _ended(name, Life())
    for at in range(2, commits + 1, 4):
        for again in (1, 2, 3):
            when = SIDES[(at + again) % 2]
            assert _ended(name, Life(cut=at, when="after"), Life(cut=again, when=when))[0] == status, (at, again)


@pytest.mark.parametrize("name", PROGRAMS)
def test_cancelled_at_every_event(name: str) -> None:
    for at in range(1, 30, 4):
        status, _ = _ended(name, Life(during=[(at, "cancel")]))
        assert status in ("cancelled", "completed", "failed"), at


@pytest.mark.parametrize("name", PROGRAMS)
def test_cancelled_between_two_lives(name: str) -> None:
    _, (commits,) = _ended(name, Life())
    for at in range(3, commits + 1, 4):
        status, _ = _ended(name, Life(cut=at, when=SIDES[at // 2 % 2]), Life(before=["cancel"]))
        assert status in ("cancelled", "completed", "failed"), at


@pytest.mark.parametrize("what", ["pause", "interrupt"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_paused_at_every_event(name: str, what: str) -> None:
    status, _ = _ended(name, Life())
    for at in range(3, 24, 4):
        assert _ended(name, Life(during=[(at, what)]))[0] == status, at

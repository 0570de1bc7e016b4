"""A case: a program, and what befalls its execution life by life. Draws one, tries it, makes it small."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st
from tests.machine.flow.trial import Life
from tests.machine.functions.programs import programs
from tests.machine.functions.running import Program
from tests.machine.functions.trial import Trial

_OFTEN = ["signal", "signal", "answer", "answer"]
_BETWEEN = st.sampled_from([*_OFTEN, "advance", "advance", "pause", "cancel"])
_DURING = st.sampled_from([*_OFTEN, "pause", "interrupt", "signal", "cancel"])

LIVES = st.builds(
    Life,
    cut=st.sampled_from([None, None, 1, 2, 3, 4, 5, 6, 7, 9, 11, 14]),
    when=st.sampled_from(["before", "after"]),
    before=st.lists(_BETWEEN, max_size=2),
    during=st.lists(st.tuples(st.integers(1, 24), _DURING), max_size=2),
    say=st.integers(0, 2),
)


class Case(NamedTuple):
    """A program, for which interpreter it is, and its first lives; more follow until it has ended."""

    is_async: bool
    body: Program
    lives: list[Life]

    def try_(self) -> None:
        """Live it all. Raises Wrong."""
        trial = Trial(self.body, self.is_async)
        for life in self.lives:
            trial.live(life)
        trial.finish()

    def fault(self) -> str | None:
        """What is wrong with it, in a line; None where nothing is."""
        try:
            self.try_()
        except Exception as exc:  # noqa: BLE001 - told: it is what is looked for
            return f"{type(exc).__name__}: {exc}"
        return None

    def shown(self) -> str:
        """It as Python code."""
        lives = "".join(f"\n    {life}," for life in self.lives)
        return f"Case({self.is_async}, {_laid_out(self.body)}, [{lives}])"


def _laid_out(body: Program) -> str:
    return json.dumps(body).replace("true", "True").replace("false", "False").replace("null", "None")


CASES = st.builds(
    lambda made, lives: Case(made[0], made[1], lives),
    programs(),
    st.lists(LIVES, max_size=5),
)


# -- making it small ---------------------------------------------------------------------------------------------------


def kind_of(fault: str | None) -> str:
    """A fault without what differs from case to case."""
    return re.sub(r"[^A-Za-z ]+", "", re.sub(r"\[.*|'.*|\".*", "", fault or ""))[:80]


def smaller(case: Case, kind: str, seconds: float, times: int = 3) -> Case:
    """The smallest case near this one that has such a fault, as far as that is found in so many seconds."""
    until = time.monotonic() + seconds
    shrunk = True
    while shrunk:
        shrunk = False
        for candidate in _candidates(case):
            if time.monotonic() > until:
                return case
            if any(kind_of(candidate.fault()) == kind for _ in range(times)):
                case, shrunk = candidate, True
                break
    return case


def _candidates(case: Case) -> Iterator[Case]:
    for index, life in enumerate(case.lives):
        yield case._replace(lives=[*case.lives[:index], *case.lives[index + 1 :]])
        for part in ("before", "during"):
            if getattr(life, part):
                less: Any = life._replace(**{part: getattr(life, part)[1:]})
                yield case._replace(lives=[*case.lives[:index], less, *case.lives[index + 1 :]])
    for body in _smaller_bodies(case.body):
        if body:
            yield case._replace(body=body)


def _smaller_bodies(body: Program) -> Iterator[Program]:
    for index, statement in enumerate(body):
        yield [*body[:index], *body[index + 1 :]]
        for part in ("body", "catch", "tidy"):
            if statement.get(part):
                yield [*body[:index], *statement[part], *body[index + 1 :]]
                for inner in _smaller_bodies(statement[part]):
                    if inner:
                        yield [*body[:index], {**statement, part: inner}, *body[index + 1 :]]
        branches = statement.get("branches", [])
        for place, branch in enumerate(branches):
            fewer = [*branches[:place], *branches[place + 1 :]]
            if fewer:
                yield [*body[:index], {**statement, "branches": fewer}, *body[index + 1 :]]
            for inner in _smaller_bodies(branch["body"]):
                changed = copy.deepcopy(branches)
                changed[place]["body"] = inner
                yield [*body[:index], {**statement, "branches": changed}, *body[index + 1 :]]
        if statement.get("delay"):
            yield [*body[:index], {**statement, "delay": 0}, *body[index + 1 :]]

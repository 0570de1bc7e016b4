"""Draws programs: see `running` for what their statements do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import strategies as st
from tests.machine.functions.running import Program
from tests.machine.functions.steps import ALWAYS

Draw = Callable[..., Any]
_HOW = ["work", "work", "retried", "skipped", "quick", "quick_aio", "quick_retried", "quick_retried_aio"]
_SIMPLE = ["step", "step", "step", "map", "sleep", "signal", "approve", "set", "get", "patched", "draw"]
_NESTED = ["try", "try", "child"]
_ASYNC = ["all", "all", "completed", "late"]


class _Maker:
    """Makes one program. `is_async` changes with the child that it is in."""

    def __init__(self, draw: Draw, is_async: bool) -> None:
        self._draw, self._ids, self._is_async = draw, count(1), is_async
        #: Whether what is being made is done one after the other; whether it can begin anew.
        self._alone, self._again = True, False
        self._left = 14

    def body(self, depth: int, at_most: int = 4) -> Program:
        """Some statements."""
        return [self.statement(depth) for _ in range(self._draw(st.integers(1, at_most)))]

    def statement(self, depth: int) -> dict[str, Any]:
        """One statement, with what is inside of it."""
        self._left -= 1
        kinds = [*_SIMPLE]
        if depth and self._left > 0:
            kinds += [*_NESTED, *(_ASYNC if self._is_async else [])]
            kinds += ["back"] if self._alone and not self._again and depth == 3 else []
        if not self._again:
            kinds += ["raise"]
            kinds += ["return"] if depth < 3 else []
        kind = self._draw(st.sampled_from(kinds))
        return {"id": next(self._ids), "do": kind, **getattr(self, f"make_{kind}")(depth - 1)}

    def make_step(self, _: int) -> dict[str, Any]:
        how = self._draw(st.sampled_from(_HOW))
        fails = [0, 0, 0, 1, 2, ALWAYS] if "retried" in how else [0, 0, 0, ALWAYS]
        return {
            "how": how,
            "fail": 0 if self._again and how != "skipped" else self._draw(st.sampled_from(fails)),
            "delay": self._draw(st.sampled_from([0, 0, 1, 2, 3, 5, 400])),
            "keyed": self._draw(st.booleans()),
        }

    def make_map(self, _: int) -> dict[str, Any]:
        items = self._draw(st.integers(0, 4))
        failures = self._draw(st.sampled_from(["stop", "collect"]))
        fails = self._draw(st.lists(st.integers(0, 4), max_size=2)) if not self._again or failures == "collect" else []
        return {
            "how": self._draw(st.sampled_from(["each", "quick_each"] if self._is_async else ["quick_each"])),
            "items": items,
            "window": self._draw(st.integers(0, 3)),
            "failures": failures,
            "fails": fails,
        }

    def make_sleep(self, _: int) -> dict[str, Any]:
        return {"seconds": self._draw(st.sampled_from([0, 1, 3, 90, 90_000]))}

    def make_signal(self, _: int) -> dict[str, Any]:
        timeout = self._draw(st.sampled_from([None, 2, 500]))
        found: dict[str, Any] = {"name": self._draw(st.sampled_from(["sig0", "sig1"])), "timeout": timeout}
        if timeout is not None and (self._again or self._draw(st.booleans())):
            found["default"] = "nothing came"
        return found

    def make_approve(self, _: int) -> dict[str, Any]:
        timeout = self._draw(st.sampled_from([None, 2, 500]))
        needs = timeout is not None and (self._again or self._draw(st.booleans()))
        return {"timeout": timeout, "default": "reject" if needs else None}

    def make_set(self, _: int) -> dict[str, Any]:
        return {"name": self._variable(), "value": self._draw(st.integers(0, 9))}

    def make_get(self, _: int) -> dict[str, Any]:
        return {"name": self._variable()}

    def _variable(self) -> str:
        return "v" if self._alone else f"v{next(self._ids)}"

    def make_patched(self, _: int) -> dict[str, Any]:
        return {}

    make_draw = make_return = make_raise = make_late = make_patched

    def make_try(self, depth: int) -> dict[str, Any]:
        body = self.body(depth, 3)
        catch = self.body(depth, 2) if self._draw(st.booleans()) else None
        tidy = self._tidy() if catch is None or self._draw(st.booleans()) else None
        return {"body": body, "catch": catch, "tidy": tidy}

    def _tidy(self) -> Program:
        hows = ["work", "retried", *(["quick_aio"] if self._is_async else ["quick"])]
        return [
            {
                "id": next(self._ids),
                "do": "step",
                "how": self._draw(st.sampled_from(hows)),
                "fail": 0,
                "delay": self._draw(st.sampled_from([0, 1, 3])),
                "keyed": self._draw(st.booleans()),
            }
            for _ in range(self._draw(st.integers(1, 2)))
        ]

    def make_child(self, depth: int) -> dict[str, Any]:
        before, self._is_async = self._is_async, self._draw(st.booleans())
        found = {
            "how": "program" if self._is_async else "plain",
            "keyed": self._draw(st.booleans()),
            "body": self.body(depth, 3),
        }
        self._is_async = before
        return found

    def make_all(self, depth: int) -> dict[str, Any]:
        before, self._alone = self._alone, False
        branches = [{"id": next(self._ids), "body": self.body(depth, 3)} for _ in range(self._draw(st.integers(1, 3)))]
        self._alone = before
        how = "collect" if self._again else self._draw(st.sampled_from(["gather", "collect", "group"]))
        return {"how": how, "branches": branches}

    def make_completed(self, _: int) -> dict[str, Any]:
        calls = [
            {
                "id": next(self._ids),
                "delay": self._draw(st.sampled_from([0, 1, 2, 3])),
                "fail": self._draw(st.sampled_from([0, 0, 0, ALWAYS])),
            }
            for _ in range(self._draw(st.integers(1, 3)))
        ]
        return {"calls": calls}

    def make_back(self, depth: int) -> dict[str, Any]:
        self._again = True
        body = self.body(depth, 3)
        self._again = False
        return {"until": self._draw(st.integers(1, 3)), "body": body}


@st.composite
def programs(draw: Draw) -> tuple[bool, Program]:
    """A program, and whether it is for the async interpreter."""
    is_async = draw(st.sampled_from([True, True, False]))
    return is_async, _Maker(draw, is_async).body(3, 5)

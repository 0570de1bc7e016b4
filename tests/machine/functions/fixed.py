"""Programs that cover one feature each, to be cut at every commit."""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.machine.functions.running import Program
from tests.machine.functions.steps import ALWAYS

_IDS = count(1)


def _do(kind: str, **more: Any) -> dict[str, Any]:
    return {"id": next(_IDS), "do": kind, **more}


def _step(how: str = "work", fail: int = 0, delay: float = 0, keyed: bool = False) -> dict[str, Any]:
    return _do("step", how=how, fail=fail, delay=delay, keyed=keyed)


def _each(how: str, items: int, window: int, failures: str = "stop", fails: tuple[int, ...] = ()) -> dict[str, Any]:
    return _do("map", how=how, items=items, window=window, failures=failures, fails=[*fails])


def _child(how: str, *body: dict[str, Any], keyed: bool = False) -> dict[str, Any]:
    return _do("child", how=how, keyed=keyed, body=[*body])


def _try(body: Program, catch: Program | None = None, tidy: Program | None = None) -> dict[str, Any]:
    return _do("try", body=body, catch=catch, tidy=tidy)


def _all(how: str, *branches: Program) -> dict[str, Any]:
    return _do("all", how=how, branches=[{"id": next(_IDS), "body": body} for body in branches])


def _signal(name: str = "sig0", timeout: float | None = None, **more: Any) -> dict[str, Any]:
    return _do("signal", name=name, timeout=timeout, **more)


def _approve(timeout: float | None = None, default: str | None = None) -> dict[str, Any]:
    return _do("approve", timeout=timeout, default=default)


#: What it covers -> whether it is for the async interpreter, and the program.
PROGRAMS: dict[str, tuple[bool, Program]] = {
    "steps one after the other, tried again and left out": (
        True,
        [_step(), _step("retried", fail=2), _step("skipped", fail=ALWAYS), _step(), _step("quick_aio"), _step()],
    ),
    "a failure that is caught, and one that is not": (
        True,
        [_try([_step("retried", fail=ALWAYS)], [_step()], [_step(), _step(keyed=True)]), _step(fail=ALWAYS)],
    ),
    "gather of tasks of several steps": (
        True,
        [_all("gather", [_step(delay=3), _step()], [_step("quick_aio"), _step(delay=1)], [_step("quick")]), _step()],
    ),
    "gather of which one fails, while another goes on": (
        True,
        [
            _try([_all("gather", [_step(delay=2), _step(), _step()], [_step(delay=1, fail=ALWAYS)])], [_step(delay=5)]),
            _step(),
        ],
    ),
    "a task group of which one fails": (
        True,
        [
            _try(
                [
                    _all(
                        "group", [_try([_step(delay=3)], tidy=[_step()]), _step()], [_step(delay=1), _step(fail=ALWAYS)]
                    )
                ],
                [_step(keyed=True)],
            ),
            _do("draw"),
        ],
    ),
    "children in each other and side by side": (
        True,
        [
            _child("program", _step(), _child("plain", _step("quick"), _step(), keyed=True)),
            _all("gather", [_child("program", _step(delay=2), _step())], [_child("plain", _step("quick_retried", 1))]),
            _child("program", _do("return"), _step()),
        ],
    ),
    "children that tidy up": (
        True,
        [
            _child(
                "program",
                _try([_child("plain", _try([_step(delay=3)], tidy=[_step(), _step("quick")]))], [], [_step()]),
            ),
            _all("gather", [_child("program", _try([_signal()], tidy=[_step(delay=1), _step()]))], [_step()]),
        ],
    ),
    "a plain function whose children tidy up": (
        False,
        [
            _child("program", _all("group", [_try([_step(delay=3), _signal()], tidy=[_step("quick_aio"), _step()])])),
            _child("plain", _try([_approve()], tidy=[_step("retried", 1)])),
        ],
    ),
    "a task that is left behind": (
        True,
        [_all("gather", [_try([_approve(500)], tidy=[_step("quick_aio"), _step()])], [_step(), _do("raise")])],
    ),
    "loops": (
        True,
        [
            _each("each", 4, 2),
            _each("quick_each", 3, 1, "collect", (1,)),
            _each("each", 0, 0),
            _try([_each("each", 3, 0, "stop", (0, 2))], [_step()]),
        ],
    ),
    "sleeps": (True, [_do("sleep", seconds=1), _step(), _do("sleep", seconds=90_000), _do("draw"), _step()]),
    "signals": (
        True,
        [_signal(), _signal("sig1", 500, default="none"), _try([_signal("sig1", 2)], [_step()]), _step()],
    ),
    "approvals": (True, [_approve(), _approve(2, "reject"), _try([_approve(500)], [_step()]), _step()]),
    "a rollback, twice": (
        True,
        [
            _step(),
            _do("set", name="v", value=1),
            _do(
                "back",
                until=3,
                body=[_step(), _do("set", name="v", value=2), _each("each", 2, 1), _child("program", _step())],
            ),
            _do("get", name="v"),
            _step(),
        ],
    ),
    "variables, time and chance": (
        True,
        [
            _do("get", name="v"),
            _do("set", name="v", value=3),
            _child("program", _do("get", name="v"), _do("set", name="v", value=4), _do("draw")),
            _do("get", name="v"),
            _do("draw"),
            _step(delay=3),
            _do("draw"),
            _do("patched"),
            _all("gather", [_step(delay=4), _do("draw")], [_step(delay=2), _do("draw"), _step()]),
        ],
    ),
    "calls in the order in which they end": (
        True,
        [
            _do(
                "completed",
                calls=[
                    {"id": next(_IDS), "delay": delay, "fail": fail} for delay, fail in ((3, 0), (1, ALWAYS), (2, 0))
                ],
            ),
            _step(),
        ],
    ),
    "steps in place between others": (
        True,
        [
            _step("quick"),
            _all("gather", [_step("quick"), _step(delay=1), _step("quick_retried", 1)], [_step(), _step("quick")]),
            _try([_step("quick", fail=ALWAYS)], tidy=[_step("quick")]),
        ],
    ),
    "asyncio.timeout": (True, [_step(), _do("late"), _step(), _all("gather", [_do("late"), _step()], [_step()])]),
    "a plain function": (
        False,
        [
            _step("quick"),
            _step("retried", 1),
            _do("sleep", seconds=90_000),
            _each("quick_each", 3, 2),
            _child("program", _step(), _all("gather", [_step()], [_step(delay=1)])),
            _child("plain", _step("quick"), _signal(), _do("return"), _step()),
            _try([_step("quick_retried", ALWAYS)], [_approve()], [_step("quick")]),
            _do("back", until=2, body=[_step(), _do("sleep", seconds=1)]),
            _do("draw"),
        ],
    ),
}

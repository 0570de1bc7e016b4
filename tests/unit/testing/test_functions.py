"""The kit and durable functions: scripted, crashed at every commit, with what they wait for given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator, approve, pipeline, sleep, step, wait_for_signal
from orchestrator.testing import FakeClock, Script, assert_golden, crash_everywhere, fails, memory_store

#: What no resumed life may go by.
LIVES = 0


@step
async def fetch(n: int) -> int:
    return n + 1


@step(retry={"max_attempts": 3, "initial_delay": 60, "max_delay": 60})
def parse(n: int) -> int:
    return n * 10


@pipeline
async def book(city: str, nights: int = 1) -> Any:
    found = await fetch(await fetch(nights))
    await sleep(7 * 24 * 3600)
    ok = await approve("go?", choices=["pay", "hold"])
    by = await wait_for_signal("paid") if ok["choice"] == "pay" else None
    return {"total": await parse.aio(found), "by": by, "city": city}


@pipeline
def plain(n: int) -> int:
    found = parse(n)
    sleep(3600)
    return found + parse(found)


@pipeline
def fickle() -> int:
    global LIVES
    LIVES += 1
    first = parse(1) if LIVES == 1 else parse.with_key("again")(1)
    return parse(first)


def test_an_async_one() -> None:
    script = Script({"fetch#2": 7, "parse": fails(2, ConnectionError)})
    report = crash_everywhere(
        book, {"city": "Oslo"}, script=script, answers={"approve": "pay"}, messages={"paid": "ann"}, every=2
    )
    assert report.outputs == {"result": {"total": 70, "by": "ann", "city": "Oslo"}}
    assert report.cuts > 10
    assert {call.key for call in script.calls} == {"fetch", "fetch#2", "parse"}


def test_a_plain_one() -> None:
    assert crash_everywhere(plain, {"n": 2}).outputs == {"result": 220}


def first_life() -> None:
    global LIVES
    LIVES = 0


def test_it_finds_one_that_asks_for_something_else_in_a_later_life() -> None:
    with pytest.raises(AssertionError, match=r"cut \w+ commit \d+ of \d+ .*it cannot be gone on with") as caught:
        crash_everywhere(fickle, fresh=first_life, effects=lambda: None)
    assert caught.value.__cause__ is not None


def test_arguments_without_names_are_witnessed(tmp_path: Path) -> None:
    clock, script = FakeClock(), Script({"parse": lambda n: n + 1})
    with Orchestrator(memory_store(clock), clock=clock, runner=script, patience_seconds=1e6) as app:
        assert app.run(plain, {"n": 2}, execution_id="x").outputs == {"result": 7}
        assert [(*call.positional, *call.arguments.values()) for call in script.calls] == [(2,), (3,)]
        assert_golden(app.history("x"), tmp_path / "plain.txt")
    assert "step_succeeded parse#2 output=4" in (tmp_path / "plain.txt").read_text()

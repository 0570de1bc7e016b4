"""What handlers inside the engine log and print: notes of their attempt, and of nobody else's."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.clock import SystemClock
from orchestrator.execution.driver import CURRENT_ATTEMPT, PythonCall
from orchestrator.journal.store import Note
from orchestrator.runners.output import PrintRouter, capture_logging
from orchestrator.testing.runner_contract import make_attempt

from .conftest import Bench

TALK = """
    import asyncio, logging, sys, time
    def talk(name):
        for i in range(20):
            print(name, i); time.sleep(0.001)
            print(name, "err", i, file=sys.stderr)
            logging.getLogger("talk").warning("%s %d", name, i)
    async def atalk(name):
        for i in range(20):
            print(name, i); await asyncio.sleep(0)
            print(name, "err", i, file=sys.stderr)
            logging.getLogger("talk").warning("%s %d", name, i)
"""


async def test_parallel_attempts_are_told_apart(
    make_bench: Callable[..., Bench], capsys: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench(capture_prints=True)
    bench.handlers(TALK)
    notes: dict[str, list[Note]] = defaultdict(list)
    attempts = [
        make_attempt(PythonCall(f"handlers:{kind}", {"name": f"{kind}{i}"}), bench.folder, notes=notes[f"{kind}{i}"])
        for i in range(5)
        for kind in ("talk", "atalk")
    ]
    print("before")
    running = asyncio.gather(*map(bench.runner.invoke, attempts))
    await asyncio.sleep(0)
    print("meanwhile")
    await running
    await bench.runner.close()
    print("after")
    for name, told in notes.items():
        by_kind = {kind: [n.text for n in told if n.kind == kind] for kind in ("stdout", "stderr", "log")}
        assert by_kind["stdout"] == [f"{name} {i}" for i in range(20)]
        assert by_kind["stderr"] == [f"{name} err {i}" for i in range(20)]
        assert by_kind["log"] == [f"WARNING talk: {name} {i}" for i in range(20)]
    assert capsys.readouterr().out.split() == ["before", "meanwhile", "after"]


async def test_an_unfinished_line_is_told_at_the_end(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(capture_prints=True)
    bench.handlers("def f():\n    print('a', end=''); print('b\\n\\nc', end='')")
    await bench.call("f")
    assert bench.texts("stdout") == ["ab", "", "c"]
    await bench.runner.close()


async def test_streams_are_left_alone_unless_asked_for(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    stream = sys.stdout
    bench.handlers("import sys\ndef f():\n    print('hello')")
    await bench.call("f")
    assert sys.stdout is stream
    assert (bench.texts("stdout"), capsys.readouterr().out) == ([], "hello\n")


def test_the_router_gives_the_streams_back(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    router = PrintRouter(SystemClock())
    router.install()
    assert sys.stdout is not out
    assert not sys.stdout.isatty()
    sys.stdout.writelines(["through\n"])
    router.restore()
    assert sys.stdout is out
    assert out.getvalue() == "through\n"


def test_the_router_leaves_streams_that_others_put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    router = PrintRouter(SystemClock())
    router.install()
    other = io.StringIO()
    monkeypatch.setattr(sys, "stdout", other)
    router.restore()
    assert sys.stdout is other


def test_a_record_is_told_once_however_many_engines_listen() -> None:
    notes: list[Note] = []
    token = CURRENT_ATTEMPT.set(make_attempt(PythonCall("a:b", {}), Path(), notes=notes))
    try:
        with capture_logging(SystemClock()), capture_logging(SystemClock()):
            logging.getLogger("x").warning("two\nlines")
        logging.getLogger("x").warning("not captured")
    finally:
        CURRENT_ATTEMPT.reset(token)
    assert [n.text for n in notes] == ["WARNING x: two", "lines"]


def test_warnings_from_outside_of_attempts_are_still_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a program installed no handler, logging prints warnings; our handler must not make them vanish."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    printed = io.StringIO()
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(printed))
    logging.lastResort.setLevel(logging.WARNING)  # type: ignore[union-attr]
    with capture_logging(SystemClock()):
        logging.getLogger("host").warning("careful")
        logging.getLogger("host").info("not this")
        other = logging.StreamHandler(io.StringIO())
        root.addHandler(other)
        logging.getLogger("host").warning("told by the other")
        root.removeHandler(other)
    assert printed.getvalue() == "careful\n"
    assert root.handlers == []


def test_the_level_is_lowered_only_where_the_process_is_ours() -> None:
    root = logging.getLogger()
    before = root.level
    with capture_logging(SystemClock()):
        assert root.level == before
    with capture_logging(SystemClock(), logging.DEBUG):
        assert root.level == logging.DEBUG
    assert root.level == before

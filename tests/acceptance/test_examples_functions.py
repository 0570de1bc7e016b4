"""The examples in plain Python do what they say, also when they are killed: what steps have done is the witness."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import signal
import sqlite3
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.acceptance.cli_session import environment, orchestrator, start, wait_for

from orchestrator import ExecutionStatus, Orchestrator
from orchestrator.scheduling import Scheduler
from orchestrator.testing import crash_everywhere
from orchestrator.testing.clock import FakeClock

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Path]:
    """Copy examples to where they may write; their folder."""

    def of(*names: str) -> Path:
        for name in names:
            ignore = shutil.ignore_patterns("out", "__pycache__", ".orchestrator")
            shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=ignore)
        return tmp_path

    return of


def begin(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a program."""
    command = [sys.executable, "-u", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def program(folder: Path, *arguments: object, exits: int = 0) -> str:
    """Run a program to its end; what it printed."""
    with begin(folder, *arguments) as process:
        try:
            out, err = process.communicate(timeout=50)
        finally:
            process.kill()
    assert process.returncode == exits, (arguments, out, err)
    return out


def killed_when(folder: Path, condition: Callable[[], object], what: str, *arguments: object) -> None:
    """Start a program and kill it as soon as something holds."""
    with begin(folder, *arguments) as process:
        try:
            wait_for(lambda: process.poll() is not None or condition(), what)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"


@contextmanager
def server(folder: Path, *arguments: object) -> Iterator[str]:
    """A server of an example, on a port that is free; its address."""
    with begin(folder, *arguments, "--port", 0) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
            process.communicate()


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


@contextmanager
def imported(file: Path) -> Iterator[types.ModuleType]:
    """A program of an example as a module, under its own name."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[file.stem]


# ---------------------------------------------------------------- bad rows


def rows_of(database: Path, sql: str) -> list[tuple[object, ...]]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute(sql).fetchall()
        except sqlite3.OperationalError:  # no table yet, or it is being made
            return []


@pytest.mark.parametrize("by_command", [False, True])
def test_bad_rows_are_reported_and_a_killed_import_goes_on_with_the_batch_that_it_was_at(
    copy: Callable[..., Path], by_command: bool
) -> None:
    folder = copy("bad_rows", "penguins")
    database, command = folder / "bad_rows/out/birds.db", ("bad_rows/import_birds.py", "--pace", 0.15)
    batches = "select first_line, new_rows from batches order by rowid"
    killed_when(folder, lambda: len(rows_of(database, batches)) >= 3, "three batches", *command)
    before = rows_of(database, batches)

    told = orchestrator(folder, "resume", "birds").stdout if by_command else program(folder, *command)

    with (EXAMPLES / "penguins/data/penguins.csv").open(newline="", encoding="utf-8") as file:
        rows = [(number, row) for number, row in enumerate(csv.DictReader(file), 2)]
    good = [
        (n, r["species"], float(r["bill_length_mm"]), int(r["body_mass_g"]), r["sex"])
        for n, r in rows
        if "NA" not in r.values()
    ]
    assert rows_of(database, "select * from birds order by line") == good
    assert [line.split(":")[0] for line in lines(folder / "bad_rows/out/rejected.txt")] == [
        f"line {number}" for number, row in rows if "NA" in row.values()
    ]
    quote = '"' if by_command else "'"
    assert f"imported{quote}: {len(good)}, {quote}rejected{quote}: {len(rows) - len(good)}" in told
    inserted = rows_of(database, batches)
    again = [first for first, new in inserted if not new]
    assert set(again) <= {before[-1][0]}, "only the batch under way may have been inserted twice"
    assert [first for first, new in inserted if new] == [good[start][0] for start in range(0, len(good), 50)]


def test_a_batch_that_is_inserted_twice_changes_nothing(copy: Callable[..., Path]) -> None:
    folder = copy("bad_rows")
    data = (EXAMPLES / "penguins/data/penguins.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "few.csv").write_text("".join(data[:15]), encoding="utf-8")
    database = folder / "out/birds.db"
    with imported(folder / "bad_rows/import_birds.py") as program:
        report = crash_everywhere(
            program.import_birds,
            {"source": folder / "few.csv", "out": folder / "out", "batch": 4},
            effects=lambda: rows_of(database, "select * from birds order by line"),
            fresh=lambda: database.unlink(missing_ok=True),
        )
    assert report.outputs["result"]["imported"] == 9
    assert report.cuts > report.commits


# ---------------------------------------------------------------- agent


@pytest.mark.parametrize(
    ("answer", "end"), [("yes", "You have your 39 euros back."), ("no", "I am sorry: the shop does not agree")]
)
def test_an_agent_that_was_killed_pays_for_no_completion_twice_and_asks_before_it_refunds(
    copy: Callable[..., Path], answer: str, end: str
) -> None:
    folder = copy("agent")
    log, ledger = folder / "completions.log", folder / "ledger.txt"
    with server(folder, "agent/model.py", "--pace", 0.2) as url:
        command = ("agent/agent.py", "my money back for order 17", "--url", url)
        if answer == "yes":
            killed_when(folder, lambda: len(lines(log)) == 2, "a second completion", *command)
        told = program(folder, *command, exits=3)
        assert "Refund 39 euros for order 17?" in told
        assert not ledger.exists()

        assert end in orchestrator(folder, "answer", "support", "refund", answer).stdout
    asked = [int(line.split()[2]) for line in lines(log)]
    assert asked == ([2, 4, 4, 6] if answer == "yes" else [2, 4, 6])
    assert lines(ledger) == (["support/refund:17/1 order 17: 39"] if answer == "yes" else [])


# ---------------------------------------------------------------- sweep

#: Kills the first of two lives, which are forks of one process: loading scikit-learn once is enough.
TWO_LIVES = """
import os, signal, sys, time
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, "sweep")
import sweep
from orchestrator import run
from pathlib import Path

seen = Path("seen.txt")
train = sweep.train.function
def witnessed(rate, before, pace):
    with seen.open("a") as file:
        file.write(f"{os.getpid()} {rate} {0 if before is None else before.weights.sum()}\\n")
    return train(rate, before, pace)
sweep.train.function = witnessed

go = sweep.sweep.options(execution_id="s", durability="process")
first = os.fork()
if not first:
    run(go, [0.1, 1.0], pace=0.02)
    os._exit(7)
while not seen.exists() or len(seen.read_text().splitlines()) < 5:
    time.sleep(0.005)
    assert os.waitpid(first, os.WNOHANG) == (0, 0), "it ended before it was killed"
os.kill(first, signal.SIGKILL)
assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == -signal.SIGKILL
print(first)
found = run(go, [0.1, 1.0], pace=0.02)
sweep.train.function = train
print(found == run(sweep.sweep.options(store="memory:"), [0.1, 1.0]))
for one in found:
    print(one.rate, one.score, one.epochs)
"""


def test_a_killed_sweep_trains_on_from_its_last_epochs_to_the_same_table(copy: Callable[..., Path]) -> None:
    folder = copy("sweep")
    (folder / "lives.py").write_text(TWO_LIVES, encoding="utf-8")
    first, same, *table = program(folder, "lives.py").splitlines()
    assert same == "True"
    found = [tuple(map(float, line.split())) for line in table]
    assert {rate for rate, _, _ in found} == {0.1, 1.0}
    assert [score for _, score, _ in found] == sorted((score for _, score, _ in found), reverse=True)
    assert found[0][1] > 0.9
    assert any(epochs < 12 for _, _, epochs in found), "none was given up early"

    lives = [line.split() for line in lines(folder / "seen.txt")]
    before = [tuple(rest) for pid, *rest in lives if pid == first]
    after = [tuple(rest) for pid, *rest in lives if pid != first]
    assert len(before) >= 5
    for rate, _, epochs in found:
        again = [epoch for epoch in before if epoch in after and float(epoch[0]) == rate]
        assert len(again) <= 1, "only the epoch under way is trained again"
        assert len([epoch for epoch in {*before, *after} if float(epoch[0]) == rate]) == epochs


# ---------------------------------------------------------------- next day


@pytest.fixture
def next_day(copy: Callable[..., Path]) -> Iterator[types.ModuleType]:
    with imported(copy("next_day") / "next_day/next_day.py") as program:
        yield program


async def test_the_report_of_the_next_day_is_written_at_seven_by_a_scheduler(
    next_day: types.ModuleType, tmp_path: Path
) -> None:
    notes, report, clock = (
        tmp_path / "notes",
        tmp_path / "words.md",
        FakeClock(datetime(2027, 3, 1, 22, 30, tzinfo=UTC), jumping=False),
    )
    notes.mkdir()
    (notes / "a.md").write_text("one two three")
    with Orchestrator(tmp_path / "journal.db", clock=clock) as app:
        result = await app.arun(next_day.next_day, {"folder": notes, "report": report}, execution_id="n")
        assert result.status is ExecutionStatus.PAUSED
    assert not report.exists()
    (notes / "a.md").write_text("one two three four")
    (notes / "b.md").write_text("five six")

    clock.advance(8 * 3600)
    with Orchestrator(tmp_path / "journal.db", clock=clock) as app:
        assert await Scheduler(app).once() == [], "it is half past six"
        clock.advance(1800)
        (turn,) = await Scheduler(app).once()
        assert turn.execution_id == "n"
    assert lines(report) == ["# 2027-03-01 to 2027-03-02", "", "- a.md: +1 words", "- b.md: +2 words"]


def test_a_report_whose_process_was_killed_while_it_waited_is_written_by_a_scheduler(copy: Callable[..., Path]) -> None:
    folder = copy("next_day")
    report, store = folder / "words.md", folder / ".orchestrator/journal.db"

    def waits() -> bool:
        if not store.exists():
            return False
        with Orchestrator(store) as app:
            return any(s.execution_id == "try" and "StepWaiting" in told(app) for s in app.list())

    def told(app: Orchestrator) -> list[str]:
        return [type(entry.event).__name__ for entry in app.history("try")]

    killed_when(folder, waits, "its wait", "next_day/next_day.py", "next_day", "--id", "try", "--after", 1)
    assert not report.exists()

    with start(folder, "scheduler") as scheduler:
        wait_for(report.exists, "the report")
        wait_for(lambda: "completed" in orchestrator(folder, "show", "try").stdout, "the end of the execution")
        scheduler.send_signal(signal.SIGTERM)
        scheduler.communicate(timeout=30)
    assert lines(report)[2:] == ["Nothing was written."]


# ---------------------------------------------------------------- booking


@pytest.mark.parametrize("cars", [0, 1])
def test_a_trip_is_booked_whole_or_not_at_all_and_a_booking_in_doubt_is_looked_for(
    copy: Callable[..., Path], cars: int
) -> None:
    folder = copy("booking")
    log = folder / "bookings.log"
    stock = ("--stock", "flight=1", "hotel=1", f"car={cars}")
    with server(folder, "booking/services.py", *stock, "--slow", "hotel") as url:
        command = ("booking/trip.py", url)
        killed_when(folder, lambda: "booked hotel H2" in lines(log), "the booking of the hotel", *command)
        told = program(folder, *command).strip()
        if cars:
            assert program(folder, *command).strip() == told
    booked = ["booked flight F1", "booked hotel H2"]
    if cars:
        assert told == "{'flight': 'F1', 'hotel': 'H2', 'car': 'C3'}"
        assert lines(log) == [*booked, "booked car C3"]
    else:
        assert told == "{'failed': 'no car left'}"
        assert lines(log) == [*booked, "took back hotel H2", "took back flight F1"]

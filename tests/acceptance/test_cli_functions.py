"""The command line with durable functions: run, waited for, killed, gone on with, shown."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.acceptance.cli_session import Terminal, as_json, orchestrator, start, wait_for

#: Every step tells `ran` that it ran.
TRIPS = '''
import asyncio
from pathlib import Path
from orchestrator import approve, flow, patched, pipeline, sleep, start_child, step, wait_for_signal

def note(text):
    with open("ran", "a") as f:
        f.write(f"{text}\\n")

@step
async def fetch(city, fails=False):
    note(f"fetch {city}")
    print("fetching", city)
    if fails and not Path("mended").exists():
        raise ConnectionError(f"no way to {city}")
    return city.upper()

@step
async def double(n):
    note(f"double {n}")
    if n == 13 and not Path("mended").exists():
        raise ConnectionError("no luck")
    return n * 2

@step
async def gate(name):
    note(f"gate {name}")
    Path(f"{name}.reached").touch()
    while not Path(name).exists():
        await asyncio.sleep(0.01)
    return name

@pipeline
async def twice(n: int):
    return await double(await double(n))

@pipeline
async def book(city: str, nights: int = 2):
    """Book a trip."""
    a = await fetch(city)
    b = await fetch(city)
    c = await fetch.with_key("oslo")("Oslo")
    return {"city": a, "costs": await double.map([1, 2, 3]), "nights": await twice(nights)}

@pipeline
def plain(n: int):
    return twice.wait(n)

@pipeline
async def fails(city: str = "Rome"):
    await fetch(city)
    return await fetch(city, True)

@pipeline
async def deep():
    return await twice(13)

@pipeline
async def many():
    return await double.map([1, 13, 3])

@pipeline
async def raises(city: str = "Rome"):
    await fetch(city)
    if not Path("mended").exists():
        raise ValueError("this trip is no good")
    return "good"

@pipeline
async def wraps():
    try:
        await double(13)
    except ConnectionError as exc:
        raise RuntimeError("no trip today") from exc

@pipeline
async def asks():
    await fetch("Rome")
    said = await approve("Book it?", who=["ann"], form={"room": {"type": "integer"}})
    return [said["choice"], said["form"]["room"], await wait_for_signal("paid")]

@pipeline
async def sleeps():
    await fetch("Rome")
    await sleep("2h")

@pipeline
async def slow():
    await fetch("Rome")
    return await asyncio.gather(gate("opened"), twice(4))

@pipeline
async def concurrent():
    async def one(city):
        return await fetch(city)
    await asyncio.gather(asyncio.create_task(one("Rome")), asyncio.create_task(one("Oslo")))

@pipeline
async def forgets():
    fetch("Rome")

def helper(x): return x
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trips.py").write_text(TRIPS)
    return tmp_path


def ran(folder: Path) -> Counter[str]:
    """What steps did, and how often."""
    return Counter((folder / "ran").read_text().splitlines())


def shown(text: str) -> list[str]:
    """Lines without times, and without the name of the command."""
    text = re.sub(r"\S+ -m orchestrator", "orchestrator", text)
    return [re.sub(r"\d+:\d\d\.\d |\d+\.\d s", "", line).strip() for line in text.splitlines() if line.strip()]


# ---------------------------------------------------------------- run


def test_a_function_is_run_and_shown(folder: Path) -> None:
    out = shown(orchestrator(folder, "run", "trips:book", "-i", "city=Rome", "--id", "b").stdout)
    assert out[:4] == ["book · execution b", "fetch started", "fetch | fetching Rome", "fetch completed ()"]
    assert "fetch#2 started" in out and "fetch:oslo started" in out and "twice/double#2 started" in out
    assert "double completed (3 items in )" in out
    assert 'result  {"city": "ROME", "costs": [2, 4, 6], "nights": 8}' in out
    printed = shown(orchestrator(folder, "show", "b").stdout)
    assert "5 steps" in printed[1]
    assert [line.split()[1] for line in printed[2:9]] == [
        "fetch",
        "fetch#2",
        "fetch:oslo",
        "double",
        "twice",
        "double",
        "double#2",
    ]
    for key, output in (("double", [2, 4, 6]), ("double[1]", 4), ("twice/double#2", 8), ("fetch:oslo", "OSLO")):
        assert as_json(folder, "show", "b", key)["output"] == output
    data = as_json(folder, "show", "b")
    assert (data["steps_done"], data["steps_total"]) == (5, 5)
    assert data["inputs"] == {"city": "Rome", "nights": 2}
    assert "fetch:oslo | fetching Oslo" in re.sub(" +", " ", orchestrator(folder, "logs", "b").stdout)
    assert "block_entered" in orchestrator(folder, "history", "b").stdout


def test_a_plain_function_and_one_by_its_file(folder: Path) -> None:
    package = folder / "code/travel"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "near.py").write_text(TRIPS)
    (package / "far.py").write_text("from .near import plain, twice\n")
    for id_, named in (
        ("module", "trips:plain"),
        ("file", "trips.py:plain"),
        ("package", "code/travel/far.py:plain"),
        ("absolute", f"{package}/far.py:plain"),
    ):
        assert as_json(folder, "run", named, "-i", "n=3", "--id", id_)["outputs"] == {"result": 12}
    # It is a part of its package, and is found again from another folder.
    (folder / "elsewhere").mkdir()
    store = folder / ".orchestrator/journal.db"
    again = orchestrator(folder / "elsewhere", "resume", "package", "--store", store, "--json")
    assert json.loads(again.stdout)["outputs"] == {"result": 12}


def test_inputs_of_a_file_and_an_id_that_is_there(folder: Path) -> None:
    (folder / "in.yaml").write_text("city: Rome\nnights: 3\n")
    words = ("run", "trips:book", "--inputs", "in.yaml", "-i", "city=Bonn", "--id", "b")
    assert as_json(folder, *words)["outputs"]["result"]["nights"] == 12
    before = ran(folder)
    assert as_json(folder, *words)["outputs"]["result"]["city"] == "BONN"
    assert ran(folder) == before
    assert "with other inputs" in orchestrator(folder, "run", "trips:book", "-i", "city=x", "--id", "b", exits=2).stderr
    assert orchestrator(folder, "run", "trips:book", *words[2:6], "--quiet").stdout == ""
    assert orchestrator(folder, "run", "trips:book", *words[2:6], "--store", "memory:").stderr == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("trips:book", "error: input 'city' (str) is required; give it with -i city=…"),
        ("trips:book -i city=Rome -i nights=two", "error: input 'nights' expects int, got 'two'"),
        ("trips:book -i city=Rome -i nigths=2", "error: the pipeline has no input 'nigths'; did you mean 'nights'?"),
        ("trips:helper", "error: trips:helper is no pipeline; write `@pipeline` above helper (`from orchestrator"),
        ("trips:fetch", "error: trips:fetch is a step; run a function with @pipeline that calls it"),
        ("trips:bok", "error: trips:bok: there is no 'bok' in {folder}/trips.py; did you mean 'book'?"),
        ("tripz:book", "error: tripz:book: there is no module 'tripz' "),
        ("trips:", "error: 'trips:' names no function; write `module:function` or `path/to/file.py:function`"),
        ("trips.py", "error: trips.py is Python code; name the durable function in it: `trips.py:twice`"),
        ("nowhere.py:book", "error: there is no file nowhere.py"),
        ("my-trips.py:book", "error: my-trips.py cannot be imported: 'my-trips' is no name of a module"),
        ("broken:book", "error: broken:book: its module raised while it was imported: ZeroDivisionError: "),
    ],
)
def test_what_cannot_be_run_is_told_in_one_message(folder: Path, words: str, told: str) -> None:
    (folder / "broken.py").write_text("x = 1 / 0\n")
    (folder / "my-trips.py").write_text(TRIPS)
    done = orchestrator(folder, "run", *words.split(), exits=2, COLUMNS="400")
    assert done.stderr.startswith(told.format(folder=folder))
    assert "Traceback" not in done.stderr
    assert not (folder / ".orchestrator").exists()


# ---------------------------------------------------------------- what fails


def test_a_step_that_fails_is_told_and_tried_again(folder: Path) -> None:
    told = shown(orchestrator(folder, "run", "trips:fails", "--id", "f", exits=1).stderr)
    assert told[:2] == ["✗ step fetch#2 failed", "ConnectionError: no way to Rome"]
    assert f"called at {folder}/trips.py:{line_of('return await fetch(city, True)')}, in fails" in told
    assert "failed after ; 1 step done, and kept" in told
    assert "is failed" in orchestrator(folder, "resume", "f", exits=2).stderr
    assert "fetch#2" in orchestrator(folder, "plan", "f", "retry").stdout
    (folder / "mended").touch()
    assert as_json(folder, "retry", "f")["outputs"] == {"result": "ROME"}
    assert ran(folder) == {"fetch Rome": 3}


def test_a_failure_further_in_is_told_where_it_was(folder: Path) -> None:
    told = shown(orchestrator(folder, "run", "trips:deep", "--id", "d", exits=1).stderr)
    assert told[:2] == ["✗ step twice/double failed", "ConnectionError: no luck"]
    assert f"called at {folder}/trips.py:{line_of('await double(await double(n))')}, in twice" in told
    told = shown(orchestrator(folder, "run", "trips:many", "--id", "m", exits=1).stderr)
    assert told[0] == "✗ step double[1] failed"
    assert f"called at {folder}/trips.py:{line_of('map([1, 13, 3])')}, in many" in told
    told = shown(orchestrator(folder, "run", "trips:wraps", exits=1, COLUMNS="400").stderr)
    place = f"{folder}/trips.py:{line_of('no trip today')}, in wraps"
    assert f"after which the function raised RuntimeError: no trip today at {place}" in told
    (folder / "mended").touch()
    assert as_json(folder, "retry", "d")["outputs"] == {"result": 52}
    assert as_json(folder, "retry", "m")["outputs"] == {"result": [2, 26, 6]}
    assert ran(folder) == {"double 13": 5, "double 26": 1, "double 1": 1, "double 3": 1}


def test_the_function_itself_fails(folder: Path) -> None:
    told = shown(orchestrator(folder, "run", "trips:raises", "--id", "r", exits=1).stderr)
    place = f'File "{folder}/trips.py", line {line_of("this trip is no good")}, in raises'
    assert told[:3] == ["✗ pipeline raises failed", "ValueError: this trip is no good", place]
    assert place in shown(orchestrator(folder, "show", "r").stdout)
    (folder / "mended").touch()
    assert "the function goes on" in orchestrator(folder, "retry", "r").stdout
    assert ran(folder) == {"fetch Rome": 1}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("concurrent", "step 'fetch' is called by two concurrent tasks of 'concurrent'"),
        ("forgets", "step 'fetch' was called without `await`, and never ran"),
    ],
)
def test_faults_of_the_code_fail_the_execution(folder: Path, name: str, told: str) -> None:
    done = orchestrator(folder, "run", f"trips:{name}", "--id", name, exits=1, COLUMNS="400")
    assert f"✗ pipeline {name} failed" in done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr and "orchestrator/execution" not in done.stderr
    assert told in orchestrator(folder, "show", name, COLUMNS="400").stdout


# ---------------------------------------------------------------- waiting, killing


def test_it_waits_for_a_person_and_a_signal(folder: Path) -> None:
    waits = shown(orchestrator(folder, "run", "trips:asks", "--id", "a", exits=3).stderr)
    assert waits[:2] == ["? step approve waits for a person", "Book it?"]
    assert "approve" in orchestrator(folder, "approvals").stdout
    answer = ("answer", "a", "approve", "approve", "--field", "room=3", "--by", "ann")
    told = shown(orchestrator(folder, *answer, exits=3).stderr)
    assert told[0] == "◷ step signal:paid waits for the signal 'paid'"
    orchestrator(folder, "signal", "a", "paid", "--payload", "7")
    assert as_json(folder, "resume", "a")["outputs"] == {"result": ["approve", 3, 7]}
    assert ran(folder) == {"fetch Rome": 1}


def test_it_sleeps_is_paused_and_cancelled(folder: Path) -> None:
    assert "◷ step sleep waits until" in orchestrator(folder, "run", "trips:sleeps", "--id", "s", exits=3).stderr
    assert as_json(folder, "show", "s")["waits"][0]["kind"] == "time"
    assert "paused by" in orchestrator(folder, "pause", "s").stdout + orchestrator(folder, "list").stdout
    orchestrator(folder, "resume", "s", exits=3)
    orchestrator(folder, "cancel", "s")
    assert as_json(folder, "show", "s")["status"] == "cancelled"
    assert ran(folder) == {"fetch Rome": 1}


def test_one_that_was_killed_goes_on(folder: Path) -> None:
    with start(folder, "run", "trips:slow", "--id", "k") as child:
        wait_for((folder / "opened.reached").exists, "the gate")
        wait_for(lambda: ran(folder)["double 8"], "the other branch")
        wait_for(lambda: "twice" in done_of(folder, "k"), "its end")
        child.kill()
    printed = shown(orchestrator(folder, "show", "k").stdout)
    assert printed[0] == "slow  k  abandoned"
    assert "‖ gate" in printed[3] and printed[3].endswith("unfinished")
    (folder / "opened").touch()
    assert as_json(folder, "resume", "k")["outputs"] == {"result": ["opened", 16]}
    assert ran(folder) == {"fetch Rome": 1, "gate opened": 2, "double 4": 1, "double 8": 1}


def test_a_terminal_shows_what_the_function_has_called(folder: Path) -> None:
    with Terminal(folder, "run", "trips:slow", "--id", "t") as terminal:
        terminal.wait_for("2 steps · ")
        picture = terminal.wait_for("double#2").splitlines()
        assert picture[0] == "slow · execution t"
        assert [line.split()[1] for line in picture[2:7]] == ["fetch", "gate", "twice", "double", "double#2"]
        (folder / "opened").touch()
        assert terminal.wait() == 0
        assert '["opened", 16]' in terminal.screen.text


def done_of(folder: Path, id_: str) -> list[str]:
    return [step["key"] for step in as_json(folder, "show", id_)["steps"] if step["status"] == "completed"]


def test_steps_run_afresh_and_forks(folder: Path) -> None:
    orchestrator(folder, "run", "trips:book", "-i", "city=Rome", "--id", "b")
    (folder / "ran").unlink()
    assert "fetch:oslo" in orchestrator(folder, "plan", "b", "rerun", "--from", "fetch:oslo").stdout
    orchestrator(folder, "rerun", "b", "--from", "fetch:oslo")
    assert ran(folder) == {"fetch Oslo": 1, "double 1": 1, "double 2": 2, "double 3": 1, "double 4": 1}
    (folder / "ran").unlink()
    orchestrator(folder, "fork", "b", "--id", "other", "--from", "twice")
    assert ran(folder) == {"double 2": 1, "double 4": 1}
    assert (
        "input 'nights' expects int, got 'x'" in orchestrator(folder, "fork", "b", "--set", "nights=x", exits=2).stderr
    )


# ---------------------------------------------------------------- files and functions


def test_no_file_takes_the_place_of_a_function(folder: Path) -> None:
    (folder / "p.yaml").write_text("pipeline: p\nsteps: [{id: a, set: {x: 1}}]\n")
    orchestrator(folder, "run", "trips:fails", "--id", "f", exits=1)
    told = "error: execution f is of the durable function trips:fails, whose code is read anew; leave --file out"
    for words in ("resume f --file p.yaml", "retry f --file p.yaml", "plan f --file p.yaml"):
        assert orchestrator(folder, *words.split(), exits=2, COLUMNS="400").stderr.strip() == told
    refused = orchestrator(folder, "resume", "f", "--file", "trips:book", exits=2).stderr
    assert refused.startswith("error: --file takes the file of a pipeline, not trips:book")


def test_validate_and_graph(folder: Path) -> None:
    assert orchestrator(folder, "validate", "trips:book").stdout.splitlines() == [
        "✓ book is valid: a durable function, 2 inputs",
        "  city    str · required",
        "  nights  int · default 2",
    ]
    assert as_json(folder, "validate", "trips.py:book") == {"file": "trips.py:book", "valid": True, "faults": []}
    fault = as_json(folder, "validate", "trips:helper", exits=2)["faults"][0]["message"]
    assert fault.startswith("trips:helper is no pipeline; ")
    assert "is a step" in orchestrator(folder, "validate", "trips:fetch", exits=2).stderr
    told = orchestrator(folder, "graph", "trips:book", exits=2, COLUMNS="400").stderr
    assert told == (
        "error: book is a durable function: its steps are known when it runs; `orchestrator show ID` has them\n"
    )


# ---------------------------------------------------------------- changed code


def change(folder: Path, old: str, new: str) -> None:
    text = (folder / "trips.py").read_text()
    assert text.count(old) == 1
    (folder / "trips.py").write_text(text.replace(old, new))


def test_code_that_cannot_follow_is_refused_and_harms_nothing(folder: Path) -> None:
    orchestrator(folder, "run", "trips:asks", "--id", "a", exits=3)
    change(folder, 'await fetch("Rome")\n    said', "await double(1)\n    said")
    done = orchestrator(folder, "resume", "a", exits=2, COLUMNS="400")
    assert "error: execution a: its journal has 'fetch'" in done.stderr
    assert f"'double' ({folder}/trips.py:{line_of('said = await') - 1})" in done.stderr
    assert "Traceback" not in done.stderr
    assert as_json(folder, "show", "a")["status"] == "paused"
    state, _, reason = orchestrator(folder, "show", "a", COLUMNS="400").stdout.splitlines()[:3]
    assert state == "asks  a  paused" and reason.startswith("its code does not fit what is recorded")
    again = orchestrator(folder, "run", "trips:asks", "--id", "a", exits=2, COLUMNS="400").stderr
    assert again == done.stderr
    change(folder, "await double(1)\n    said", 'await fetch("Rome")\n    said')
    answer = ("answer", "a", "approve", "reject", "--field", "room=1", "--by", "ann")
    orchestrator(folder, *answer, exits=3)
    assert ran(folder) == {"fetch Rome": 1}


def test_check_replay(folder: Path) -> None:
    (folder / "p.yaml").write_text("pipeline: p\nsteps: [{id: a, set: {x: 1}}]\n")
    orchestrator(folder, "run", "p.yaml", "--id", "p")
    orchestrator(folder, "run", "trips:book", "-i", "city=Rome", "--id", "b")
    orchestrator(folder, "run", "trips:asks", "--id", "a", exits=3)
    before = ran(folder), orchestrator(folder, "history", "a").stdout, orchestrator(folder, "history", "b").stdout
    assert orchestrator(folder, "check-replay", "--all").stdout.splitlines() == [
        "✓ a  asks  ok",
        "✓ b  book  ok",
        "○ p  p  skipped: its pipeline is of a file",
        "",
        "✓ 3 executions: 2 ok, 1 skipped",
    ]
    change(folder, 'await fetch("Rome")\n    said', "await double(1)\n    said")
    done = orchestrator(folder, "check-replay", "b", "a", exits=2, COLUMNS="400")
    ok, failed, _, summary = done.stdout.splitlines()
    assert ok == "✓ b  book  ok" and summary == "✗ 2 executions: 1 ok, 1 cannot be gone on with"
    assert failed.startswith("✗ a  asks  execution a: its journal has 'fetch'") and "asks for 'double'" in failed
    assert orchestrator(folder, "check-replay", "--all", "--pipeline", "book").stdout.startswith("✓ b  book  ok\n")
    data = as_json(folder, "check-replay", "--all", exits=2)
    assert [(check["execution_id"], check["ok"], check["skipped"]) for check in data] == [
        ("a", False, False),
        ("b", True, False),
        ("p", None, True),
    ]
    assert before == (
        ran(folder),
        orchestrator(folder, "history", "a").stdout,
        orchestrator(folder, "history", "b").stdout,
    )
    (folder / "trips.py").unlink()
    assert "there is no module 'trips'" in orchestrator(folder, "check-replay", "b", exits=2, COLUMNS="400").stdout


def test_check_replay_says_what_comes_next(folder: Path) -> None:
    orchestrator(folder, "run", "trips:fails", "--id", "f", exits=1)
    change(folder, "return await fetch(city, True)", "await double(1)\n    return await fetch(city, True)")
    assert "✗ f  fails  " in orchestrator(folder, "check-replay", "f", exits=2).stdout
    orchestrator(folder, "run", "trips:asks", "--id", "a", exits=3)
    change(folder, "    said = await", "    await asyncio.gather(approve('Book it?'), double(5))\n    said = await")
    assert orchestrator(folder, "check-replay", "a").stdout.splitlines()[0] == "✓ a  asks  ok, goes on with 'double'"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "name the executions to check, or give --all"),
        ("x --all", "name the executions to check, or give --all"),
        ("x --pipeline book", "--pipeline goes with --all"),
        ("x", "no execution 'x'"),
        ("--all --pipeline bok", "no execution of a pipeline 'bok' in .orchestrator/journal.db; did you mean 'book'?"),
    ],
)
def test_check_replay_of_what_is_not_there(folder: Path, words: str, told: str) -> None:
    orchestrator(folder, "run", "trips:book", "-i", "city=Rome", "--id", "b")
    assert told in orchestrator(folder, "check-replay", *words.split(), exits=2).stderr


def line_of(text: str) -> int:
    """The line of the first place in the code that has this text."""
    return next(number for number, line in enumerate(TRIPS.splitlines(), 1) if text in line)

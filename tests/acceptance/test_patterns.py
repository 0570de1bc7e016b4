"""The workflow patterns: every example is played, and ends as it says, also when it is cut anywhere on the way.

An example says at its end, in a comment, what is to come of it: one case or several of

    inputs                              what it is run with
    then                                what is done to it from outside, in order:
        signal: {NAME: PAYLOAD}         a signal is sent when it waits, and it is gone on with
        later: SECONDS                  the clock is moved on when it waits
        cancel: REASON
      each of them also while it runs, once
        at: LINE or lines               the handlers have written these
        ended: KEY                      this step has completed
        waits: KEY                      this step waits
    status, outputs                     how it ends (completed), and with what
    ran                                 all that the handlers write, in order; a list in it: in any order
    completed, skipped, cancelled, failed   keys of steps that end so; no other step fails
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.acceptance.cli_session import orchestrator, start, wait_for

from orchestrator import ExecutionResult, ExecutionStatus, Orchestrator, StepStatus
from orchestrator.clock import Clock, SystemClock
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.storage import open_store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/patterns"
PAGE = ROOT / "docs/patterns.md"
FILES = sorted(FOLDER.glob("*.yaml"))
WITNESS = "PATTERNS_WITNESS"
#: No test is right only because something took less time than this; it is there for what never comes.
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.002  # between two looks at what handlers have written
STATUSES = ("completed", "skipped", "cancelled", "failed")

Expectation = Mapping[str, Any]


# ---------------------------------------------------------------- what an example says


@dataclass(frozen=True)
class Case:
    """One case of an example."""

    file: Path
    number: int
    wanted: Expectation = field(compare=False)

    @property
    def actions(self) -> Sequence[Mapping[str, Any]]:
        return self.wanted.get("then", ())

    @property
    def lines(self) -> list[list[str]]:
        """What handlers write, as groups within which the order is free."""
        return [group if isinstance(group, list) else [group] for group in self.wanted["ran"]]

    def __str__(self) -> str:
        return f"{self.file.stem}-{self.number}"


def cases(file: Path) -> list[Case]:
    _, _, told = file.read_text(encoding="utf-8").partition("\n# expect:\n")
    found = yaml.safe_load(re.sub(r"^# ?", "", told, flags=re.MULTILINE))
    return [Case(file, number, wanted) for number, wanted in enumerate(found, start=1)]


CASES = [case for file in FILES for case in cases(file)]


# ---------------------------------------------------------------- playing one


@dataclass
class Stage:
    """Where an example is played: a store, the file that handlers write to, a clock that a case may move."""

    folder: Path
    clock: Clock = field(default_factory=SystemClock)

    @property
    def store(self) -> str:
        return str(self.folder / "journal.db")

    @property
    def lines(self) -> list[str]:
        witness = self.folder / "witness"
        return witness.read_text(encoding="utf-8").splitlines() if witness.exists() else []

    @contextmanager
    def open(self) -> Iterator[Orchestrator]:
        with Orchestrator(self.store, durability="process", clock=self.clock) as app:
            yield app


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return new_stage(tmp_path, monkeypatch)


def new_stage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage in this folder, which the handlers know of from now on."""
    folder.mkdir(exist_ok=True)
    made = Stage(folder)
    monkeypatch.setenv(WITNESS, str(folder / "witness"))
    monkeypatch.setenv("ORCHESTRATOR_STORE", made.store)
    return made


class Play:
    """One execution, `x`, and what is done to it from outside."""

    def __init__(self, stage: Stage, app: Orchestrator, pipeline: Path, inputs: Mapping[str, Any] | None) -> None:
        self._stage, self._app = stage, app
        self._running = asyncio.ensure_future(app.arun(pipeline, inputs, execution_id="x"))

    async def act(self, action: Mapping[str, Any]) -> None:
        """Do it when it is time, and have the execution go on."""
        if not action.keys() & {"at", "ended"}:
            await self._paused()
        while not self._is_time(action):
            if self._running.done():
                await self._paused()
                self._go_on()
            await asyncio.wait({self._running}, timeout=LOOK_SECONDS)
        for name, payload in action.get("signal", {}).items():
            self._app.signal("x", name, payload)
        if "cancel" in action:
            await self._app.acancel("x", action["cancel"])
        if "later" in action:
            assert isinstance(self._stage.clock, FakeClock)
            self._stage.clock.advance(action["later"])
        if self._running.done():
            self._go_on()

    async def end(self) -> ExecutionResult:
        return await self._running

    async def leave(self) -> None:
        """Let nothing run on where a test failed: its store is closed next."""
        self._running.cancel()
        await asyncio.wait({self._running}, timeout=PATIENCE_SECONDS)

    async def _paused(self) -> None:
        result = await self._running
        assert result.status is ExecutionStatus.PAUSED, f"it does not wait: {result}"

    def _go_on(self) -> None:
        self._running = asyncio.ensure_future(self._app.aresume("x"))

    def _is_time(self, action: Mapping[str, Any]) -> bool:
        written = action.get("at", [])
        if not {*([written] if isinstance(written, str) else written)} <= {*self._stage.lines}:
            return False
        if not action.keys() & {"ended", "waits"}:
            return True
        steps = self._app.show("x").steps
        ended, waits = (steps.get(action.get(word)) for word in ("ended", "waits"))
        return ("ended" not in action or (ended is not None and ended.status is StepStatus.COMPLETED)) and (
            "waits" not in action or (waits is not None and waits.waiting)
        )


async def play(stage: Stage, app: Orchestrator, case: Case) -> ExecutionResult:
    played = Play(stage, app, case.file, case.wanted.get("inputs"))
    try:
        for action in case.actions:
            await asyncio.wait_for(played.act(action), PATIENCE_SECONDS)
        return await asyncio.wait_for(played.end(), PATIENCE_SECONDS)
    finally:
        await played.leave()


def check(case: Case, result: ExecutionResult, record: ExecutionRecord) -> None:
    """That it ended as it says, apart from what handlers wrote."""
    wanted = case.wanted
    assert result.status == wanted.get("status", "completed"), result
    if "outputs" in wanted:
        assert result.outputs == wanted["outputs"]
    steps = record.steps.items()
    for status in STATUSES:
        keys = {key for key, step in steps if step.status == status}
        assert keys >= set(wanted.get(status, ())), status
    assert {key for key, step in steps if step.status is StepStatus.FAILED} == set(wanted.get("failed", ()))
    assert not [key for key, step in steps if step.status is StepStatus.RUNNING], "what began has ended"


def check_lines(lines: Sequence[str], groups: Sequence[Sequence[str]]) -> None:
    """That these were written and no others, in the order of the groups."""
    at = 0
    for group in groups:
        assert sorted(lines[at : at + len(group)]) == sorted(group), lines
        at += len(group)
    assert at == len(lines), f"written as well: {lines[at:]}"


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_an_example_ends_as_it_says(case: Case, stage: Stage) -> None:
    if any("later" in action for action in case.actions):
        stage.clock = FakeClock(jumping=False)
    with stage.open() as app:
        result = await play(stage, app, case)
        check(case, result, app.show("x"))
    check_lines(stage.lines, case.lines)


# ---------------------------------------------------------------- cut anywhere


def is_told(case: Case) -> bool:
    """Whether it can be played by a process that dies at any commit: nothing happens at a moment while it runs."""
    while_running = any(action.keys() & {"at", "ended", "waits", "later"} for action in case.actions)
    return not while_running and "patterns:tell" not in case.file.read_text(encoding="utf-8")


CUT = [case for case in CASES if is_told(case)]
#: Those with the most to get wrong are cut at every commit, the others at every so-manieth.
SHARP = {"07-3", "15-1", "16-1", "21-1", "22-1", "24-1", "29-1", "32-1", "41-1", "43-1"}
STRIDE = 4


class Lives:
    """Processes that take an execution to its end, of which the first dies at one of its commits."""

    def __init__(self, stage: Stage, case: Case, at: int, when: str) -> None:
        self._stage, self._case = stage, case
        self._inner = open_store(stage.store, durability="process")
        self.store = CrashingStore(self._inner, at=at, when=when)  # type: ignore[arg-type]  # before, after
        self._app = Orchestrator(self.store)
        #: What was known to have completed when the first life ended, and how much was written by then.
        self.known: set[str] = set()
        self.written = 0
        self.died = False

    def play(self) -> ExecutionResult:
        result = self._go_on()
        for action in self._case.actions:
            assert result.status is ExecutionStatus.PAUSED, result
            for name, payload in action["signal"].items():
                self._app.signal("x", name, payload)
            result = self._go_on()
        check(self._case, result, self._app.show("x"))
        return result

    def close(self) -> None:
        self._inner.close()

    def _go_on(self) -> ExecutionResult:
        try:
            return self._run()
        except SimulatedCrash:
            self.store.bury()
            self._app = Orchestrator(self._inner)
            self.died, self.written = True, len(self._stage.lines)
            if self._app.list():
                steps = self._app.show("x").steps.items()
                self.known = {key for key, step in steps if step.status is StepStatus.COMPLETED}
            return self._run()

    def _run(self) -> ExecutionResult:
        if self._app.list():
            return self._app.resume("x")
        return self._app.run(self._case.file, self._case.wanted.get("inputs"), execution_id="x")


@pytest.mark.parametrize("case", CUT, ids=str)
def test_an_example_that_is_cut_ends_as_it_says(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sharp = f"{case.file.name[:2]}-{case.number}" in SHARP
    assert cut_everywhere(case, tmp_path, monkeypatch, 1 if sharp else STRIDE) >= (8 if sharp else 2)


def cut_everywhere(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, stride: int = 1) -> int:
    """Before and after commits: the same end, no signal lost or taken twice, nothing recorded runs again.

    Gives how often it fell.
    """
    fell = 0
    for when, cut in (("before", 1), ("after", 1 + stride // 2)):
        while True:
            stage = new_stage(folder / f"{when}-{cut}", monkeypatch)
            lives = Lives(stage, case, cut, when)
            try:
                lives.play()
            finally:
                lives.close()
            if not lives.died:
                break
            assert not lives.known & set(stage.lines[lives.written :]), (when, cut)
            assert {*stage.lines} == {line for group in case.lines for line in group}, (when, cut)
            fell += 1
            cut += stride
    return fell


# ---------------------------------------------------------------- those most often got wrong


def written(folder: Path, text: str) -> Path:
    """A pipeline of these lines, beside the handlers of the examples."""
    (folder / "patterns.py").write_bytes((FOLDER / "patterns.py").read_bytes())
    file = folder / "pipeline.yaml"
    file.write_text(text, encoding="utf-8")
    return file


SKIPPED_PARENTS = """
pipeline: skipped-parents
inputs: {run: {type: list}}
steps:
  - {id: a, when: "${'a' in run}", call: "patterns:work", with: {value: 1, until: "${['b'] if 'b' in run else []}"}}
  - {id: b, when: "${'b' in run}", call: "patterns:work", with: {value: 10}}
  - {id: after_a, when: "${a is not none}", needs: [b], call: "patterns:work", with: {value: "${a}"}}
  - {id: all, call: "patterns:work", with: {value: ["${a}", "${b}", "${after_a}"]}}
outputs: {all: "${all}"}
"""


@pytest.mark.parametrize("run", [[], ["a"], ["b"], ["a", "b"]], ids=lambda run: "".join(run) or "none")
def test_a_join_after_skipped_parents_waits_for_the_others_and_runs_once(run: list[str], stage: Stage) -> None:
    file = written(stage.folder, SKIPPED_PARENTS)
    with stage.open() as app:
        result = app.run(file, {"run": run}, execution_id="x")
        record = app.show("x")
    a, b = (1 if "a" in run else None), (10 if "b" in run else None)
    assert result.outputs == {"all": [a, b, a]}
    assert stage.lines[-1] == "all" and stage.lines.count("all") == 1
    ended = {"a", "after_a"} if "a" in run else set()
    assert {line for line in stage.lines if " " not in line} == ended | {*run, "all"}
    skipped = {key for key, step in record.steps.items() if step.status is StepStatus.SKIPPED}
    assert skipped == {"a", "b", "after_a"} - ended - {*run}


RACE = """
pipeline: race
steps:
  - id: event
    parallel: [{id: a, signal: a}, {id: b, signal: b}, {id: time, wait: 1h}]
    join: any
  - {id: then, call: "patterns:work", with: {value: "${event}"}}
  - {id: other, needs: [then], signal: "${'b' if 'a' in event else 'a'}"}
outputs: {event: "${event}", other: "${other}"}
"""


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_deferred_choice_takes_the_first_of_two_that_came_and_leaves_the_other(first: str, stage: Stage) -> None:
    file, second = written(stage.folder, RACE), "b" if first == "a" else "a"
    with stage.open() as app:
        assert app.run(file, execution_id="x").status is ExecutionStatus.PAUSED
        app.signal("x", first, 1)
        app.signal("x", second, 2)
    with stage.open() as app:
        result, record = app.resume("x"), app.show("x")
    assert result.outputs == {"event": {first: 1}, "other": 2}, "the one that lost is kept for who takes it later"
    assert {key: str(record.steps[f"event.{key}"].status) for key in ("a", "b", "time")} == {
        first: "completed",
        second: "cancelled",
        "time": "cancelled",
    }
    assert stage.lines == ["then"]


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_deferred_choice_that_is_cut_is_not_made_twice(
    first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both signals are there when it is gone on with: each is taken by one step, whenever the process dies."""
    second = "b" if first == "a" else "a"
    case = Case(
        written(tmp_path, RACE),
        1,
        {
            "then": [{"signal": {first: 1, second: 2}}],
            "outputs": {"event": {first: 1}, "other": 2},
            "ran": ["then"],
            "completed": [f"event.{first}"],
            "cancelled": [f"event.{second}", "event.time"],
        },
    )
    assert cut_everywhere(case, tmp_path, monkeypatch) >= 8


def test_a_deferred_choice_of_which_all_came_while_nobody_ran_is_made_once(stage: Stage) -> None:
    """The time is over, and a signal is there as well: one of them decides, and a resume does not think again."""
    file, clock = written(stage.folder, RACE), FakeClock(jumping=False)
    stage.clock = clock
    with stage.open() as app:
        assert app.run(file, execution_id="x").status is ExecutionStatus.PAUSED
        app.signal("x", "a", 1)
        clock.advance(3601)
    with stage.open() as app:
        app.resume("x")
        steps = app.show("x").steps
        won = {key for key in ("a", "b", "time") if steps[f"event.{key}"].status is StepStatus.COMPLETED}
        assert len(won) == 1
        app.signal("x", "b", 2)
        if "time" in won:
            app.signal("x", "a", 3)
    with stage.open() as app:
        result = app.resume("x")
    assert result.status is ExecutionStatus.COMPLETED and set(result.outputs["event"]) == won
    assert result.outputs["other"] == (2 if won == {"a"} else 1), "a signal is taken in its turn, and not lost"
    assert stage.lines == ["then"]


NOT_AWAITED_YET = """
pipeline: not-awaited-yet
steps:
  - {id: prepare, call: "patterns:work", with: {until: [go]}}
  - {id: taken, needs: [prepare], signal: order}
  - {id: loop, for_each: [1, 2], max_parallel: 1, needs: [taken], signal: order}
outputs: {orders: ["${taken}", "${loop[0]}", "${loop[1]}"]}
"""


async def test_signals_that_nobody_awaits_yet_are_taken_later_in_their_order(stage: Stage) -> None:
    """They come while a step runs that stands before; nobody has to wait for them then."""
    file = written(stage.folder, NOT_AWAITED_YET)
    with stage.open() as app:
        running = asyncio.ensure_future(app.arun(file, execution_id="x"))
        while "prepare begins" not in stage.lines:
            await asyncio.wait({running}, timeout=LOOK_SECONDS)
            assert not running.done()
        for number in (1, 2, 3):
            app.signal("x", "order", number)
        with (stage.folder / "witness").open("a") as file_of_lines:
            file_of_lines.write("go\n")
        result = await asyncio.wait_for(running, PATIENCE_SECONDS)
    assert result.outputs == {"orders": [1, 2, 3]}
    assert stage.lines == ["prepare begins", "go", "prepare"]


NESTED_WAITS = """
pipeline: nested-waits
pipelines:
  inner:
    steps:
      - {id: call, signal: never}
      - {id: after, needs: [call], call: "patterns:work"}
  outer:
    steps: [{id: each, for_each: [1, 2], pipeline: inner}]
steps:
  - {id: child, pipeline: outer, on_error: [{strategy: skip}]}
  - {id: block, steps: [{id: deep, pipeline: outer}]}
  - {id: last, needs: [child, block], call: "patterns:work"}
"""
NESTED_WAITING = {f"{place}/each[{n}]/call" for place in ("child", "block.deep") for n in (0, 1)}


def test_a_cancel_reaches_what_waits_in_sub_pipelines_that_nobody_runs(stage: Stage) -> None:
    file = written(stage.folder, NESTED_WAITS)
    with stage.open() as app:
        assert app.run(file, execution_id="x").status is ExecutionStatus.PAUSED
        assert {key for key, step in app.show("x").steps.items() if step.waiting} == NESTED_WAITING
    with stage.open() as app:
        app.cancel("x", "not needed")
        if app.show("x").status is ExecutionStatus.PAUSED:
            app.resume("x")
        record = app.show("x")
    assert record.status is ExecutionStatus.CANCELLED
    owners = {"child", "block", "block.deep"} | {key.rpartition("/")[0] for key in NESTED_WAITING}
    assert {key for key, step in record.steps.items() if step.status is StepStatus.CANCELLED} >= NESTED_WAITING | owners
    assert not any(step.waiting or step.status is StepStatus.RUNNING for step in record.steps.values())
    assert stage.lines == [], "neither what was to follow nor what an `on_error` would let go on"


FIRST_WINS = """
pipeline: first-wins
steps:
  - id: race
    parallel:
      - {id: fails, fail: out of order}
      - {id: wins, call: "patterns:work", with: {value: 1, until: [race.loses.deep/job begins]}}
      - {id: loses, on_error: [{strategy: fail_fast}], steps: [{id: deep, pipeline: child}]}
    join: any
  - {id: next, call: "patterns:work", with: {value: "${race}"}}
pipelines:
  child: {steps: [{id: job, call: "patterns:hold", retry: {max_attempts: 3, initial_delay: 0.001}}]}
outputs: {won: "${next}"}
"""


def test_branches_that_lost_are_cancelled_and_not_failed(stage: Stage) -> None:
    """One fails, and is borne; one wins; one is cancelled, its sub-pipeline as well, and no policy sees a failure."""
    file = written(stage.folder, FIRST_WINS)
    with stage.open() as app:
        result, steps = app.run(file, execution_id="x"), app.show("x").steps
    assert result.outputs == {"won": {"wins": 1}} and result.error is None
    lost = ("race.loses", "race.loses.deep", "race.loses.deep/job")
    assert {steps[key].status for key in lost} == {StepStatus.CANCELLED}
    assert [steps[key].error for key in lost] == [None] * 3 and steps["race.loses.deep/job"].attempt == 1
    assert steps["race.fails"].status is StepStatus.FAILED and steps["race"].status is StepStatus.COMPLETED
    assert [line for line in stage.lines if "loses" in line] == [f"{lost[2]} begins", f"{lost[2]} cancelled"]


TWO_OF_THREE = """
pipeline: two-of-three
steps:
  - id: came
    parallel:
      - {id: a, signal: a}
      - {id: block, steps: [{id: b, signal: b}]}
      - {id: items, for_each: [1, 2], signal: c}
    join: 2
  - {id: left, needs: [came], signal: "${'c' if 'block' in came else 'b'}"}
outputs: {came: "${came}", left: "${left}"}
"""


def test_a_partial_join_takes_so_many_of_the_signals_that_came_and_no_more(stage: Stage) -> None:
    """Also where branches hold what waits, and a branch takes several."""
    file = written(stage.folder, TWO_OF_THREE)
    with stage.open() as app:
        app.run(file, execution_id="x")
        for number, name in enumerate(["c", "c", "a", "b"]):
            app.signal("x", name, number)
        result, steps = app.resume("x"), app.show("x").steps
    assert result.outputs == {"came": {"items": [0, 1], "a": 2}, "left": 3}
    assert steps["came.block"].status is steps["came.block.b"].status is StepStatus.CANCELLED


TOO_MANY_FAIL = """
pipeline: too-many-fail
steps:
  - id: two
    parallel:
      - {id: bad, fail: out of order}
      - {id: worse, fail: out of order}
      - {id: good, call: "patterns:work"}
    join: 2
"""


def test_a_partial_join_that_cannot_be_reached_any_more_fails(stage: Stage) -> None:
    with stage.open() as app:
        result = app.run(written(stage.folder, TOO_MANY_FAIL), execution_id="x")
        assert result.status is ExecutionStatus.FAILED
        assert app.show("x").steps["two"].status is StepStatus.FAILED


LOOP = """
pipeline: loop
steps:
  - id: count
    while: ${(count or 0) < 5}
    as: n
    call: patterns:work
    with: {value: "${n + 1}", until: "${['go'] if n == 2 else []}"}
outputs: {count: "${count}"}
"""


def test_a_loop_that_is_killed_counts_on_where_it_stood(tmp_path: Path) -> None:
    """A real kill, in its third round: the rounds before it do not run again, and it is the third that goes on."""
    written(tmp_path, LOOP)
    witness = tmp_path / "witness"
    env = {WITNESS: str(witness)}
    with start(tmp_path, "run", "pipeline.yaml", "--id", "x", **env) as running:
        try:
            wait_for(lambda: witness.exists() and "count[2] begins" in witness.read_text(), "the third round")
            running.send_signal(signal.SIGKILL)
        finally:
            running.kill()
    with witness.open("a") as file:
        file.write("go\n")
    resumed = orchestrator(tmp_path, "resume", "x", "--json", **env)
    assert json.loads(resumed.stdout)["outputs"] == {"count": 5}
    assert witness.read_text().splitlines() == [
        "count[0]",
        "count[1]",
        "count[2] begins",
        "go",
        "count[2] begins",
        "count[2]",
        "count[3]",
        "count[4]",
    ]


# ---------------------------------------------------------------- the page

#: As the patterns are called in the report of 2006.
NAMES = """
Sequence · Parallel Split · Synchronization · Exclusive Choice · Simple Merge · Multi-Choice
Structured Synchronizing Merge · Multi-Merge · Structured Discriminator · Arbitrary Cycles · Implicit Termination
Multiple Instances without Synchronization · Multiple Instances with a Priori Design-Time Knowledge
Multiple Instances with a Priori Run-Time Knowledge · Multiple Instances without a Priori Run-Time Knowledge
Deferred Choice · Interleaved Parallel Routing · Milestone · Cancel Activity · Cancel Case · Structured Loop · Recursion
Transient Trigger · Persistent Trigger · Cancel Region · Cancel Multiple Instance Activity
Complete Multiple Instance Activity · Blocking Discriminator · Cancelling Discriminator · Structured Partial Join
Blocking Partial Join · Cancelling Partial Join · Generalized AND-Join
Static Partial Join for Multiple Instances · Cancelling Partial Join for Multiple Instances
Dynamic Partial Join for Multiple Instances · Acyclic Synchronizing Merge · General Synchronizing Merge
Critical Section · Interleaved Routing · Thread Merge · Thread Split · Explicit Termination
"""
PATTERNS = dict(enumerate(re.split(r" · |\n", NAMES.strip()), start=1))


def rows() -> dict[int, tuple[str, str, str]]:
    """The rows of the page by the pattern's number: name, verdict, what is said."""
    found = re.findall(
        r"^\| (\d+) \| ([^|]+) \| \*\*(.+?)\*\* \| (.+) \|$", PAGE.read_text("utf-8"), flags=re.MULTILINE
    )
    assert len({number for number, *_ in found}) == len(found), "a pattern has two rows"
    return {int(number): (name, verdict, said) for number, name, verdict, said in found}


def linked(text: str) -> set[Path]:
    return {(PAGE.parent / target).resolve() for target in re.findall(r"\]\((\.\./examples/patterns/[^)]+)\)", text)}


def test_the_page_judges_every_pattern() -> None:
    assert len(PATTERNS) == 43
    assert {number: name for number, (name, _, _) in rows().items()} == PATTERNS
    assert {verdict for _, verdict, _ in rows().values()} <= {"supported", "expressible", "out of scope"}


def test_what_is_supported_has_an_example_that_is_tested() -> None:
    for number, (_, verdict, said) in rows().items():
        if verdict == "supported":
            assert any(file.name.startswith(f"{number:02}-") for file in linked(said)), number
    assert linked(PAGE.read_text("utf-8")) >= {file.resolve() for file in FILES}
    assert not [file for file in linked(PAGE.read_text("utf-8")) if not file.exists()]


def test_an_example_says_first_which_pattern_it_is_and_what_to_see() -> None:
    for file in FILES:
        number = int(file.name[:2])
        assert file.read_text("utf-8").startswith(f"# {number} {PATTERNS[number]}"), file.name


def test_the_page_counts_right() -> None:
    told = re.search(r"(\d+) are supported, (\d+) expressible, (\d+) out of scope", PAGE.read_text("utf-8"))
    assert told is not None
    verdicts = [verdict for _, verdict, _ in rows().values()]
    assert [int(n) for n in told.groups()] == [verdicts.count(v) for v in ("supported", "expressible", "out of scope")]

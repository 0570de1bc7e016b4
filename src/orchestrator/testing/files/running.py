"""One test of a file, run: what differs from what it expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.execution.engine import ExecutionResult
from orchestrator.execution.state.outputs import output_of
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.status import UNFINISHED
from orchestrator.testing.carrying import Carrier
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crash import crash_everywhere
from orchestrator.testing.differing import differences, shown
from orchestrator.testing.files.cases import Case
from orchestrator.testing.files.subjects import Subject
from orchestrator.testing.given import Given
from orchestrator.testing.memory import memory_store
from orchestrator.testing.script import Script, names_of
from orchestrator.types import StepKey

_ID = "test"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a test: the lines that say what was not as expected, none where everything was.

    `seconds` are real ones. `cuts` and `commits` are those of the crashes that were tried, 0 where none were.
    """

    case: Case
    lines: tuple[str, ...]
    seconds: float
    cuts: int = 0
    commits: int = 0

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.lines


def run_case(subject: Subject, case: Case, *, real_clock: bool = False, crashes: bool = False) -> CaseResult:
    """Run a test on a store in memory; with `crashes`, then once more for each cut, where it passed.

    The modules of the handlers are as they were before the first test.

    Raises PipelineError for a pipeline with faults; what goes wrong while it runs is a line of the result.
    """
    real = SystemClock()
    began = real.monotonic()
    subject.modules.forget()
    lines = tuple(_tried(subject, case, real if real_clock else FakeClock()))
    cuts = commits = 0
    if crashes and not lines and case.expected.status not in UNFINISHED:
        subject.modules.forget()
        try:
            report = crash_everywhere(
                subject.runs,
                case.inputs,
                script=Script(case.outcomes, only=case.only),
                messages=case.signals,
                answers=case.answers,
                clock=(lambda: SystemClock()) if real_clock else FakeClock,
            )
            cuts, commits = report.cuts, report.commits
        except AssertionError as error:
            lines = tuple(line.strip() for line in str(error).splitlines())
    return CaseResult(case, lines, real.monotonic() - began, cuts, commits)


def _tried(subject: Subject, case: Case, clock: Clock) -> Iterator[str]:
    script, given = Script(case.outcomes, only=case.only), Given(case.signals, case.answers, case.by)
    carrier = Carrier(subject.runs, case.inputs, _ID, clock, script, given)
    store = memory_store(clock)
    try:
        result = carrier.carry(store)
    except InputError as error:
        yield f"the inputs or answers do not fit: {error}"
        return
    with carrier.opened(store) as app:
        yield from _unmet(app, app.show(_ID), result, case)
    for name in script.unused:
        yield f"steps.{name}: it is scripted, and was never called"


def _unmet(app: Orchestrator, record: ExecutionRecord, result: ExecutionResult, case: Case) -> Iterator[str]:
    """What was not as expected, a line for each."""
    expected = case.expected
    if result.status is not expected.status:
        yield f"status: expected {expected.status}, got {result.status}{_why(result)}"
    message = str((result.error or {}).get("message", ""))
    if expected.error is not None and expected.error not in message:
        yield f"error: expected a message with {expected.error!r}, got {shown(message) if message else 'none'}"
    yield from differences(expected.outputs, result.outputs, "outputs", partly=True)
    variables = {name: app.value(value) for name, (value, _) in record.variables.items() if name in expected.variables}
    yield from differences(expected.variables, variables, "variables", partly=True)
    for name, said in expected.steps.items():
        for key in _keys_of(record, name):
            yield from _step_unmet(app, record, key, said)


def _keys_of(record: ExecutionRecord, name: str) -> list[str]:
    """The steps that a name stands for: the one of that key, else all that a person calls so."""
    return [name] if name in record.steps else [key for key in record.steps if name in names_of(key)] or [name]


def _step_unmet(app: Orchestrator, record: ExecutionRecord, key: str, said: Mapping[str, Any]) -> Iterator[str]:
    step = record.steps.get(StepKey(key))
    status = str(step.status) if step is not None else "pending"
    why = f" ({step.reason})" if step is not None and step.reason else ""
    if "status" in said and said["status"] != status:
        yield f"steps.{key}: expected {said['status']}, got {status}{why}"
    if "attempts" in said:
        yield from differences(said["attempts"], step.attempt if step is not None else 0, f"steps.{key}.attempts")
    if "output" in said:
        yield from differences(said["output"], _output(app, record, key), f"steps.{key}.output")


def _output(app: Orchestrator, record: ExecutionRecord, name: str) -> Any:
    try:
        found = output_of(record, StepKey(name), app.store.get_blob)
    except (KeyError, OrchestratorError):
        return None
    return None if found is None else found.read()


def _why(result: ExecutionResult) -> str:
    if result.status in UNFINISHED:
        return f": {result.reason}" if result.reason else ""
    if result.error is not None:
        step = f"step {result.failed_step}: " if result.failed_step else ""
        return f": {step}{result.error.get('message', '')}"
    return f": {result.reason}" if result.reason else ""

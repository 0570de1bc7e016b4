"""All seven recovery strategies, performed by the engine: real store, real runner, real handlers."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_handlers import WITNESS

from orchestrator import ExecutionStatus, Orchestrator, Pipeline, StepStatus
from orchestrator.errors import ExecutionWaitsError, InputError
from orchestrator.execution.recovery import (
    MAX_ROLLBACKS,
    ErrorCategory,
    ErrorInfo,
    RecoveryManager,
    RecoveryPlan,
    RecoveryStrategy,
    RetryConfig,
)
from orchestrator.journal import events as ev
from orchestrator.journal.records import kind_of
from orchestrator.testing.clock import FakeClock

HERE = Path(__file__).parents[2]
S = RecoveryStrategy


def pipeline(steps: str, outputs: str) -> Pipeline:
    text = f"pipeline: p\nsteps:\n{textwrap.indent(textwrap.dedent(steps).strip(), '  ')}\noutputs: {outputs}\n"
    return Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(HERE))


@pytest.fixture
def witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    path = tmp_path / "witness"
    monkeypatch.setenv(WITNESS, str(path))
    return lambda: path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def manager() -> RecoveryManager:
    return RecoveryManager()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(tmp_path: Path, manager: RecoveryManager, clock: FakeClock) -> Iterator[Orchestrator]:
    with Orchestrator(tmp_path / "journal.db", clock=clock, recovery=manager) as orchestrator:
        yield orchestrator


def story(app: Orchestrator, execution_id: str) -> list[str]:
    """The events of an execution in words, without those of its start."""
    told = []
    for entry in app.history(execution_id):
        key = getattr(entry.event, "key", None) or ""
        told.append(f"{kind_of(entry.event)} {key}".strip())
    return told[told.index("checkpoint_created") + 1 :]


def test_fail_fast_is_not_tried_again(app: Orchestrator, manager: RecoveryManager) -> None:
    manager.set_recovery_plan("a", RecoveryPlan(S.FAIL_FAST))
    steps = '- {id: a, call: "engine_handlers:fail_until", with: {attempt: 2}, retry: {max_attempts: 5}}'
    result = app.run(pipeline(steps, "{}"))
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "a")
    assert story(app, result.execution_id) == ["step_started a", "step_failed a", "execution_failed"]


def test_retry_waits_the_same_time_each_time(
    app: Orchestrator, manager: RecoveryManager, witness: Callable[[], list[str]]
) -> None:
    config = RetryConfig(max_attempts=4, initial_delay=5, exponential_backoff=False)
    manager.set_recovery_plan("a", RecoveryPlan(S.RETRY, retry_config=config))
    steps = '- {id: a, call: "engine_handlers:fail_until", with: {attempt: 4, kind: ValueError}}'
    result = app.run(pipeline(steps, '{a: "${a}"}'))
    assert result.outputs == {"a": 4}
    assert witness() == ["a 1 1", "a 1 2", "a 1 3", "a 1 4"]
    waits = [e.event.due_at - e.at for e in app.history(result.execution_id) if isinstance(e.event, ev.StepRetrying)]
    assert waits == [5, 5, 5]


def test_retry_with_backoff_waits_longer_each_time(app: Orchestrator, manager: RecoveryManager) -> None:
    config = RetryConfig(max_attempts=4, initial_delay=1, backoff_factor=3)
    manager.register_error_handler(
        ErrorCategory.VALIDATION, lambda info: RecoveryPlan(S.RETRY_WITH_BACKOFF, retry_config=config)
    )
    steps = '- {id: a, call: "engine_handlers:fail_until", with: {attempt: 9, kind: ValueError}}'
    result = app.run(pipeline(steps, "{}"))
    assert result.status is ExecutionStatus.FAILED
    waits = [e.event.due_at - e.at for e in app.history(result.execution_id) if isinstance(e.event, ev.StepRetrying)]
    assert waits == [1, 3, 9]
    assert story(app, result.execution_id)[-3:] == ["step_started a", "step_failed a", "execution_failed"]


def test_retry_after_is_obeyed(app: Orchestrator, manager: RecoveryManager) -> None:
    steps = '- {id: a, call: "engine_handlers:busy", with: {seconds: 40}, retry: {max_attempts: 2, initial_delay: 1}}'
    result = app.run(pipeline(steps, '{a: "${a}"}'))
    assert result.outputs == {"a": 2}
    (wait,) = [e.event.due_at - e.at for e in app.history(result.execution_id) if isinstance(e.event, ev.StepRetrying)]
    assert wait == 40
    started = [e.at for e in app.history(result.execution_id) if isinstance(e.event, ev.StepStarted)]
    assert started[1] - started[0] >= 40


def test_skip_gives_the_default_output(app: Orchestrator, manager: RecoveryManager) -> None:
    manager.set_recovery_plan("a", RecoveryPlan(S.SKIP, default_output=[1, 2]))
    steps = """
        - {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}
        - {id: b, set: {size: "${a | length}"}}
    """
    result = app.run(pipeline(steps, '{size: "${size}"}'))
    assert result.outputs == {"size": 2}
    assert story(app, result.execution_id) == [
        "step_started a",
        "step_recovering a",
        "step_skipped a",
        "step_succeeded b",
        "execution_completed",
    ]
    step = app.show(result.execution_id).steps["a"]  # type: ignore[index]
    assert step.status is StepStatus.SKIPPED
    assert "attempt 1" in step.reason


def test_an_alternative_path_runs_the_named_steps_and_takes_the_last_output(
    app: Orchestrator, manager: RecoveryManager, witness: Callable[[], list[str]]
) -> None:
    manager.set_recovery_plan("a", RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["first", "second"]))
    steps = """
        - {id: first, when: false, call: "engine_handlers:add", with: {left: 10}}
        - {id: second, when: false, call: "engine_handlers:fail_until", with: {attempt: 2}, retry: {max_attempts: 2}}
        - {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}
        - {id: b, set: {got: "${a}"}}
    """
    result = app.run(pipeline(steps, '{got: "${got}"}'))
    assert result.outputs == {"got": 2}
    assert witness() == ["a 1 1", "a/first 1 1", "a/second 1 1", "a/second 1 2"]
    assert [line for line in story(app, result.execution_id) if "a" in line.split()[-1][0]] == [
        "step_started a",
        "step_recovering a",
        "step_started a/first",
        "step_succeeded a/first",
        "step_started a/second",
        "step_retrying a/second",
        "step_started a/second",
        "step_succeeded a/second",
        "step_succeeded a",
    ]
    assert app.show(result.execution_id).steps_done == 4


def test_an_alternative_that_fails_fails_the_step(app: Orchestrator, manager: RecoveryManager) -> None:
    manager.set_recovery_plan("a", RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["other"]))
    steps = """
        - {id: other, when: false, call: "engine_handlers:fail_until", with: {attempt: 9, kind: ValueError}}
        - {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}
    """
    result = app.run(pipeline(steps, "{}"))
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "a")
    assert "ValueError" in str((result.error or {})["message"])


def test_an_unknown_alternative_is_named(app: Orchestrator, manager: RecoveryManager) -> None:
    manager.set_recovery_plan("a", RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["nowhere"]))
    result = app.run(pipeline('- {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}', "{}"))
    assert "'nowhere'" in str((result.error or {})["message"])


ROLLBACK = """
    - {id: one, call: "engine_handlers:append", with: {name: one}, checkpoint: base}
    - {id: two, needs: [one], call: "engine_handlers:append", with: {name: two}}
    - {id: count, needs: [two], set: {seen: "${two}"}}
    - {id: three, needs: [count], call: "engine_handlers:fail_in_generations", with: {generations: GENERATIONS}}
"""


def test_a_rollback_restores_and_runs_again_from_there(
    app: Orchestrator, manager: RecoveryManager, witness: Callable[[], list[str]]
) -> None:
    manager.set_recovery_plan("three", RecoveryPlan(S.ROLLBACK, target_checkpoint="base"))
    result = app.run(pipeline(ROLLBACK.replace("GENERATIONS", "2"), '{three: "${three}", seen: "${seen}"}'))
    assert result.outputs == {"three": 3, "seen": "two of 3"}
    assert witness() == [
        "one 1 1 one",
        "two 1 1 two",
        "three 1 1",
        "two 2 1 two",
        "three 2 2",
        "two 3 1 two",
        "three 3 3",
    ]
    told = story(app, result.execution_id)
    assert told[:9] == [
        "step_started one",
        "step_succeeded one",
        "step_started two",
        "step_succeeded two",
        "step_succeeded count",
        "step_started three",
        "step_recovering three",
        "execution_restored",
        "step_started two",
    ]
    record = app.show(result.execution_id)
    assert record.steps_done == 4
    assert record.rollbacks == {"three": 2}
    assert app.list()[0].steps_done == 4


def test_a_rollback_loop_is_bounded(
    app: Orchestrator, manager: RecoveryManager, witness: Callable[[], list[str]]
) -> None:
    manager.set_recovery_plan("three", RecoveryPlan(S.ROLLBACK, target_checkpoint="base"))
    result = app.run(pipeline(ROLLBACK.replace("GENERATIONS", "99"), "{}"))
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "three")
    assert len([line for line in witness() if line.startswith("three")]) == MAX_ROLLBACKS + 1
    assert "rollback" in str((result.error or {})["message"])


def test_a_rollback_without_the_checkpoint_fails_and_says_so(app: Orchestrator, manager: RecoveryManager) -> None:
    manager.set_recovery_plan("three", RecoveryPlan(S.ROLLBACK, target_checkpoint="nowhere"))
    result = app.run(pipeline(ROLLBACK.replace("GENERATIONS", "1"), "{}"))
    assert result.status is ExecutionStatus.FAILED
    assert "'nowhere'" in str((result.error or {})["message"])


def test_a_rollback_lets_go_of_what_runs_beside_it(
    app: Orchestrator, manager: RecoveryManager, witness: Callable[[], list[str]]
) -> None:
    """A step that began after the checkpoint is cancelled and runs anew; its late result counts for nothing."""
    manager.set_recovery_plan("bad", RecoveryPlan(S.ROLLBACK, target_checkpoint="base"))
    steps = """
        - {id: one, call: "engine_handlers:append", with: {name: one}, checkpoint: base}
        - {id: beside, needs: [one], call: "engine_handlers:wait_in_first_generation"}
        - {id: bad, needs: [one], call: "engine_handlers:fail_in_generations", with: {generations: 1}}
        - {id: last, set: {all: "${[beside, bad]}"}}
    """
    result = app.run(pipeline(steps, '{all: "${all}"}'))
    assert result.outputs == {"all": [2, 2]}
    assert [line for line in witness() if line.startswith("beside")] == ["beside 1 1", "beside 2 1"]


def test_a_step_that_ran_already_at_the_checkpoint_begins_anew(
    app: Orchestrator, manager: RecoveryManager, witness: Callable[[], list[str]], tmp_path: Path
) -> None:
    """Its checkpoint is made by a step beside it."""
    manager.set_recovery_plan("bad", RecoveryPlan(S.ROLLBACK, target_checkpoint="base"))
    steps = f"""
        - {{id: one, call: "engine_handlers:append", with: {{name: one}}, checkpoint: base}}
        - {{id: bad, call: "engine_handlers:wait_then_fail", with: {{path: "{tmp_path}/go", generations: 1}}}}
        - {{id: goes, needs: [one], call: "engine_handlers:touch", with: {{path: "{tmp_path}/go"}}}}
    """
    result = app.run(pipeline(steps, '{bad: "${bad}"}'))
    assert result.outputs == {"bad": 2}
    assert [line for line in witness() if line.startswith("bad")] == ["bad 1 1", "bad 2 2"]


def test_a_rollback_takes_a_loop_back(app: Orchestrator, manager: RecoveryManager) -> None:
    manager.set_recovery_plan("bad", RecoveryPlan(S.ROLLBACK, target_checkpoint="initial"))
    steps = """
        - {id: all, for_each: [1, 2, 3], call: "engine_handlers:add", with: {left: "${item}"}}
        - {id: bad, needs: [all], call: "engine_handlers:fail_in_generations", with: {generations: 1}}
    """
    result = app.run(pipeline(steps, '{all: "${all}", bad: "${bad}"}'))
    assert result.outputs == {"all": [2, 3, 4], "bad": 2}
    starts = [e.event for e in app.history(result.execution_id) if isinstance(e.event, ev.StepStarted)]
    assert sorted({(s.key, s.generation) for s in starts if s.key.startswith("all[")}) == [
        (f"all[{i}]", generation) for i in range(3) for generation in (1, 2)
    ]


MANUAL = """
    - {id: a, call: "engine_handlers:fail_unless", with: {path: "PATH"}}
    - {id: beside, call: "engine_handlers:add", with: {left: 1}}
    - {id: b, set: {got: "${a}"}}
"""


def asked(tmp_path: Path, clock: FakeClock) -> tuple[str, Path]:
    """An execution whose step waits for a person, in a store that nobody has open any more."""
    path = tmp_path / "needed"
    manager = RecoveryManager()
    manager.set_recovery_plan("a", RecoveryPlan(S.MANUAL_INTERVENTION, manual_instructions="make the file"))
    with Orchestrator(tmp_path / "journal.db", clock=clock, recovery=manager) as app:
        result = app.run(pipeline(MANUAL.replace("PATH", str(path)), '{got: "${got}"}'))
        assert result.status is ExecutionStatus.PAUSED
        assert result.waiting == {"a": "make the file"}
        with pytest.raises(ExecutionWaitsError, match="make the file"):
            result.raise_for_status()
        record = app.show(result.execution_id)
        assert record.steps["beside"].status is StepStatus.COMPLETED  # type: ignore[index]
        assert record.pause_reason == "waiting for an answer about step 'a'"
    return result.execution_id, path


def test_a_manual_intervention_survives_a_restart_and_is_retried(
    tmp_path: Path, clock: FakeClock, witness: Callable[[], list[str]]
) -> None:
    execution_id, path = asked(tmp_path, clock)
    with Orchestrator(tmp_path / "journal.db", clock=clock) as app:
        assert app.resume(execution_id).waiting == {"a": "make the file"}
        path.touch()
        app.answer(execution_id, "a", "retry", by="Ada")
        result = app.resume(execution_id)
        assert result.outputs == {"got": "there"}
        told = story(app, execution_id)
    assert told.count("intervention_requested a") == told.count("intervention_answered a") == 1
    assert [line.split()[0] for line in witness()].count("beside") == 1


def test_a_manual_intervention_is_skipped_with_a_value(tmp_path: Path, clock: FakeClock) -> None:
    execution_id, _ = asked(tmp_path, clock)
    with Orchestrator(tmp_path / "journal.db", clock=clock) as app:
        app.answer(execution_id, "a", "skip", {"by": "hand"}, "Ada")
        assert app.resume(execution_id).outputs == {"got": {"by": "hand"}}
        assert app.show(execution_id).steps["a"].reason == "skipped by Ada"  # type: ignore[index]


def test_a_manual_intervention_is_aborted(tmp_path: Path, clock: FakeClock) -> None:
    execution_id, _ = asked(tmp_path, clock)
    with Orchestrator(tmp_path / "journal.db", clock=clock) as app:
        app.answer(execution_id, "a", "abort")
        result = app.resume(execution_id)
        assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "a")
        assert "is missing" in str((result.error or {})["message"])


def test_an_answer_that_answers_nothing_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    execution_id, _ = asked(tmp_path, clock)
    with Orchestrator(tmp_path / "journal.db", clock=clock) as app:
        with pytest.raises(InputError, match="these do: a"):
            app.answer(execution_id, "b", "retry")
        with pytest.raises(InputError, match="retry, skip or abort"):
            app.answer(execution_id, "a", "maybe")
        app.answer(execution_id, "a", "skip")
        with pytest.raises(InputError, match="answered already: skip"):
            app.answer(execution_id, "a", "skip")


def test_an_answer_while_other_steps_run_is_taken_at_once(
    app: Orchestrator, manager: RecoveryManager, tmp_path: Path
) -> None:
    """The handler beside it answers through the recovery manager, as a person at another terminal would."""
    manager.set_recovery_plan("a", RecoveryPlan(S.MANUAL_INTERVENTION, manual_instructions="say so"))
    asked_for, taken = asyncio.Event(), tmp_path / "taken"

    def on_event(entry: ev.Entry) -> None:
        if isinstance(entry.event, ev.InterventionRequested):
            asked_for.set()
        if isinstance(entry.event, ev.StepSkipped):
            taken.touch()  # the step beside it does not end before

    async def run() -> Any:
        with Orchestrator(tmp_path / "other.db", recovery=manager, on_event=[on_event]) as live:
            steps = f"""
                - {{id: a, call: "engine_handlers:fail_until", with: {{attempt: 9}}}}
                - {{id: beside, call: "engine_handlers:wait_then_fail", with: {{path: "{taken}", generations: 0}}}}
            """
            task = asyncio.create_task(live.arun(pipeline(steps, '{a: "${a}"}')))
            await asked_for.wait()
            manager.answer("a", "skip", 7, by="Ada")
            result = await task
            return result, story(live, result.execution_id)

    result, told = asyncio.run(run())
    assert result.outputs == {"a": 7}
    assert told.index("step_skipped a") < told.index("step_succeeded beside")
    assert "execution_paused" not in told


def test_a_question_ends_with_its_deadline(tmp_path: Path, clock: FakeClock) -> None:
    manager = RecoveryManager()
    manager.set_recovery_plan("a", RecoveryPlan(S.MANUAL_INTERVENTION, manual_instructions="soon", timeout=60))
    with Orchestrator(tmp_path / "journal.db", clock=clock, recovery=manager) as app:
        steps = '- {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}'
        first = app.run(pipeline(steps, "{}"))
        assert first.status is ExecutionStatus.PAUSED
        clock.advance(61)
        result = app.resume(first.execution_id)
        assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "a")


def test_a_plan_bounds_the_whole_recovery(app: Orchestrator, manager: RecoveryManager) -> None:
    config = RetryConfig(max_attempts=100, initial_delay=10, exponential_backoff=False)
    manager.set_recovery_plan("a", RecoveryPlan(S.RETRY, retry_config=config, timeout=35))
    steps = '- {id: a, call: "engine_handlers:fail_until", with: {attempt: 99}}'
    result = app.run(pipeline(steps, "{}"))
    assert result.status is ExecutionStatus.FAILED
    assert story(app, result.execution_id).count("step_started a") == 4


def test_a_cancellation_is_no_error_to_recover_from(app: Orchestrator, manager: RecoveryManager) -> None:
    seen: list[ErrorInfo] = []
    manager.register_global_error_handler(lambda info: seen.append(info))

    async def run() -> str:
        steps = '- {id: a, call: "engine_handlers:slow_async", with: {seconds: 60}}'
        task = asyncio.create_task(app.arun(pipeline(steps, "{}"), execution_id="cancelled"))
        while not any(isinstance(e.event, ev.StepStarted) for e in _history(app)):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return "cancelled"

    assert app.show(asyncio.run(run())).status is ExecutionStatus.PAUSED
    assert seen == []


def _history(app: Orchestrator) -> list[Any]:
    return [*app.history("cancelled")] if app.list() else []


def test_without_a_plan_the_steps_own_retry_counts(app: Orchestrator, witness: Callable[[], list[str]]) -> None:
    steps = """
        - {id: a, call: "engine_handlers:fail_until", with: {attempt: 2}, retry: {max_attempts: 2}}
        - {id: b, needs: [a], call: "engine_handlers:fail_until", with: {attempt: 2}}
    """
    result = app.run(pipeline(steps, "{}"))
    assert result.failed_step == "b"
    assert witness() == ["a 1 1", "a 1 2", "b 1 1"]


def test_rules_of_the_file_say_what_follows(app: Orchestrator, witness: Callable[[], list[str]]) -> None:
    """A rule whose attempts are used up leaves the error to the next one."""
    steps = """
        - {id: spare, when: false, call: "engine_handlers:add", with: {left: "${item}"}}
        - id: all
          for_each: [10, 20]
          call: engine_handlers:fail_until
          with: {attempt: 9, kind: ValueError}
          on_error:
            - {category: network, strategy: fail_fast}
            - {exception: ValueError, strategy: retry, max_attempts: 2, initial_delay: 1s}
            - {message: ATTEMPT 2, strategy: alternative_path, steps: [spare]}
        - {id: left_out, call: "engine_handlers:fail_until", with: {attempt: 9},
           on_error: [{strategy: skip, output: [7]}]}
    """
    result = app.run(pipeline(steps, '{all: "${all}", left_out: "${left_out}"}'))
    assert result.outputs == {"all": [11, 21], "left_out": [7]}
    assert sorted(line for line in witness() if "[1]" in line) == ["all[1] 1 1", "all[1] 1 2", "all[1]/spare 1 1"]


def test_a_plan_bounds_an_alternative_too(app: Orchestrator, manager: RecoveryManager) -> None:
    manager.set_recovery_plan("a", RecoveryPlan(S.ALTERNATIVE_PATH, alternative_steps=["slow"], timeout=0.05))
    steps = """
        - {id: slow, when: false, call: "engine_handlers:slow_async", with: {seconds: 20}}
        - {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}
    """
    result = app.run(pipeline(steps, "{}"))
    assert result.failed_step == "a"
    assert "timeout" in str((result.error or {})["message"])


def test_an_alternative_path_without_steps_fails_the_step(app: Orchestrator, manager: RecoveryManager) -> None:
    manager.set_recovery_plan("a", RecoveryPlan(S.ALTERNATIVE_PATH))
    result = app.run(pipeline('- {id: a, call: "engine_handlers:fail_until", with: {attempt: 9}}', "{}"))
    assert result.failed_step == "a"
    assert "names no steps" in str((result.error or {})["message"])


def test_the_time_of_a_recovery_runs_on_while_nobody_runs_it(
    app: Orchestrator, clock: FakeClock, witness: Callable[[], list[str]]
) -> None:
    """Interrupted between two attempts, and gone on with when its time was over."""
    steps = """
        - id: a
          call: engine_handlers:fail_until
          with: {attempt: 99}
          on_error: [{strategy: retry, max_attempts: 50, initial_delay: 10s, timeout: 25s}]
    """
    first: list[str] = []

    def on_event(entry: ev.Entry) -> None:
        if isinstance(entry.event, ev.StepRetrying):
            app.interrupt()

    with Orchestrator(app.store, clock=clock, on_event=[on_event]) as live:
        app.interrupt = live.interrupt  # type: ignore[method-assign]
        first.append(live.run(pipeline(steps, "{}")).execution_id)
    clock.advance(1000)
    result = app.resume(first[0])
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "a")
    assert witness() == ["a 1 1"], "an attempt began after the end of the recovery's time"


@pytest.mark.parametrize("strategy", ["retry", "skip"])
def test_a_handler_that_ends_the_program_is_never_recovered_from(
    app: Orchestrator, tmp_path: Path, witness: Callable[[], list[str]], strategy: str
) -> None:
    steps = f"""
        - {{id: a, call: "engine_handlers:ends_the_program", on_error: [{{strategy: {strategy}}}]}}
    """
    assert app.run(pipeline(steps, "{}")).failed_step == "a"
    with Orchestrator(tmp_path / "plain.db") as plain:  # nobody is asked but the rule
        assert plain.run(pipeline(steps, "{}")).failed_step == "a"
    assert witness() == ["a 1 1", "a 1 1"]


def test_a_checkpoint_that_a_rule_names_is_kept(app: Orchestrator, witness: Callable[[], list[str]]) -> None:
    chain = "\n".join(
        f'- {{id: s{i}, call: "engine_handlers:add_async", with: {{left: "${{s{i - 1}}}"}}}}' for i in range(1, 60)
    )
    steps = (
        '- {id: s0, call: "engine_handlers:add_async", with: {left: 0}, checkpoint: base}\n'
        f"{chain}\n"
        '- {id: bad, needs: [s59], call: "engine_handlers:fail_in_generations", with: {generations: 1},'
        " on_error: [{strategy: rollback, checkpoint: base}]}"
    )
    result = app.run(pipeline(steps, '{bad: "${bad}"}'))
    assert result.outputs == {"bad": 2}
    assert len([line for line in witness() if line.startswith("s30 ")]) == 2


def test_a_retried_step_that_rolls_back_past_another_failure_leaves_no_trace_of_it(
    app: Orchestrator, manager: RecoveryManager, tmp_path: Path
) -> None:
    """What counts as failed is what the machine says, not what it once said."""
    manager.set_recovery_plan("r", RecoveryPlan(S.ROLLBACK, target_checkpoint="initial"))
    manager.set_recovery_plan("m", RecoveryPlan(S.MANUAL_INTERVENTION, manual_instructions="well?"))
    steps = f"""
        - {{id: f, call: "engine_handlers:fail_unless", with: {{path: "{tmp_path}/f"}}}}
        - {{id: r, needs: [f], call: "engine_handlers:fail_in_generations", with: {{generations: 2}}}}
        - {{id: m, needs: [r], call: "engine_handlers:fail_until", with: {{attempt: 9}}}}
    """
    first = app.run(pipeline(steps, "{}"))
    assert first.failed_step == "f"
    (tmp_path / "f").touch()
    result = app.retry(first.execution_id)
    assert (result.status, result.waiting) == (ExecutionStatus.PAUSED, {"m": "well?"})


def test_errors_of_an_execution_are_in_the_managers_history(app: Orchestrator, manager: RecoveryManager) -> None:
    steps = '- {id: a, call: "engine_handlers:fail_until", with: {attempt: 3}, retry: {max_attempts: 3}}'
    app.run(pipeline(steps, "{}"))
    history = manager.get_error_history("a")
    assert [error.category for error in history] == [ErrorCategory.NETWORK, ErrorCategory.NETWORK]

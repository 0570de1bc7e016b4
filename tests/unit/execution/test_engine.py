"""The engine with everything real: store, runner, handlers."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_handlers import WITNESS

from orchestrator import ExecutionStatus, Orchestrator, Pipeline, StepStatus
from orchestrator.errors import (
    ExecutionFailedError,
    InputError,
    NotResumableError,
    OrchestratorError,
    OwnedElsewhereError,
    UnknownExecutionError,
)
from orchestrator.journal import events as ev
from orchestrator.journal.records import decode_body
from orchestrator.testing.clock import FakeClock

HERE = Path(__file__).parents[2]


def pipeline(steps: str, outputs: str = "", inputs: str = "") -> Pipeline:
    text = "pipeline: p\n"
    text += f"inputs:\n{textwrap.indent(textwrap.dedent(inputs), '  ')}\n" if inputs else ""
    text += f"steps:\n{textwrap.indent(textwrap.dedent(steps).strip(), '  ')}\n"
    text += f"outputs:\n{textwrap.indent(textwrap.dedent(outputs).strip(), '  ')}\n" if outputs else ""
    return Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(HERE))


@pytest.fixture
def witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    path = tmp_path / "witness"
    monkeypatch.setenv(WITNESS, str(path))
    return lambda: path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Orchestrator]:
    with Orchestrator(tmp_path / "journal.db", clock=FakeClock()) as orchestrator:
        yield orchestrator


def test_values_flow_and_outputs_come_out(app: Orchestrator) -> None:
    definition = pipeline(
        """
        - {id: a, call: "engine_handlers:add", with: {left: "${start}"}}
        - {id: b, call: "engine_handlers:add_async", with: {left: "${a}", right: 10}}
        - {id: c, set: {total: "${a + b}", word: "n=${b}"}}
        """,
        'total: "${total}"\nword: "${c.word}"',
        "start: {type: integer, default: 1}",
    )
    result = app.run(definition, {"start": 5})
    assert result.status is ExecutionStatus.COMPLETED
    assert result.outputs == {"total": 22, "word": "n=16"}
    record = app.show(result.execution_id)
    assert {key: step.status for key, step in record.steps.items()} == dict.fromkeys("abc", StepStatus.COMPLETED)
    assert app.list()[0].steps_done == 3


def test_a_loop_gives_its_outputs_in_order_and_respects_its_window(app: Orchestrator) -> None:
    result = app.run(
        pipeline(
            """
            - {id: all, for_each: "${range(9)}", as: n, max_parallel: 2, call: "engine_handlers:add_async",
               with: {left: "${n}"}}
            - {id: empty, for_each: [], call: "engine_handlers:nothing"}
            """,
            'all: "${all}"\nempty: "${empty}"\nsecond: "${all[1]}"',
        )
    )
    assert result.outputs == {"all": list(range(1, 10)), "empty": [], "second": 2}
    running, most = set(), 0
    for entry in app.history(result.execution_id):
        match entry.event:
            case ev.StepStarted(key=key) if key.startswith("all["):
                running.add(key)
            case ev.StepSucceeded(key=key):
                running.discard(key)
        most = max(most, len(running))
    assert most == 2


def test_a_false_condition_skips_and_dependents_run_with_null(
    app: Orchestrator, witness: Callable[[], list[str]]
) -> None:
    result = app.run(
        pipeline(
            """
            - {id: a, when: "${1 > 2}", call: "engine_handlers:nothing"}
            - {id: b, set: {seen: "${a is none}"}}
            - {id: c, for_each: [1, 2, 3], when: "${item != 2}", call: "engine_handlers:add", with: {left: "${item}"}}
            """,
            'seen: "${seen}"\nc: "${c}"',
        )
    )
    assert result.outputs == {"seen": True, "c": [2, None, 4]}
    assert sorted(line.split()[0] for line in witness()) == ["c[0]", "c[2]"]
    assert app.show(result.execution_id).steps["a"].status is StepStatus.SKIPPED  # type: ignore[index]


def test_a_handler_may_change_what_it_was_given(app: Orchestrator) -> None:
    result = app.run(
        pipeline(
            """
            - {id: data, call: "engine_handlers:rows"}
            - {id: spoilt, call: "engine_handlers:spoil", with: {data: "${data}"}, retry: {max_attempts: 2}}
            - {id: counted, call: "engine_handlers:length", with: {data: "${data}"}, needs: [spoilt]}
            """,
            'counted: "${counted}"\nspoilt: "${spoilt}"\ndata: "${data.months}"',
        )
    )
    assert result.outputs == {"counted": 5, "spoilt": 4, "data": ["jan", "feb"]}


def test_retries_wait_and_are_told(app: Orchestrator, witness: Callable[[], list[str]]) -> None:
    result = app.run(
        pipeline(
            """
            - {id: a, call: "engine_handlers:fail_until", with: {attempt: 3},
               retry: {max_attempts: 3, initial_delay: 100, max_delay: 1000, on: [network]}}
            """,
            'a: "${a}"',
        )
    )
    assert result.outputs == {"a": 3}
    assert witness() == ["a 1 1", "a 1 2", "a 1 3"]
    failures = app.show(result.execution_id).steps["a"].failures  # type: ignore[index]
    assert failures is not None
    waits = [round(failure.due_at - failure.at) for failure in failures if failure.due_at]
    assert waits == [100, 200]


def test_what_is_not_listed_is_not_retried(app: Orchestrator, witness: Callable[[], list[str]]) -> None:
    result = app.run(
        pipeline(
            """
            - {id: a, call: "engine_handlers:fail_until", with: {attempt: 9, kind: ValueError},
               retry: {max_attempts: 3, on: [network]}}
            - {id: b, call: "engine_handlers:nothing", needs: [a]}
            """
        )
    )
    assert result.status is ExecutionStatus.FAILED
    assert result.failed_step == "a"
    assert result.error is not None
    assert (result.error["category"], len(witness())) == ("validation", 1)
    with pytest.raises(ExecutionFailedError, match="orchestrator retry"):
        result.raise_for_status()


def test_a_failed_execution_is_retried_from_what_failed(
    app: Orchestrator, witness: Callable[[], list[str]], tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    definition = pipeline(
        f"""
        - {{id: a, call: "engine_handlers:add", with: {{left: 1}}}}
        - {{id: b, for_each: [1, 2], call: "engine_handlers:fail_unless", needs: [a],
           with: {{path: "{missing}${{item - 1 or ''}}"}}}}
        - {{id: c, set: {{done: "${{b}}"}}}}
        """,
        'done: "${done}"',
    )
    (tmp_path / "missing1").touch()
    failed = app.run(definition, execution_id="one")
    assert failed.failed_step == "b[0]"
    with pytest.raises(NotResumableError, match="orchestrator retry one"):
        app.resume("one")
    with pytest.raises(InputError, match="a' did not fail"):
        app.retry("one", "a")
    missing.touch()
    assert app.retry("one", "b").outputs == {"done": ["there", "there"]}
    assert witness().count("a 1 1") == 1
    assert "b[0] 2 1" in witness()
    assert app.resume("one").outputs == {"done": ["there", "there"]}
    with pytest.raises(NotResumableError, match="nothing to retry"):
        app.retry("one")


def test_what_runs_when_a_step_fails_is_let_finish_and_kept(
    app: Orchestrator, witness: Callable[[], list[str]]
) -> None:
    result = app.run(
        pipeline(
            """
            - {id: long, call: "engine_handlers:slow_async", with: {seconds: 0.2}}
            - {id: bad, call: "engine_handlers:fail_until", with: {attempt: 9}}
            - {id: next, call: "engine_handlers:nothing", needs: [long]}
            """
        )
    )
    assert result.failed_step == "bad"
    assert "long 1 1 end" in witness()
    assert not [line for line in witness() if line.startswith("next")]
    assert app.show(result.execution_id).steps["long"].status is StepStatus.COMPLETED  # type: ignore[index]


def test_a_value_that_cannot_be_kept_fails_the_step_and_names_it(app: Orchestrator) -> None:
    result = app.run(pipeline('- {id: a, call: "engine_handlers:unencodable"}'))
    assert result.failed_step == "a"
    assert result.error is not None
    assert "rows[1].handle" in result.error["message"]


def test_a_template_that_fails_at_run_time_fails_the_step(app: Orchestrator) -> None:
    result = app.run(
        pipeline(
            """
            - {id: a, call: "engine_handlers:rows"}
            - {id: b, call: "engine_handlers:add", with: {left: "${a.rows[7].n}"}}
            """
        )
    )
    assert result.failed_step == "b"


def test_outputs_that_cannot_be_made_fail_the_execution(app: Orchestrator) -> None:
    result = app.run(pipeline('- {id: a, call: "engine_handlers:rows"}', 'x: "${a.rows[7]}"'))
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, None)


def test_a_large_unchanged_value_is_kept_once(app: Orchestrator, tmp_path: Path) -> None:
    steps = '- {id: s0, call: "engine_handlers:large", with: {size: 2000000}}\n'
    steps += "\n".join(
        f'- {{id: s{i}, call: "engine_handlers:same", with: {{value: "${{s{i - 1}}}"}}}}' for i in range(1, 6)
    )
    assert app.run(pipeline(steps)).status is ExecutionStatus.COMPLETED
    app.store.sync()
    assert sum(f.stat().st_size for f in tmp_path.glob("journal.db*")) < 2 * 2_300_000


def test_a_chain_takes_one_commit_for_each_step(app: Orchestrator) -> None:
    steps = '- {id: s0, call: "engine_handlers:add_async", with: {left: 0}}\n'
    steps += "\n".join(
        f'- {{id: s{i}, call: "engine_handlers:add_async", with: {{left: "${{s{i - 1}}}"}}}}' for i in range(1, 30)
    )
    definition = pipeline(steps, 'n: "${s29}"')
    assert app.run(definition).outputs == {"n": 30}
    kinds = [
        [type(event) for _, event in decode_body(batch.body)] for batch in app.store.read(app.list()[0].execution_id)
    ]
    # A start that waited 10 ms for its outcome (the first, for the import of the handlers) goes alone.
    assert [k for k in kinds if k != [ev.StepStarted]] == [
        [ev.ExecutionCreated, ev.ExecutionClaimed, ev.CodeSeen, ev.CheckpointCreated],
        *(k for k in kinds if ev.StepSucceeded in k),
        [ev.ExecutionCompleted],
    ]
    assert sum(ev.StepSucceeded in k for k in kinds) == 30


def test_a_fan_out_shares_transactions(app: Orchestrator) -> None:
    definition = pipeline(
        '- {id: many, for_each: "${range(500)}", call: "engine_handlers:add_async", with: {left: "${item}"}}',
        'last: "${many[499]}"',
    )
    before = app.store.transactions  # type: ignore[attr-defined]
    assert app.run(definition).outputs == {"last": 500}
    assert app.store.transactions - before < 125  # type: ignore[attr-defined]  # a quarter for each item


def test_an_id_is_taken_once(app: Orchestrator, witness: Callable[[], list[str]]) -> None:
    """Who asks again in the same words is given what there is; other words are refused."""
    steps = '- {id: a, call: "engine_handlers:nothing"}'
    definition = pipeline(steps, inputs="n: {type: integer, default: 1}")
    first = app.run(definition, {"n": 1}, execution_id="mine")
    assert app.run(definition, execution_id="mine") == first
    assert witness() == ["a 1 1"]
    with pytest.raises(InputError, match="there is an execution 'mine' already, with other inputs"):
        app.run(definition, {"n": 2}, execution_id="mine")
    with pytest.raises(InputError, match="there is an execution 'mine' already, with another pipeline"):
        app.run(pipeline(steps.replace("a,", "b,")), execution_id="mine")
    with pytest.raises(UnknownExecutionError, match="mine"):
        app.show("mime")


def test_two_at_once_on_one_execution_exactly_one_goes_on(tmp_path: Path) -> None:
    with Orchestrator(tmp_path / "j.db") as one, Orchestrator(tmp_path / "j.db") as two:
        definition = pipeline('- {id: a, call: "engine_handlers:slow_async", with: {seconds: 0.5}}')

        async def both() -> list[Any]:
            first = asyncio.create_task(one.arun(definition, execution_id="x"))
            await asyncio.sleep(0.1)
            second = asyncio.create_task(two.aresume("x"))
            return await asyncio.gather(first, second, return_exceptions=True)

        ran, refused = asyncio.run(both())
    assert ran.status is ExecutionStatus.COMPLETED
    assert isinstance(refused, OwnedElsewhereError)


def test_an_interrupt_pauses_and_a_resume_goes_on(tmp_path: Path, witness: Callable[[], list[str]]) -> None:
    definition = pipeline(
        """
        - {id: a, call: "engine_handlers:slow_async", with: {seconds: 0.3}}
        - {id: b, call: "engine_handlers:add", with: {left: 1}, needs: [a]}
        - {id: w, call: "engine_handlers:fail_until", with: {attempt: 2}, retry: {max_attempts: 3, initial_delay: 60}}
        - {id: s, run: "sleep 30"}
        """
    )
    with Orchestrator(tmp_path / "j.db") as app:

        async def interrupted() -> Any:
            task = asyncio.create_task(app.arun(definition, execution_id="x"))
            await asyncio.sleep(0.15)
            app.interrupt()
            return await task

        result = asyncio.run(interrupted())
        assert result.status is ExecutionStatus.PAUSED
        record = app.show("x")
        assert record.steps["a"].status is StepStatus.COMPLETED  # type: ignore[index]
        assert record.steps["s"].failures is None  # type: ignore[index]
        assert "b" not in record.steps
        assert app.list()[0].owner is None


def test_many_executions_on_one_loop_share_transactions(app: Orchestrator) -> None:
    steps = '- {id: s0, call: "engine_handlers:add_async", with: {left: 0}}\n'
    steps += "\n".join(
        f'- {{id: s{i}, call: "engine_handlers:add_async", with: {{left: "${{s{i - 1}}}"}}}}' for i in range(1, 10)
    )
    definition = pipeline(steps, 'n: "${s9}"')

    async def many() -> list[Any]:
        return await asyncio.gather(*(app.arun(definition) for _ in range(30)))

    before = app.store.transactions  # type: ignore[attr-defined]
    assert [r.outputs for r in asyncio.run(many())] == [{"n": 10}] * 30
    assert app.store.transactions - before < 150  # type: ignore[attr-defined]  # of 300 steps


def test_a_view_that_raises_harms_nothing_and_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def at_fault(*_: object) -> None:
        raise OSError("no space left")

    definition = pipeline('- {id: a, call: "engine_handlers:slow", with: {seconds: 0.01}}')
    with Orchestrator(tmp_path / "j.db", on_event=[at_fault], on_note=[at_fault]) as app:
        assert app.run(definition).status is ExecutionStatus.COMPLETED
    assert [record.message.split(":")[0] for record in caplog.records] == ["subscriber_failed"]


def test_run_inside_of_a_running_loop_says_what_to_write(app: Orchestrator) -> None:
    async def notebook() -> None:
        app.run(pipeline("- {id: a, set: {x: 1}}"))

    with pytest.raises(OrchestratorError, match="await arun"):
        asyncio.run(notebook())


@pytest.mark.parametrize("bad", ["", "a b", "../x", "a" * 121, "-x", "é"])
def test_an_id_that_could_not_be_typed_or_kept_is_refused(app: Orchestrator, bad: str) -> None:
    with pytest.raises(InputError, match="id of an execution"):
        app.run(pipeline("- {id: a, set: {x: 1}}"), execution_id=bad)


def test_steps_that_end_in_neighbouring_passes_share_transactions(app: Orchestrator) -> None:
    steps = '- {id: many, for_each: "${range(600)}", call: "engine_handlers:staggered", with: {left: "${item}"}}'
    definition = pipeline(steps, 'last: "${many[599]}"')
    before = app.store.transactions  # type: ignore[attr-defined]
    assert app.run(definition).outputs == {"last": 599}
    assert app.store.transactions - before < 20  # type: ignore[attr-defined]


def test_the_last_commit_gives_the_lease_back(app: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[object] = []
    monkeypatch.setattr(app.store, "release", released.append)
    app.run(pipeline("- {id: a, set: {x: 1}}"), execution_id="x")
    assert app.list()[0].owner is None
    assert not released

"""Executions that are controlled from outside: one process runs, others look, signal, answer, pause, cancel, fork."""

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.cli_session import Terminal, as_json, orchestrator, start, wait_for, write_pipeline
from tests.acceptance.test_cli_interrupt import gate_step

from orchestrator import ExecutionStatus, Orchestrator, StepStatus
from orchestrator.journal.fold import ExecutionRecord

KID = """\
pipelines:
  kid:
    inputs: {n: {type: integer}}
    steps:
      - {id: load, call: 'handlers:loud', with: {value: '${n}'}}
      - {id: store, call: 'handlers:give', with: {value: '${load * 10}'}}
    outputs: {n: '${store}'}
"""


@contextmanager
def running(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The command, which ends with the block at the latest."""
    with start(folder, *arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def record(folder: Path, execution_id: str = "x") -> ExecutionRecord | None:
    """How an execution stands, read past the command line; None where there is none yet."""
    journal = folder / ".orchestrator/journal.db"
    if not journal.exists():
        return None
    with Orchestrator(journal) as app:
        known = [summary.execution_id for summary in app.list()]
        return app.show(execution_id) if execution_id in known else None


def stands(folder: Path, key: str, *statuses: StepStatus) -> bool:
    """Whether a step of the execution `x` has begun, and stands so."""
    found = record(folder)
    return found is not None and key in found.steps and found.steps[key].status in statuses  # type: ignore[index]


def names(shown: str) -> Sequence[tuple[str, int, str]]:
    """The steps that `show` or a terminal lists: sign, depth, name."""
    rows = re.findall(r"^  ([✓✗●·○↻?◷■‖]) ( *)(\S+)", shown, flags=re.MULTILINE)
    return [(sign, len(indent) // 2, name) for sign, indent, name in rows]


# ---------------------------------------------------------------- what is seen


def test_steps_are_seen_at_every_level(tmp_path: Path) -> None:
    write_pipeline(
        tmp_path,
        "{id: months, for_each: [1, 2], as: m, steps: [{id: kid, pipeline: kid, with: {n: '${m}'}}]}",
        "{id: route, switch: [{when: false, steps: [{id: a, run: [echo]}]}, {steps: [{id: b, run: [echo]}]}]}",
        "{id: rounds, while: '${n < 3}', as: n, steps: [{id: c, call: 'handlers:give', with: {value: '${n}'}}]}",
        f"{{id: race, join: any, parallel: [{{id: fast, run: [echo]}}, {{id: late, run: 'sleep {600}'}}]}}",
        "{id: bad, needs: [months, race], steps: [{id: inner, call: 'handlers:fail_until', with: {file: none}}]}",
        "{id: after, needs: [bad], run: [echo]}",
        rest=KID + "finally: [{id: tidy, call: 'handlers:give', with: {value: '${outcome.step}'}}]\n",
    )
    done = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", exits=1)
    told = [line.partition(" ")[2] for line in done.stdout.splitlines() if line[:2] == "00"]
    assert {"route started (case 2)", "months[1].kid/store started", "months[0].kid/load | printed"} <= set(told)
    assert any(line.startswith("race.late cancelled: 'race' is over (ended ") for line in told)
    assert any(line.startswith("rounds completed (3 rounds in ") for line in told)
    assert "✗ step bad.inner failed\n" in done.stderr and "ConnectionError" in done.stderr
    assert "also failed" not in done.stderr  # what is around it failed for the same reason

    shown = orchestrator(tmp_path, "show", "x").stdout
    assert names(shown) == [
        ("✓", 0, "months"),
        ("✓", 1, "months[0]"),
        ("✓", 2, "kid"),
        ("✓", 3, "load"),
        ("✓", 3, "store"),
        ("✓", 1, "months[1]"),
        ("✓", 2, "kid"),
        ("✓", 3, "load"),
        ("✓", 3, "store"),
        ("✓", 0, "route"),
        ("✓", 1, "b"),
        ("✓", 0, "rounds"),
        ("✓", 1, "rounds[2]"),
        ("✓", 2, "c"),
        ("✓", 0, "race"),
        ("✓", 1, "fast"),
        ("■", 1, "late"),
        ("✗", 0, "bad"),
        ("✗", 1, "inner"),
        ("·", 0, "after"),
        ("✓", 0, "tidy"),
    ]
    step = orchestrator(tmp_path, "show", "x", "bad").stdout
    assert "✗ step bad failed, because step bad.inner did\n" in step
    steps = {step["key"]: step for step in as_json(tmp_path, "show", "x")["steps"]}
    assert (steps["bad"]["cause"], steps["route"]["case"], steps["rounds"]["rounds"]) == ("bad.inner", 1, 3)
    assert steps["race.late"]["status"] == "cancelled" and steps["after"]["status"] == "pending"
    logs = orchestrator(tmp_path, "logs", "x", "months[1]").stdout
    assert "months[1].kid/load | printed" in logs and "months[0]" not in logs
    plan = {step["key"]: step["action"] for step in as_json(tmp_path, "plan", "x", "retry")["steps"]}
    assert (plan["bad"], plan["bad.inner"], plan["months"], plan["tidy"]) == (
        "go on",
        "run again",
        "reuse",
        "run again",
    )
    assert "retry: " in orchestrator(tmp_path, "plan", "x", "retry").stdout


# ---------------------------------------------------------------- signals and people


def test_what_waits_is_told_and_gone_on_with_from_another_process(tmp_path: Path) -> None:
    form = "form: {amount: {type: integer, default: 5}, note: {type: string}}"
    write_pipeline(
        tmp_path,
        "{id: paid, signal: payment, deadline: 2d}",
        f"{{id: ok, needs: [paid], approve: 'Release ${{paid.for}}?', who: [ada], {form}, deadline: 1d}}",
        rest="outputs: {paid: '${paid}', ok: '${ok}'}\n",
    )
    told = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", exits=3).stderr
    assert re.search(r"◷ step paid waits for the signal 'payment' until \d{4}-", told)
    assert "signal x payment --payload JSON" in told and "resume x" not in told
    row = orchestrator(tmp_path, "list").stdout.splitlines()[1]
    assert re.search(r"x +shop +paused .* waiting for the signal 'payment' .* until \d{4}-", row)
    other = orchestrator(tmp_path, "signal", "x", "paymnet").stdout
    assert "it is kept until a step waits for it (now step paid waits for 'payment')" in " ".join(other.split())
    sent = as_json(tmp_path, "signal", "x", "payment", "--payload", '{"for": "bread"}', "--by", "Bob")
    assert (sent["waits"], sent["goes_on"]) == (["paid"], None)
    assert "already sent (by Bob)" in orchestrator(tmp_path, "show", "x").stdout

    waits = as_json(tmp_path, "resume", "x", exits=3)
    assert waits["waiting"] == {"ok": "Release bread?"} and waits["waits"][0]["kind"] == "approval"
    asked = orchestrator(tmp_path, "approvals").stdout
    for line in ("? ok of shop, execution x", "who may answer: ada", "field note: string, required"):
        assert line in asked
    assert re.search(r"approve +.* answer x ok approve --field note=STRING --by NAME$", asked, flags=re.MULTILINE)

    def refused(*arguments: object) -> str:
        return orchestrator(tmp_path, "answer", "x", "ok", *arguments, exits=2).stderr

    assert "to be answered by ada, not by Bob" in refused("approve", "--by", "Bob")
    assert "field 'note' is required" in refused("approve", "--by", "ada", "--field", "amount=x")
    fields = ("--field", "note=fine", "--field", "amount=7")
    result = as_json(tmp_path, "answer", "x", "ok", "approve", "--by", "ada", *fields)
    assert result["outputs"]["paid"] == {"for": "bread"}
    assert result["outputs"]["ok"]["form"] == {"amount": 7, "note": "fine"}


def test_a_run_that_stays_takes_what_another_process_sends(tmp_path: Path) -> None:
    write_pipeline(tmp_path, "{id: paid, signal: payment}", rest="outputs: {paid: '${paid}'}\n")
    with running(tmp_path, "run", "pipeline.yaml", "--id", "x", "--wait") as process:
        wait_for(lambda: stands(tmp_path, "paid", StepStatus.RUNNING), "the wait")
        with running(
            tmp_path, "run", "pipeline.yaml", "--id", "x", "--wait"
        ) as second:  # in the same words: it looks on
            assert second.stderr is not None
            assert f":{process.pid} runs it; this looks on" in second.stderr.readline()
            told = as_json(tmp_path, "signal", "x", "payment", "--payload", "3")
            assert told["goes_on"].endswith(f":{process.pid}")
            for each in (process, second):
                out, err = each.communicate()
                assert each.returncode == 0, err
                assert "paid takes the signal" in out and "paid  3\n" in out


def test_the_live_view_shows_what_is_inside_and_what_to_type(tmp_path: Path) -> None:
    write_pipeline(
        tmp_path,
        f"{{id: block, steps: [{gate_step(tmp_path, 'slow')}]}}",
        "{id: ask, approve: 'Go on?'}",
        "{id: nap, wait: 2h}",
    )
    with Terminal(tmp_path, "run", "pipeline.yaml", "--id", "x", columns=120) as terminal:
        shown = terminal.wait_for("answer with")
        terminal.wait_for("waiting until")
        assert ("●", 1, "slow") in names(shown) and "waiting for a person: Go on?" in shown
        (tmp_path / "slow.open").touch()
        assert terminal.wait() == 3
        shown = terminal.screen.text
    assert re.search(r"answer x ask approve\n.*answer x ask reject", shown) and "resume x --wait" in shown


# ---------------------------------------------------------------- pause and cancel


def test_cancel_from_another_process_shows_how_all_came_to_its_end(tmp_path: Path) -> None:
    write_pipeline(
        tmp_path,
        "{id: shell, run: 'sleep 600 & echo $! > child; sleep 600'}",
        f"{{id: block, steps: [{gate_step(tmp_path, 'slow').replace('}}', '}, runner: process}')}]}}",
        rest=f"finally: [{{id: tidy, call: 'handlers:witness', with: {{file: '{tmp_path}/ran', value: tidy}}}}]\n",
    )
    with running(tmp_path, "run", "pipeline.yaml", "--id", "x") as process:
        wait_for((tmp_path / "slow.reached").exists, "the slow step")
        wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip(), "the child")
        child = int((tmp_path / "child").read_text())
        done = orchestrator(tmp_path, "cancel", "x", "--reason", "not needed", "--by", "Ada")
        _, err = process.communicate()
    assert process.returncode == 1 and "cancelled after" in err and "(not needed)" in err
    lines = done.stdout.splitlines()
    assert re.fullmatch(rf"asked .*:{process.pid} to cancel execution x", lines[0])
    told = [line.partition(" ")[2] for line in lines if line[:2] == "00"]
    assert "asked to cancel (by Ada): not needed" in told and any(line.startswith("tidy completed") for line in told)
    for key in ("shell", "block.slow"):
        assert any(line.startswith(f"{key} cancelled: not needed (ended ") for line in told), told
    assert any(line.startswith("■ cancelled after ") for line in lines)
    wait_for(lambda: not is_there(child), "the end of the child")
    assert (tmp_path / "ran").read_text() == "tidy\n"
    ended = orchestrator(tmp_path, "cancel", "x", exits=2).stderr
    assert "is cancelled; there is nothing to cancel" in ended


def is_there(pid: int) -> bool:
    """Whether a process runs: one that has ended and that nobody has asked about does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_pause_from_another_process_and_cancel_where_nobody_runs_it(tmp_path: Path) -> None:
    write_pipeline(tmp_path, gate_step(tmp_path, "slow"), "{id: last, needs: [slow], call: 'handlers:give'}")
    with running(tmp_path, "run", "pipeline.yaml", "--id", "x") as process:
        wait_for((tmp_path / "slow.reached").exists, "the slow step")
        with running(tmp_path, "pause", "x", "--reason", "lunch", "--by", "Ada") as asking:
            assert asking.stdout is not None
            assert f":{process.pid} to pause execution x" in asking.stdout.readline()
            with Orchestrator(tmp_path / ".orchestrator/journal.db") as app:
                app.signal("x", "mark")  # messages are taken in their order, and this one is recorded
                wait_for(lambda: app.show("x").signals, "what takes the messages")
            (tmp_path / "slow.open").touch()
            out, _ = asking.communicate()
            assert asking.returncode == 0 and "‖ paused after" in out and "resume x" in out
        _, err = process.communicate()
    assert process.returncode == 3 and "paused after" in err and "(by Ada: lunch)" in err and "resume x" in err
    shown = orchestrator(tmp_path, "show", "x").stdout
    assert "paused (paused by Ada: lunch)" in shown and names(shown) == [("✓", 0, "slow"), ("·", 0, "last")]
    given_up = as_json(tmp_path, "cancel", "x")
    assert (given_up["status"], given_up["owner"], given_up["not_stopped"]) == ("cancelled", None, {})


def test_an_answer_does_not_lift_a_pause(tmp_path: Path) -> None:
    write_pipeline(tmp_path, "{id: ok, approve: 'Go?'}", rest="outputs: {choice: '${ok.choice}'}\n")
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", exits=3)
    orchestrator(tmp_path, "pause", "x", "--reason", "lunch", "--by", "Ada")
    told = orchestrator(tmp_path, "answer", "x", "ok", "approve").stdout
    assert "step ok is answered: approve; the execution is paused by Ada: lunch" in told and "resume x" in told
    assert "paused by Ada: lunch" in orchestrator(tmp_path, "list").stdout
    assert as_json(tmp_path, "resume", "x")["outputs"] == {"choice": "approve"}


def test_a_failure_that_is_borne_and_steps_further_in_are_found(tmp_path: Path) -> None:
    fetch = "{id: fetch, call: 'handlers:fail_until', with: {file: /nowhere/at/all}}"
    block = f"steps: [{fetch}, {{id: parse, needs: [fetch], set: {{a: 1}}}}]"
    write_pipeline(tmp_path, f"{{id: all, for_each: [1, 2], on_item_failure: collect, {block}}}")
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", "-q")
    shown = orchestrator(tmp_path, "show", "x").stdout
    assert re.search(r"✗ +fetch .* failed: \w+", shown) and re.search(r"· +parse +not run", shown)
    assert "pending" not in shown
    for verb in ("show", "logs"):
        assert "did you mean 'all[0].fetch'" in orchestrator(tmp_path, verb, "x", "fetch", exits=2).stderr


# ---------------------------------------------------------------- again, elsewhere, otherwise


def test_back_to_a_checkpoint_in_the_same_execution_or_in_another(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    write_pipeline(
        tmp_path,
        f"{{id: one, call: 'handlers:witness', with: {{file: '{ran}', value: one}}, checkpoint: base}}",
        f"{{id: two, needs: [one], call: 'handlers:witness', with: {{file: '{ran}', value: '${{who}}'}}}}",
        rest="inputs: {who: {type: string, default: ada}}\noutputs: {two: '${two}'}\n",
    )
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", "-q")
    found = as_json(tmp_path, "checkpoints", "x")
    base = next(checkpoint for checkpoint in found if checkpoint["name"] == "base")
    assert (base["step"], base["kept"]) == ("one", True)

    forked = as_json(tmp_path, "fork", "x", "--at", "base", "--set", "who=42", "--id", "y")
    assert (forked["execution_id"], forked["outputs"]) == ("y", {"two": "42"})
    later = as_json(tmp_path, "fork", "x", "--from", "two", "--id", "z", "--later")
    assert (later["execution_id"], later["forked_from"], later["status"]) == ("z", "x", "paused")
    plan = as_json(tmp_path, "plan", "z")
    assert [(step["key"], step["action"]) for step in plan["steps"]] == [("one", "reuse"), ("two", "run")]
    write_pipeline(tmp_path, "{id: one, set: {a: '${n}'}}", rest="inputs: {n: {type: number, default: 1}}\n")
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "typed", "-q")
    unfit = orchestrator(tmp_path, "fork", "typed", "--set", "n=abc", exits=2).stderr
    assert "variable 'n': expected a number, got the text 'abc'" in unfit
    assert "did you mean 'who'" in orchestrator(tmp_path, "fork", "x", "--set", "whoo=1", exits=2).stderr

    assert "two will run again" in orchestrator(tmp_path, "restore", "x", "--to", "base").stdout
    plan = as_json(tmp_path, "plan", "x", "rerun", "--from", "one")
    assert [step["action"] for step in plan["steps"]] == ["run again", "run"]
    assert as_json(tmp_path, "rerun", "x", "--from", "one")["outputs"] == {"two": "ada"}
    assert ran.read_text().split() == ["one", "ada", "42", "one", "ada"]


def test_going_on_with_a_file_that_was_changed(tmp_path: Path) -> None:
    def pipeline(value: int) -> None:
        write_pipeline(
            tmp_path,
            f"{{id: one, call: 'handlers:give', with: {{value: {value}}}}}",
            f"{{id: two, needs: [one], call: 'handlers:fail_until', with: {{file: '{tmp_path}/there'}}}}",
            "{id: ask, needs: [one], signal: go}",
            f"{{id: new, needs: [ask], call: 'handlers:give', with: {{value: {value}}}}}",
            rest="outputs: {one: '${one}', new: '${new}'}\n",
        )

    (tmp_path / "there").touch()
    pipeline(1)
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", "-q", exits=3)
    pipeline(2)
    plan = as_json(tmp_path, "plan", "x", "--file", "pipeline.yaml")
    assert plan["changed"] == ["one"] and "--accept-changes" in plan["refused"]
    refused = orchestrator(tmp_path, "resume", "x", "--file", "pipeline.yaml", exits=2).stderr
    assert "one" in refused and "--accept-changes" in refused
    orchestrator(tmp_path, "signal", "x", "go")
    done = as_json(tmp_path, "resume", "x", "--file", "pipeline.yaml", "--accept-changes")
    assert done["outputs"] == {"one": 1, "new": 2}

    write_pipeline(tmp_path, "{id: one, run: exit 1}")
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "failed", "-q", exits=1)
    write_pipeline(tmp_path, "{id: one, run: exit 0}")
    told = orchestrator(tmp_path, "resume", "failed", "--file", "pipeline.yaml", exits=2).stderr
    assert "retry failed --file pipeline.yaml` takes the file" in told
    assert as_json(tmp_path, "retry", "failed", "--file", "pipeline.yaml")["status"] == "completed"


def test_a_concurrency_key_that_is_taken_is_told(tmp_path: Path) -> None:
    rest = "concurrency: {key: one-at-a-time, when_busy: WHEN}\n"
    write_pipeline(tmp_path, gate_step(tmp_path, "slow"), rest=rest.replace("WHEN", "queue"))
    with running(tmp_path, "run", "pipeline.yaml", "--id", "x") as first:
        wait_for((tmp_path / "slow.reached").exists, "the slow step")
        with running(tmp_path, "run", "pipeline.yaml", "--id", "queued") as second:
            assert second.stderr is not None
            assert "queued: another execution has its concurrency key" in second.stderr.readline()
            write_pipeline(tmp_path, gate_step(tmp_path, "slow"), rest=rest.replace("WHEN", "refuse"))
            busy = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "refused", exits=4).stderr
            assert "one-at-a-time'" in busy and "execution x" in busy
            (tmp_path / "slow.open").touch()
            assert first.wait() == 0 and second.wait() == 0


# ---------------------------------------------------------------- nobody there


def test_what_was_left_is_carried_on_by_others(tmp_path: Path) -> None:
    write_pipeline(tmp_path, gate_step(tmp_path, "slow"), "{id: paid, needs: [slow], signal: payment}")
    with running(tmp_path, "run", "pipeline.yaml", "--id", "x") as process:
        wait_for((tmp_path / "slow.reached").exists, "the slow step")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (tmp_path / "slow.open").touch()
    told = as_json(tmp_path, "recover")
    assert [(turn["execution_id"], turn["why"], turn["status"]) for turn in told] == [("x", "abandoned", "paused")]
    assert "nothing lies abandoned" in orchestrator(tmp_path, "recover").stdout

    with running(tmp_path, "scheduler") as process:
        assert process.stdout is not None and process.stderr is not None
        assert "serving .orchestrator/journal.db" in process.stdout.readline()
        orchestrator(tmp_path, "signal", "x", "payment")
        assert re.search(r"● x goes on: it was due$", process.stdout.readline().rstrip())
        assert re.search(r"✓ x completed$", process.stdout.readline().rstrip())
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0 and process.stderr.read() == ""
    found = record(tmp_path)
    assert found is not None and found.status is ExecutionStatus.COMPLETED

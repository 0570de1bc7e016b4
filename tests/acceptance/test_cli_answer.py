"""Executions that wait for a person: what is told, how they are answered, by whom, and what goes on then."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.acceptance.cli_session import Terminal, as_json, orchestrator, start, wait_for, write_pipeline
from tests.acceptance.test_cli_interrupt import gate_step

from orchestrator import Orchestrator
from orchestrator.cli.words import iso
from orchestrator.clock import SystemClock

ASK = "on_error: [{strategy: manual_intervention, instructions: make the file there}]"
REASON = "waiting for an answer about step 'connect'"


def asking(folder: Path, *more: str) -> Path:
    """A pipeline whose step `connect` asks a person as long as the file `there` is missing; gives that file."""
    there = folder / "there"
    write_pipeline(
        folder,
        f"{{id: connect, call: 'handlers:fail_until', with: {{file: '{there}'}}, {ASK}}}",
        f"{{id: after, needs: [connect], call: 'handlers:witness', with: {{file: '{folder}/ran', value: after}}}}",
        f"{{id: beside, call: 'handlers:witness', with: {{file: '{folder}/ran', value: beside}}}}",
        *more,
        rest="outputs: {connect: '${connect}'}\n",
    )
    return there


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The file that an execution `x` waits for, which is kept and which nobody runs."""
    there = asking(tmp_path)
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", "-q", exits=3)
    return there


# ---------------------------------------------------------------- what is told


def test_a_run_that_needs_a_person_says_why_and_what_to_type(tmp_path: Path) -> None:
    asking(tmp_path)
    done = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", exits=3)
    told = [line.partition(" ")[2] for line in done.stdout.splitlines() if line[:2] == "00"]
    at = told.index("connect failed (attempt 1): ConnectionError: attempt 1: no connection")
    assert told[at + 1 : at + 3] == [
        "connect waiting for a person: make the file there",
        "connect answer with orchestrator answer x connect retry (or skip, or abort)".replace(
            "orchestrator", re.findall(r"answer with (.*) answer x", done.stdout)[0]
        ),
    ]
    error = done.stderr
    assert "? step connect waits for a person after 1 failed attempt\n" in error
    assert "    ConnectionError: attempt 1: no connection\n" in error and "in fail_until" in error
    assert "\n  make the file there\n" in error
    for line in ("retry    .* answer x connect retry", "skip     .* answer x connect skip --value JSON"):
        assert re.search(f"^  {line}$", error, flags=re.MULTILINE)
    assert re.search("^  give up  .* answer x connect abort$", error, flags=re.MULTILINE)
    assert "paused after" in error and "1 of 3 steps done, and kept" in error
    assert "resume x" not in error and "show x" in error


def test_where_nothing_is_kept_nobody_can_be_asked(tmp_path: Path) -> None:
    asking(tmp_path)
    done = orchestrator(tmp_path, "run", "pipeline.yaml", "--durability", "none", exits=2)
    assert "may wait for a person" in done.stderr
    assert not (tmp_path / ".orchestrator").exists()


def test_looking_at_what_waits(tmp_path: Path, there: Path) -> None:
    row = orchestrator(tmp_path, "list").stdout.splitlines()[1]
    assert row.split()[:4] == ["x", "shop", "paused", "1/3"] and row.endswith(REASON)
    shown = orchestrator(tmp_path, "show", "x").stdout
    assert f"paused ({REASON})" in shown.splitlines()[0]
    assert re.search(r"^  \? connect .* waiting$", shown, flags=re.MULTILINE)
    assert "make the file there" in shown and "answer x connect skip --value JSON" in shown and "resume" not in shown
    step = orchestrator(tmp_path, "show", "x", "connect").stdout
    assert step.startswith("connect  waiting\n") and "answer x connect abort" in step
    data = as_json(tmp_path, "show", "x")
    assert data["waiting"] == {"connect": "make the file there"} and data["pause_reason"] == REASON
    (question,) = as_json(tmp_path, "show", "x", "connect")["questions"]
    assert (question["instructions"], question["decision"], question["deadline"]) == ("make the file there", None, None)
    kinds = [event["kind"] for event in as_json(tmp_path, "history", "x")]
    assert kinds.count("intervention_requested") == 1
    again = as_json(tmp_path, "resume", "x", exits=3)
    assert again["waiting"] == {"connect": "make the file there"} and again["status"] == "paused"


def test_a_deadline_is_told_and_ends_the_question(tmp_path: Path) -> None:
    ask = "on_error: [{strategy: manual_intervention, instructions: soon, timeout: 0.2}]"
    write_pipeline(tmp_path, f"{{id: one, call: 'handlers:fail_until', with: {{file: '{tmp_path}/x'}}, {ask}}}")
    result = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", exits=3)
    assert re.search(r"^  without an answer until \d{4}-\d\d-\d\d .* the step fails$", result.stderr, re.MULTILINE)
    deadline = as_json(tmp_path, "show", "x", "one")["questions"][0]["deadline"]
    wait_for(lambda: str(iso(SystemClock().time())) > deadline, "the deadline")
    orchestrator(tmp_path, "resume", "x", exits=1)
    assert "nobody answered until" in orchestrator(tmp_path, "show", "x", "one").stdout


# ---------------------------------------------------------------- answers


def test_retry_runs_the_step_once_more_and_may_ask_again(tmp_path: Path, there: Path) -> None:
    again = orchestrator(tmp_path, "answer", "x", "connect", "retry", "--by", "Ada", exits=3)
    assert "connect answered: retry (by Ada)" in again.stdout and "connect started (attempt 2)" in again.stdout
    assert "waits for a person after 2 failed attempts" in again.stderr
    assert "Ada answered retry at" in again.stderr
    there.touch()
    done = orchestrator(tmp_path, "answer", "x", "connect", "retry", "--by", "Bob")
    assert "✓ completed in" in done.stdout and "connect  connected" in done.stdout
    story = orchestrator(tmp_path, "show", "x", "connect").stdout
    assert "✓ step connect succeeded after 2 failed attempts" in story
    assert re.search("then asked: make the file there\n +Ada answered retry at .* later\n", story)
    assert re.search("then asked: make the file there\n +Bob answered retry at .* later\n", story)
    questions = as_json(tmp_path, "show", "x", "connect")["questions"]
    assert [(q["attempt"], q["decision"], q["by"]) for q in questions] == [(1, "retry", "Ada"), (2, "retry", "Bob")]
    assert (tmp_path / "ran").read_text().split() == ["beside", "after"]


def test_skip_takes_a_value_and_abort_gives_up(tmp_path: Path, there: Path) -> None:
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "y", "-q", exits=3)
    value = {"rows": [1, 2.5, None], "name": "zwölf"}
    result = as_json(tmp_path, "answer", "x", "connect", "skip", "--value", json.dumps(value))
    assert result["outputs"] == {"connect": value} and result["waiting"] == {}
    shown = orchestrator(tmp_path, "show", "x", "connect").stdout
    assert "○ step connect was skipped after 1 failed attempt" in shown and "answered skip" in shown

    failed = orchestrator(tmp_path, "answer", "y", "connect", "abort", "--by", "Ada", exits=1).stderr
    assert "✗ step connect failed\n" in failed and "Ada answered abort at" in failed and "retry y" in failed
    there.touch()
    assert as_json(tmp_path, "retry", "y")["outputs"] == {"connect": "connected"}
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "z", "-q")


def test_an_answer_for_later_is_kept_and_shown(tmp_path: Path, there: Path) -> None:
    kept = orchestrator(tmp_path, "answer", "x", "connect", "skip", "--by", "Ada", "--later").stdout
    assert kept.startswith("✓ step connect is answered: skip\n") and "resume x" in kept
    shown = orchestrator(tmp_path, "show", "x").stdout
    assert "answered already: skip (by Ada)" in shown and "resume x" in shown and "answer x" not in shown
    assert as_json(tmp_path, "show", "x")["waiting"] == {}
    assert "is answered already" in orchestrator(tmp_path, "answer", "x", "connect", "retry", exits=2).stderr
    assert as_json(tmp_path, "resume", "x")["outputs"] == {"connect": None}


def test_an_answer_as_json_says_who_goes_on(tmp_path: Path, there: Path) -> None:
    there.touch()
    told = as_json(tmp_path, "answer", "x", "connect", "retry", "--later")
    assert told == {"execution_id": "x", "step": "connect", "decision": "retry", "goes_on": None}
    assert orchestrator(tmp_path, "resume", "x", "-q").stdout == ""


def test_answers_that_answer_nothing(tmp_path: Path, there: Path) -> None:
    def refused(*arguments: object) -> str:
        return orchestrator(tmp_path, "answer", *arguments, exits=2).stderr

    assert "these do: connect" in refused("x", "after", "retry")
    assert "did you mean x?" in refused("x1", "connect", "retry") or "no execution 'x1'" in refused(
        "x1", "connect", "retry"
    )
    assert "'maybe' is no answer; say retry, skip or abort" in refused("x", "connect", "maybe")
    assert "goes with `skip` only" in refused("x", "connect", "retry", "--value", "1")
    assert "a text is written '\"text\"'" in refused("x", "connect", "skip", "--value", "text")
    assert "no execution 'x' in none.db" in refused("x", "connect", "retry", "--store", "none.db")
    assert not (tmp_path / "none.db").exists()
    there.touch()
    orchestrator(tmp_path, "answer", "x", "connect", "retry", "-q")
    assert "no step of it does" in refused("x", "connect", "retry")


def test_one_of_several_that_wait_is_answered(tmp_path: Path) -> None:
    there = tmp_path / "there"
    loop = f"for_each: [1, 2, 3, 4, 5], call: 'handlers:fail_until', with: {{file: '{there}'}}, {ASK}"
    write_pipeline(tmp_path, f"{{id: items, {loop}}}", rest="outputs: {items: '${items}'}\n")
    told = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", exits=3).stderr
    assert told.count("waits for a person") == 3
    assert re.search(r"^  2 others also: items\[\d\], items\[\d\]$", told, flags=re.MULTILINE)
    assert re.search(r" answer x 'items\[\d\]' retry$", told, flags=re.MULTILINE)  # as a shell wants it
    assert "5 waiting for a person" in orchestrator(tmp_path, "show", "x").stdout
    there.touch()
    told = orchestrator(tmp_path, "answer", "x", "items[1]", "retry", exits=3).stderr
    assert "step items[1] waits" not in told and told.count("waits for a person") == 3
    waiting = as_json(tmp_path, "show", "x")["waiting"]
    assert set(waiting) == {f"items[{i}]" for i in (0, 2, 3, 4)}
    for i in (0, 2, 3):
        orchestrator(tmp_path, "answer", "x", f"items[{i}]", "skip", "--value", i, "--later")
    assert as_json(tmp_path, "answer", "x", "items[4]", "retry")["outputs"] == {
        "items": [0, "connected", 2, 3, "connected"]
    }


# ---------------------------------------------------------------- several processes


def test_another_process_answers_while_this_one_runs(tmp_path: Path) -> None:
    there = asking(tmp_path, gate_step(tmp_path, "slow"))
    with running_here(tmp_path) as running:
        wait_for(lambda: waits(tmp_path), "the question")
        told = orchestrator(tmp_path, "answer", "x", "connect", "retry", "--by", "Ada").stdout
        assert f":{running.pid} goes on with it" in told
        assert running.stdout is not None
        for line in running.stdout:
            if "connect failed (attempt 2)" in line:
                break
        wait_for(lambda: waits(tmp_path), "the second question")
        there.touch()
        told = as_json(tmp_path, "answer", "x", "connect", "retry", "--by", "Bob")
        assert told["goes_on"].endswith(f":{running.pid}")
        wait_for(lambda: "after" in (tmp_path / "ran").read_text(), "the step that needs it")
        assert as_json(tmp_path, "show", "x")["status"] == "running"
        (tmp_path / "slow.open").touch()
        out, err = running.communicate()
    assert running.returncode == 0, err
    assert "connect answered: retry (by Bob)" in out and "connect completed" in out and "✓ completed in" in out


@contextmanager
def running_here(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The pipeline as execution `x`, in a process that ends with the block at the latest."""
    with start(folder, "run", "pipeline.yaml", "--id", "x") as running:
        try:
            yield running
        finally:
            running.kill()


def waits(folder: Path) -> bool:
    """Whether a step of the execution `x` waits for a person; where there is none yet, nothing does."""
    journal = folder / ".orchestrator/journal.db"
    if not journal.exists():
        return False
    with Orchestrator(journal) as app:
        return bool(app.list()) and any(step.waiting for step in app.show("x").steps.values())


def test_a_process_that_died_is_gone_on_with_by_the_answer(tmp_path: Path) -> None:
    there = asking(tmp_path, gate_step(tmp_path, "slow"))
    with running_here(tmp_path) as running:
        wait_for(lambda: waits(tmp_path), "the question")
        wait_for((tmp_path / "slow.reached").exists, "the slow step")
        running.send_signal(signal.SIGKILL)
        running.communicate()
    there.touch()
    (tmp_path / "slow.open").touch()
    assert as_json(tmp_path, "answer", "x", "connect", "retry")["outputs"] == {"connect": "connected"}
    assert (tmp_path / "ran").read_text().split() == ["beside", "after"]


def test_an_interrupt_while_a_step_waits_leaves_both_to_do(tmp_path: Path) -> None:
    asking(tmp_path, gate_step(tmp_path, "slow"), "{id: last, needs: [slow], call: 'handlers:give'}")
    with running_here(tmp_path) as running:
        wait_for(lambda: waits(tmp_path), "the question")
        running.send_signal(signal.SIGINT)
        (tmp_path / "slow.open").touch()
        _, err = running.communicate()
    assert running.returncode == 130
    assert "resume x" in err and "answer x connect retry" in err
    shown = orchestrator(tmp_path, "show", "x").stdout
    assert "paused (interrupted)" in shown and "resume x" in shown and "answer x connect retry" in shown
    assert set(as_json(tmp_path, "resume", "x", exits=3)["waiting"]) == {"connect"}


# ---------------------------------------------------------------- other ways out of a failure


def test_an_alternative_and_a_skip_in_words(tmp_path: Path) -> None:
    fail = f"call: 'handlers:fail_until', with: {{file: '{tmp_path}/x'}}"
    write_pipeline(
        tmp_path,
        "{id: mirror, when: false, call: 'handlers:loud', with: {value: copy}}",
        f"{{id: fetch, {fail}, on_error: [{{strategy: alternative_path, steps: [mirror]}}]}}",
        f"{{id: spare, {fail}, on_error: [{{strategy: skip, output: none}}]}}",
        rest="outputs: {fetch: '${fetch}', spare: '${spare}'}\n",
    )
    out = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x").stdout
    told = [line.partition(" ")[2] for line in out.splitlines() if line[:2] == "00"]
    assert {"fetch recovering: alternative mirror", "fetch/mirror started", "spare recovering: skip"} <= set(told)
    assert "fetch/mirror | printed" in told and any(line.startswith("fetch/mirror completed (") for line in told)
    assert any(line.startswith("spare skipped: ") for line in told)
    shown = orchestrator(tmp_path, "show", "x").stdout
    assert re.search("✓ fetch .* alternative mirror$", shown, flags=re.MULTILINE)
    assert re.search("○ spare .* skipped$", shown, flags=re.MULTILINE)
    story = orchestrator(tmp_path, "show", "x", "fetch").stdout
    assert "✓ step fetch succeeded by alternative mirror after 1 failed attempt" in story and story.endswith("copy\n")
    assert "copy" in orchestrator(tmp_path, "show", "x", "fetch/mirror").stdout
    assert as_json(tmp_path, "show", "x", "fetch")["recovery"]["alternative_steps"] == ["mirror"]


def rolling_back(folder: Path) -> None:
    """A pipeline whose last step fails once, which sets it back to its first step."""
    (folder / "own.py").write_text(
        "from pathlib import Path\n"
        "def flaky(file):\n"
        "    if not Path(file).exists():\n"
        "        Path(file).touch()\n"
        "        raise ValueError('the first time')\n"
        "    return 'well'\n"
    )
    write_pipeline(
        folder,
        f"{{id: one, call: 'handlers:witness', with: {{file: '{folder}/ran', value: one}}, checkpoint: base}}",
        f"{{id: two, needs: [one], call: 'handlers:witness', with: {{file: '{folder}/ran', value: two}}}}",
        f"{{id: bad, needs: [two], call: 'own:flaky', with: {{file: '{folder}/flag'}},"
        " on_error: [{strategy: rollback, checkpoint: base}]}",
        gate_step(folder, "slow").replace("call", "needs: [bad], call"),
    )
    (folder / "slow.open").touch()


def test_a_rollback_is_one_line_and_counted(tmp_path: Path) -> None:
    rolling_back(tmp_path)
    out = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x").stdout
    assert "bad recovering: rollback to checkpoint base" in out
    assert re.search(r"set back to checkpoint base by step bad; again from there: .*\btwo\b", out)
    assert (tmp_path / "ran").read_text().split() == ["one", "two", "two"]
    assert re.search("✓ bad .* 1 rollback$", orchestrator(tmp_path, "show", "x").stdout, flags=re.MULTILINE)
    (restored,) = [e for e in as_json(tmp_path, "history", "x") if e["kind"] == "execution_restored"]
    assert restored["position"] > restored["checkpoint_position"] and restored["cause"] == "bad"


# ---------------------------------------------------------------- in a terminal


def test_a_question_in_a_live_view(tmp_path: Path) -> None:
    there = asking(tmp_path, gate_step(tmp_path, "slow"))
    with Terminal(tmp_path, "run", "pipeline.yaml", "--id", "x") as terminal:
        text = terminal.wait_for("? connect")
        assert re.search(r"\? connect .* waiting for a person: make the file there", text)
        assert re.search(r"^  answer with .* answer x connect retry", text, flags=re.MULTILINE)
        there.touch()
        orchestrator(tmp_path, "answer", "x", "connect", "retry")
        terminal.wait_for("✓ connect")
        assert "answer with" not in terminal.wait_for("✓ after")
        (tmp_path / "slow.open").touch()
        assert terminal.wait() == 0


def test_a_rollback_in_a_live_view_is_a_line_above_it(tmp_path: Path) -> None:
    rolling_back(tmp_path)
    with Terminal(tmp_path, "run", "pipeline.yaml", "--id", "x") as terminal:
        assert terminal.wait() == 0
        lines = terminal.screen.text.splitlines()
    (at,) = [n for n, line in enumerate(lines) if line.startswith("set back to checkpoint base by step bad")]
    assert at < lines.index("shop · execution x")


def test_messages_end_their_lines_between_words(tmp_path: Path) -> None:
    """At 60 columns nothing is cut by the terminal but commands, which a person copies whole."""
    long = "a sentence that goes on for longer than one line of such a narrow terminal is"
    write_pipeline(
        tmp_path,
        f"{{id: connect, call: 'own:fail', with: {{why: {long}}}, {ASK.replace('make the file there', long)}}}",
        "{id: after, needs: [connect], call: 'handlers:give'}",
        name="a_shop_with_a_name",
    )
    (tmp_path / "own.py").write_text("def fail(why):\n    raise ValueError(why)\n")
    sessions = (
        ("run", "pipeline.yaml", "--id", "x"),
        ("show", "x"),
        ("show", "x", "connect"),
        ("list",),
        ("show", "y"),
        ("answer", "x", "connect", "skip", "--value", "some text"),
        ("answer", "x", "connect", "retry", "--by", "Ada"),
        ("validate", "nowhere.yaml"),
    )
    for arguments in sessions:
        with Terminal(tmp_path, *arguments, columns=60) as terminal:
            terminal.wait()
            cut = whole(terminal.screen.wrapped)
        assert not [line for line in cut if not COPIED.search(line)], arguments


#: What is never broken: a command, and where in a file something is.
COPIED = re.compile(r'^ *(\S+ (-m )?\S+ (answer|show|retry|resume) x\b|File ")')


def whole(wrapped: list[str]) -> list[str]:
    """Of the texts that the terminal cut, without what was left of each after a cut."""
    return [text for before, text in zip(["", *wrapped], wrapped, strict=False) if not before.endswith(text)]

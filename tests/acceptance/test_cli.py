"""The command line from outside: what each command prints, and with which exit code it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.cli_session import as_json, environment, orchestrator, start, started, wait_for, write_pipeline

from orchestrator import __version__
from orchestrator.cli.group import SECTIONS

HEAVY = {"rich", "asyncio", "pydantic", "jinja2", "apsw", "yaml", "ormsgpack", "orchestrator.app"}
COMMANDS = [name for section in SECTIONS.values() for name in section]


# ---------------------------------------------------------------- being light


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["rnu"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = (
        f"import sys; from orchestrator.cli import main; main({arguments!r}); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert not HEAVY & loaded


def test_version_and_a_mistyped_command(tmp_path: Path) -> None:
    assert orchestrator(tmp_path, "--version").stdout == f"orchestrator {__version__}\n"
    assert "Did you mean 'history'?" in orchestrator(tmp_path, "histroy", "x", exits=2).stderr


def test_commands_load_what_they_need_by_themselves(tmp_path: Path) -> None:
    """Python is started for each here: most tests fork a process that has loaded everything.

    A module that holds none of these is started by tests of signals, of terminals and of two processes.
    """
    write_pipeline(
        tmp_path,
        "{id: load, call: 'handlers:give', checkpoint: loaded}",
        "{id: ask, approve: 'Go on?', needs: [load]}",
    )
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", exits=3)
    for words, exits in (
        ("init new", 0),
        ("graph pipeline.yaml", 0),
        ("show x", 0),
        ("history x", 0),
        ("approvals", 0),
        ("plan x resume", 0),
        ("du", 0),
        ("signal x go", 0),
        ("answer x ask approve", 0),
        ("rerun x --from ask", 3),
        ("fork x --at loaded --id y", 3),
        ("cancel x", 0),
    ):
        done = started(tmp_path, *words.split())
        assert done.returncode == exits, (words, done.stdout, done.stderr)
        assert done.stdout != "", words


# ---------------------------------------------------------------- a run that goes well


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a pipeline that completes."""
    write_pipeline(
        tmp_path,
        "{id: load, call: 'handlers:loud', with: {value: [1, 2, 3]}}",
        "{id: items, for_each: '${load}', as: item, call: 'handlers:give', with: {value: '${item * 10}'}}",
        "{id: never, when: false, call: 'handlers:give'}",
        "{id: shell, run: [echo, '${items[1]}'], checkpoint: shelled}",
        rest="outputs: {items: '${items}', said: '${shell.stdout}'}\n",
    )
    return tmp_path


def test_a_run_shows_a_line_per_event_then_what_came_out_and_what_to_type_next(shop: Path) -> None:
    done = orchestrator(shop, "run", "pipeline.yaml", "--id", "first")
    lines = done.stdout.splitlines()
    assert lines[0] == "shop · execution first"
    told = [line.partition(" ")[2] for line in lines if line[:2] == "00"]
    starts = [line for line in told if line.endswith(" started")]
    assert starts == [f"{key} started" for key in ("load", "items[0]", "items[1]", "items[2]", "shell")]
    for key in ("load", "items[0]", "items[1]", "items[2]", "shell"):
        assert any(line.startswith(f"{key} completed (") and line.endswith(" s)") for line in told)
    assert "items has 3 items" in told
    assert "never skipped: its condition was false" in told
    assert {"load | printed", "load | WARNING shop: logged", "shell | 20"} <= set(told)
    assert told.index("load started") < told.index("load | printed")
    assert done.stderr == ""

    end = done.stdout[done.stdout.index("✓ completed in ") :]
    assert "  items  [10, 20, 30]\n  said   20\n" in end
    assert "kept in  .orchestrator/journal.db" in end
    assert "orchestrator show first" in end
    assert "\x1b" not in done.stdout


def test_a_run_with_json_prints_one_object_whatever_the_steps_print(shop: Path) -> None:
    done = orchestrator(shop, "run", "pipeline.yaml", "--json", "--id", "first")
    result = json.loads(done.stdout)
    assert result["outputs"] == {"items": [10, 20, 30], "said": "20\n"}
    assert (result["execution_id"], result["pipeline"], result["status"]) == ("first", "shop", "completed")
    assert (result["steps_done"], result["steps_total"], result["error"]) == (4, 4, None)
    assert "raw line\n" in done.stderr and "of a child\n" in done.stderr
    assert "items[2] completed" in done.stderr


def test_quiet_says_nothing_and_durability_none_keeps_nothing(shop: Path) -> None:
    done = orchestrator(shop, "run", "pipeline.yaml", "--quiet", "--durability", "none")
    assert (done.stdout, done.stderr) == ("raw line\nof a child\n", "")
    loud = orchestrator(shop, "run", "pipeline.yaml", "--durability", "none").stdout
    assert "kept in memory only" in loud
    assert "orchestrator show" not in loud
    assert not (shop / ".orchestrator").exists()


def test_a_reader_that_goes_away_stops_nothing(shop: Path) -> None:
    gate = shop / "gate"
    write_pipeline(
        shop, f"{{id: wait, call: 'handlers:gate', with: {{opened: '{gate}'}}}}", "{id: b, needs: [wait], run: [echo]}"
    )
    with start(shop, "run", "pipeline.yaml", "--id", "piped") as running:
        assert running.stdout is not None and running.stderr is not None
        assert "execution piped" in running.stdout.readline()
        running.stdout.close()
        gate.touch()
        assert running.stderr.read() == ""
        assert running.wait() == 0
    assert as_json(shop, "show", "piped")["status"] == "completed"


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"TERM": "dumb"}])
def test_a_stream_that_is_not_utf8_gets_plain_signs(shop: Path, env: dict[str, str]) -> None:
    write_pipeline(
        shop, "{id: load, call: 'handlers:give', with: {value: 'zwölf'}}", rest="outputs: {load: '${load}'}\n"
    )
    out = orchestrator(shop, "run", "pipeline.yaml", **env).stdout
    if "TERM" in env:
        assert "✓ completed" in out
    else:
        assert "+ completed" in out and not set("✓·…") & set(out)
    assert ("zw\\xf6lf" if "PYTHONIOENCODING" in env else "zwölf") in out


# ---------------------------------------------------------------- inputs


def test_inputs_come_typed_from_a_file_and_as_text_from_the_command_line(tmp_path: Path) -> None:
    write_pipeline(
        tmp_path,
        "{id: all, call: 'handlers:give', with: {value: {a: '${a}', n: '${n}', p: '${p}'}}}",
        rest="inputs: {a: {}, n: {type: number, default: 1}, p: {type: path, default: x}}\noutputs: {all: '${all}'}\n",
    )
    (tmp_path / "in.json").write_text('{"a": "123", "n": 5, "p": "here"}', encoding="utf-8")
    (tmp_path / "in.yaml").write_text("a: [1, two]\n", encoding="utf-8")
    (tmp_path / "list.yaml").write_text("[1]", encoding="utf-8")

    def outcome(*arguments: str) -> object:
        return as_json(tmp_path, "run", "pipeline.yaml", *arguments)["outputs"]["all"]

    assert outcome("--inputs", "in.json") == {"a": "123", "n": 5, "p": str(tmp_path / "here")}
    assert outcome("--inputs", "in.json", "-i", "a={k: 1}", "-i", "n=2.5") == {
        "a": {"k": 1},
        "n": 2.5,
        "p": str(tmp_path / "here"),
    }
    assert outcome("--inputs", "in.yaml") == {"a": [1, "two"], "n": 1, "p": str(tmp_path / "x")}

    wrong = orchestrator(tmp_path, "run", "pipeline.yaml", "-i", "n=many", "-i", "b=1", exits=2).stderr
    assert "input 'a' is required" in wrong and "expected a number" in wrong and "no input 'b'" in wrong
    assert "'n' is not NAME=VALUE" in orchestrator(tmp_path, "run", "pipeline.yaml", "-i", "n", exits=2).stderr
    assert "mapping of names" in orchestrator(tmp_path, "run", "pipeline.yaml", "--inputs", "list.yaml", exits=2).stderr
    assert not (tmp_path / ".orchestrator/journal.db").exists() or as_json(tmp_path, "list", "--status", "failed") == []


# ---------------------------------------------------------------- a run that fails


def test_a_failure_tells_its_story_and_retry_goes_on_from_there(tmp_path: Path) -> None:
    there, ran = tmp_path / "there", tmp_path / "ran"
    write_pipeline(
        tmp_path,
        f"{{id: before, call: 'handlers:witness', with: {{file: '{ran}', value: once}}}}",
        f"{{id: connect, needs: [before], call: 'handlers:fail_until', with: {{file: '{there}'}},"
        " retry: {max_attempts: 3, initial_delay: 0.01, max_delay: 0.01}}",
        rest="outputs: {connect: '${connect}'}\n",
    )
    done = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "bad", exits=1)
    assert "connect failed (attempt 1), again in 0.0 s: ConnectionError: attempt 1: no connection" in done.stdout
    told = done.stderr.splitlines()
    assert told[1] == "✗ step connect failed after 3 attempts"
    assert [line.split("  ")[-1] for line in told if "ConnectionError: attempt" in line][:3] == [
        f"ConnectionError: attempt {n}: no connection" for n in (1, 2, 3)
    ]
    assert "then waited 0.0 s" in done.stderr
    assert "raise ConnectionError" in done.stderr and "orchestrator/runners" not in done.stderr
    assert "1 of 2 steps done, and kept" in done.stderr
    assert "orchestrator retry bad" in done.stderr

    shown = orchestrator(tmp_path, "show", "bad").stdout
    assert "✗ step connect failed after 3 attempts" in shown
    assert "in fail_until" in shown and "ConnectionError: attempt 3: no connection" in shown
    assert "failed, 3 attempts" in shown and "orchestrator retry bad" in shown
    failures = as_json(tmp_path, "show", "bad", "connect")["failures"]
    assert [failure["attempt"] for failure in failures] == [1, 2, 3]
    assert failures[-1]["due_at"] is None and "fail_until" in failures[-1]["error"]["traceback"]

    assert "retry bad" in orchestrator(tmp_path, "resume", "bad", exits=2).stderr
    assert "these did: connect" in orchestrator(tmp_path, "retry", "bad", "--step", "before", exits=2).stderr
    again = as_json(tmp_path, "retry", "bad", exits=1)
    assert (again["status"], again["failed_step"]) == ("failed", "connect")
    there.touch()
    assert "connected" in orchestrator(tmp_path, "retry", "bad", "--step", "connect").stdout
    assert ran.read_text() == "once\n"
    assert "nothing to retry" in orchestrator(tmp_path, "retry", "bad", exits=2).stderr
    assert "completed already" in orchestrator(tmp_path, "resume", "bad").stdout


def test_an_exception_that_says_nothing_and_one_that_says_much(tmp_path: Path) -> None:
    write_pipeline(tmp_path, "{id: one, call: 'own:silent'}")
    (tmp_path / "own.py").write_text(
        "def silent(): raise KeyError\ndef verbose(): raise ValueError('\\n'.join(f'line {n}' for n in range(99)))\n"
    )
    told = orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "x", exits=1)
    assert "Traceback (most recent call last)" not in told.stderr
    assert "✗ step one failed\n    KeyError\n" in orchestrator(tmp_path, "show", "x", "one").stdout
    write_pipeline(tmp_path, "{id: two, for_each: [1], call: 'own:verbose'}")
    orchestrator(tmp_path, "run", "pipeline.yaml", "--id", "y", exits=1)
    verbose = orchestrator(tmp_path, "show", "y", "two[0]").stdout
    assert "    line 7\n    …\n" in verbose


# ---------------------------------------------------------------- exit codes of what goes wrong otherwise


def test_every_fault_of_a_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = write_pipeline(
        tmp_path, "{id: a, cal: 'handlers:give'}", "{id: b, call: 'handlers:give', with: {x: '${c}'}}"
    )
    for verb in ("run", "validate"):
        told = orchestrator(tmp_path, verb, "pipeline.yaml", exits=2).stderr
        assert told.startswith("pipeline.yaml:3:")
        assert "did you mean 'call'?" in told and "pipeline.yaml:4:" in told and "nothing is named 'c'" in told
        assert "^\n" in told and told.endswith("error: pipeline.yaml has 2 faults\n")
        assert "Traceback" not in told
    faults = as_json(tmp_path, "validate", "pipeline.yaml", exits=2)["faults"]
    assert [fault["line"] for fault in faults] == [3, 4]
    write_pipeline(tmp_path, "{id: a, call: 'handlers:giv'}", "{id: b, call: 'nowhere:x'}")
    told = orchestrator(tmp_path, "validate", file, exits=2).stderr
    assert f"{file}:3:" in told and f"{file}:4:" in told
    missing = orchestrator(tmp_path, "run", "pipelin.yaml", exits=2).stderr
    assert missing.startswith("error: pipelin.yaml: there is no such file") and len(missing.splitlines()) == 1
    assert not (tmp_path / ".orchestrator").exists()


def test_ids_that_are_not_there_or_taken(shop: Path) -> None:
    orchestrator(shop, "run", "pipeline.yaml", "--id", "first", "-q")
    again = orchestrator(shop, "run", "pipeline.yaml", "--id", "first").stdout
    assert "✓ completed already" in again and "started" not in again  # asked for in the same words
    write_pipeline(shop, "{id: load, call: 'handlers:give'}")
    other = orchestrator(shop, "run", "pipeline.yaml", "--id", "first", exits=2).stderr
    assert "'first' already, with another pipeline" in other
    assert "'' cannot be the id" in orchestrator(shop, "run", "pipeline.yaml", "--id", "", exits=2).stderr
    for verb in ("show", "history", "logs", "resume", "retry"):
        assert "did you mean first?" in orchestrator(shop, verb, "frist", exits=2).stderr
    assert "has no step 'lod'" in orchestrator(shop, "show", "first", "lod", exits=2).stderr
    assert "no step 'lod'" in orchestrator(shop, "logs", "first", "lod", exits=2).stderr


def test_an_execution_that_another_process_has(tmp_path: Path) -> None:
    gate, reached = tmp_path / "gate", tmp_path / "reached"
    write_pipeline(tmp_path, f"{{id: wait, call: 'handlers:gate', with: {{opened: '{gate}', reached: '{reached}'}}}}")
    with start(tmp_path, "run", "pipeline.yaml", "--id", "mine") as running:
        wait_for(reached.exists, "the step")
        refused = orchestrator(tmp_path, "resume", "mine", exits=4)
        assert f":{running.pid}" in refused.stderr
        (row,) = as_json(tmp_path, "list")
        assert (row["status"], row["abandoned"], row["owner"].endswith(f":{running.pid}")) == ("running", False, True)
        gate.touch()
        assert running.communicate() is not None and running.returncode == 0


def test_a_store_that_fails_or_is_none(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "journal.db").write_text("no database, but a text that is long enough to be looked at" * 20)
    (tmp_path / "file").touch()
    assert "journal.db" in orchestrator(tmp_path, "list", "--store", "journal.db", exits=5).stderr
    assert "error: " in orchestrator(shop, "run", "pipeline.yaml", "--store", "file/journal.db", exits=5).stderr
    assert "no store is named 'ftp'" in orchestrator(tmp_path, "list", "--store", "ftp://x", exits=2).stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_from_the_start_leads_nowhere(shop: Path, closed: str) -> None:
    command = f'"{sys.executable}" -m orchestrator run pipeline.yaml --id closed {closed}'
    done = subprocess.run(command, shell=True, cwd=shop, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert as_json(shop, "show", "closed")["outputs"]["said"] == "20\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", ["list", "schema", "run pipeline.yaml"])
def test_output_that_cannot_be_written_is_one_message(shop: Path, arguments: str) -> None:
    write_pipeline(shop, "{id: load, call: 'handlers:give'}")
    command = f'"{sys.executable}" -m orchestrator {arguments}'
    full, both = (
        subprocess.run(f"{command} {to}", shell=True, cwd=shop, env=environment(), stderr=-1, text=True, check=False)
        for to in (">/dev/full", ">/dev/full 2>&1")
    )
    assert (full.returncode, both.returncode) == (1, 1)
    assert full.stderr == "error: cannot write the output: No space left on device\n"


def test_a_fault_of_ours_shows_its_traceback(tmp_path: Path) -> None:
    program = (
        "import sys, orchestrator.app; from orchestrator.cli import main\n"
        "def broken(self, query=None): raise RuntimeError('a bug')\n"
        "orchestrator.app.Orchestrator.list = broken; sys.exit(main(['list']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "RuntimeError: a bug" in done.stderr and done.stderr.endswith("please report it\n")


# ---------------------------------------------------------------- looking


def test_listings_in_words_and_as_json(shop: Path) -> None:
    orchestrator(shop, "run", "pipeline.yaml", "--id", "first", "-q")
    write_pipeline(shop, "{id: broken, run: 'echo to stderr >&2; exit 3'}", name="broken")
    orchestrator(shop, "run", "pipeline.yaml", "--id", "second", "-q", exits=1)

    table = orchestrator(shop, "list").stdout.splitlines()
    assert [line.split()[:4] for line in table[1:]] == [
        ["second", "broken", "failed", "0/1"],
        ["first", "shop", "completed", "4/4"],
    ]
    assert [row["execution_id"] for row in as_json(shop, "list")] == ["second", "first"]
    assert [row["execution_id"] for row in as_json(shop, "list", "--status", "completed", "--status", "paused")] == [
        "first"
    ]
    assert len(as_json(shop, "list", "--limit", 1)) == 1
    assert as_json(shop, "list", "--status", "cancelled") == []

    shown = orchestrator(shop, "show", "first").stdout
    assert [line.split()[:2] for line in shown.splitlines()[3:7]] == [
        ["✓", "load"],
        ["✓", "items"],
        ["○", "never"],
        ["✓", "shell"],
    ]
    assert "3 items" in shown and "checkpoint shelled" in shown and "items  [10, 20, 30]" in shown
    whole = as_json(shop, "show", "first")
    assert {step["key"] for step in whole["steps"]} == {
        "load",
        "items",
        "never",
        "shell",
        *(f"items[{i}]" for i in range(3)),
    }
    assert as_json(shop, "show", "first", "items")["output"] == [10, 20, 30]
    assert as_json(shop, "show", "first", "never")["output"] is None
    assert "exit code 3: to stderr" in orchestrator(shop, "show", "second").stdout

    events = as_json(shop, "history", "first")
    assert [event["position"] for event in events] == [*range(1, len(events) + 1)]
    assert events[0]["kind"] == "execution_created" and events[-1]["kind"] == "execution_completed"
    lines = orchestrator(shop, "history", "first").stdout.splitlines()
    assert len(lines) == len(events)
    assert any(line.split()[2:4] == ["step_succeeded", "items[2]"] for line in lines)

    notes = as_json(shop, "logs", "first")
    assert {(note["step_key"], note["kind"], note["text"]) for note in notes} == {
        ("load", "stdout", "printed"),
        ("load", "log", "WARNING shop: logged"),
        ("shell", "stdout", "20"),
    }
    assert [line.partition("  ")[2] for line in orchestrator(shop, "logs", "first", "shell").stdout.splitlines()] == [
        "shell | 20"
    ]


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    assert "no executions yet in .orchestrator/journal.db;" in orchestrator(tmp_path, "list").stdout
    assert as_json(tmp_path, "list") == []
    for verb in ("show", "history", "logs", "resume", "retry"):
        assert "no execution 'x' in .orchestrator/journal.db;" in orchestrator(tmp_path, verb, "x", exits=2).stderr
        there = orchestrator(tmp_path, verb, "x", "--store", f"sqlite:{tmp_path}/a.db", exits=2).stderr
        assert f"no execution 'x' in {tmp_path}/a.db;" in there
    assert f"yet in {tmp_path}/a.db;" in orchestrator(tmp_path, "list", "--store", f"sqlite://{tmp_path}/a.db").stdout
    assert list(tmp_path.iterdir()) == []


def test_a_store_given_by_hand_is_repeated_in_what_to_type_next(shop: Path) -> None:
    typed = orchestrator(shop, "run", "pipeline.yaml", "--store", "my runs.db", "--id", "a").stdout
    assert "show a --store 'my runs.db'" in typed
    named = orchestrator(shop, "run", "pipeline.yaml", "--id", "b", ORCHESTRATOR_STORE="my runs.db").stdout
    assert named.rstrip().endswith("orchestrator show b")
    found = subprocess.run(
        [sys.executable, "-m", "orchestrator", "list", "--json"],
        cwd=shop,
        env=environment(ORCHESTRATOR_STORE=str(shop / "my runs.db")),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [row["execution_id"] for row in json.loads(found.stdout)] == ["b", "a"]
    assert not (shop / ".orchestrator").exists()


def test_a_killed_execution_is_shown_as_abandoned_and_its_logs_are_followed_to_the_end(tmp_path: Path) -> None:
    gate, reached = tmp_path / "gate", tmp_path / "reached"
    wait = f"{{id: wait, call: 'handlers:tell', with: {{opened: '{gate}', reached: '{reached}'}}}}"
    write_pipeline(tmp_path, "{id: done, call: 'handlers:give'}", wait.replace("tell'", "tell', needs: [done]"))
    with start(tmp_path, "run", "pipeline.yaml", "--id", "k") as running:
        wait_for(reached.exists, "the step")
        wait_for(lambda: len(as_json(tmp_path, "history", "k")) >= 5, "the record of its start")
        running.send_signal(signal.SIGKILL)
        running.communicate()
    assert orchestrator(tmp_path, "list").stdout.splitlines()[1].split()[2] == "abandoned"
    shown = orchestrator(tmp_path, "show", "k").stdout
    assert "abandoned" in shown.splitlines()[0] and "unfinished" in shown and "orchestrator resume k" in shown
    assert as_json(tmp_path, "show", "k")["abandoned"] is True
    orchestrator(tmp_path, "init", "other")
    orchestrator(tmp_path, "run", "other/pipeline.yaml", "--id", "fine", "-q")
    for words, ids in ((["abandoned"], ["k"]), (["completed"], ["fine"]), (["abandoned", "completed"], ["fine", "k"])):
        options = [part for word in words for part in ("--status", word)]
        assert [row["execution_id"] for row in as_json(tmp_path, "list", *options)] == ids
    refused = orchestrator(tmp_path, "retry", "k", exits=2).stderr
    assert "execution k is abandoned" in refused and "`orchestrator resume k`" in refused

    reached.unlink()
    with start(tmp_path, "resume", "k") as running:
        wait_for(reached.exists, "the step")
        with start(tmp_path, "logs", "k", "wait", "--follow") as following:
            assert following.stdout is not None
            assert "50% half way" in following.stdout.readline()
            gate.touch()
            out, _ = running.communicate()
            following.communicate()
            assert following.returncode == 0
    assert "1 of 2 steps done before" in out and running.returncode == 0
    assert "done started" not in out


# ---------------------------------------------------------------- files


def test_graph_and_schema(shop: Path) -> None:
    text = orchestrator(shop, "graph", "pipeline.yaml").stdout
    assert all(name in text for name in ("load", "items", "never", "shell"))
    assert orchestrator(shop, "graph", "pipeline.yaml", "--format", "mermaid").stdout.startswith("flowchart")
    assert orchestrator(shop, "graph", "pipeline.yaml", "--format", "dot").stdout.startswith("digraph")
    assert "$schema" in json.loads(orchestrator(shop, "schema").stdout)
    assert "shop is valid: 4 steps, 0 inputs" in orchestrator(shop, "validate", "pipeline.yaml").stdout


def test_init_writes_a_pipeline_that_runs_and_overwrites_nothing(tmp_path: Path) -> None:
    told = orchestrator(tmp_path, "init", "new/place").stdout
    assert "orchestrator run new/place/pipeline.yaml" in told
    orchestrator(tmp_path, "validate", "new/place/pipeline.yaml")
    result = as_json(tmp_path, "run", "new/place/pipeline.yaml")
    files = [tmp_path / "new/place" / name for name in ("pipeline.yaml", "tasks.py")]
    assert result["outputs"]["files"] == len(files)
    assert result["outputs"]["lines"] == sum(len(file.read_text().splitlines()) for file in files)
    assert "| tasks.py |" in Path(result["outputs"]["report"]).read_text()

    files[0].write_text("mine")
    files[1].unlink()
    assert "new/place/pipeline.yaml would be overwritten" in orchestrator(tmp_path, "init", "new/place", exits=2).stderr
    assert files[0].read_text() == "mine" and not files[1].exists()
    assert "cannot be written" in orchestrator(tmp_path, "init", files[0] / "below", exits=2).stderr
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        assert "cannot be written" in orchestrator(tmp_path, "init", "x", exits=2).stderr

"""Ctrl-C and SIGTERM, once and twice: what is told, what is kept, what is left running, and the exit code."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.cli_session import (
    PATIENCE_SECONDS,
    Terminal,
    as_json,
    orchestrator,
    start,
    wait_for,
    write_pipeline,
)


def gate_step(folder: Path, name: str) -> str:
    """A step that says in one file that it began, and waits for another one."""
    given = f"opened: '{folder / name}.open', reached: '{folder / name}.reached', value: {name}"
    return f"{{id: {name}, call: 'handlers:gate', with: {{{given}}}}}"


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A folder with a pipeline: done, then wait (until somebody opens the gate), then after."""
    witness = f"call: 'handlers:witness', with: {{file: '{tmp_path / 'ran'}'"
    write_pipeline(
        tmp_path,
        f"{{id: before, {witness}, value: before}}}}",
        gate_step(tmp_path, "wait").replace("call", "needs: [before], call"),
        f"{{id: after, needs: [wait], {witness}, value: after}}}}",
        rest="outputs: {wait: '${wait}'}\n",
    )
    return tmp_path


def until_it_waits(folder: Path, name: str = "wait") -> None:
    wait_for((folder / f"{name}.reached").exists, "the start of the step")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_finish_what_runs_and_starts_nothing_new(waiting: Path, number: int) -> None:
    with start(waiting, "run", "pipeline.yaml", "--id", "i") as running:
        until_it_waits(waiting)
        assert running.stderr is not None
        running.send_signal(number)
        told = running.stderr.readline()
        assert told == "interrupted: finishing what runs, up to 10 s; again to stop at once\n"
        (waiting / "wait.open").touch()
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130
    assert "paused" in err and "2 of 3 steps done, and kept" in err and "orchestrator resume i" in err
    assert as_json(waiting, "show", "i")["status"] == "paused"
    assert "orchestrator resume i" in orchestrator(waiting, "show", "i").stdout
    assert (waiting / "ran").read_text() == "before\n"

    assert as_json(waiting, "resume", "i")["outputs"] == {"wait": "wait"}
    assert (waiting / "ran").read_text() == "before\nafter\n"


def test_the_result_of_an_interrupted_run_as_json(waiting: Path) -> None:
    with start(waiting, "run", "pipeline.yaml", "--id", "i", "--json") as running:
        until_it_waits(waiting)
        running.send_signal(signal.SIGINT)
        (waiting / "wait.open").touch()
        out, _ = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130
    assert '"status": "paused"' in out


def test_a_run_that_ends_all_the_same_ends_as_it_ends(tmp_path: Path) -> None:
    write_pipeline(tmp_path, gate_step(tmp_path, "wait"))
    with start(tmp_path, "run", "pipeline.yaml", "--id", "i") as running:
        until_it_waits(tmp_path)
        running.send_signal(signal.SIGINT)
        (tmp_path / "wait.open").touch()
        running.communicate(timeout=PATIENCE_SECONDS)
    status = as_json(tmp_path, "show", "i")["status"]
    assert (running.returncode, status) in ((0, "completed"), (130, "paused"))


def test_the_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    shell = f"{{id: shell, run: 'touch {tmp_path}/shell.reached; trap \"\" TERM; while :; do sleep 0.1; done'}}"
    write_pipeline(tmp_path, "{id: before, call: 'handlers:give'}", gate_step(tmp_path, "stuck"), shell)
    with start(tmp_path, "run", "pipeline.yaml", "--id", "twice") as running:
        until_it_waits(tmp_path, "stuck")
        until_it_waits(tmp_path, "shell")
        before = [pid for pid in children_of(running.pid) if pid != running.pid]
        assert len(before) >= 2
        assert running.stderr is not None
        running.send_signal(signal.SIGINT)
        running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130
    assert err.splitlines()[-1].startswith("stopped at once; go on with ")
    assert "orchestrator resume twice" in err
    wait_for(lambda: not [pid for pid in before if is_alive(pid)], "the end of every child")
    assert as_json(tmp_path, "list")[0]["abandoned"] is True
    assert as_json(tmp_path, "show", "twice", "before")["status"] == "completed"


def test_the_second_signal_ends_a_process_whose_loop_is_stuck(tmp_path: Path) -> None:
    write_pipeline(tmp_path, f"{{id: hold, call: 'handlers:hold', with: {{reached: '{tmp_path / 'hold.reached'}'}}}}")
    with start(tmp_path, "run", "pipeline.yaml", "--id", "held", "--quiet") as running:
        until_it_waits(tmp_path, "hold")
        assert running.stderr is not None
        running.send_signal(signal.SIGINT)
        running.stderr.readline()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130
    assert as_json(tmp_path, "list")[0]["abandoned"] is True


def children_of(pid: int) -> list[int]:
    """Everything that descends from a process, and the process."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()]
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in pairs if its_parent == parent]
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_ctrl_c_typed_into_a_live_view(waiting: Path) -> None:
    with Terminal(waiting, "run", "pipeline.yaml", "--id", "t") as terminal:
        terminal.wait_for("● wait")
        terminal.type(b"\x03")
        terminal.wait_for("interrupted: finishing what runs")
        (waiting / "wait.open").touch()
        assert terminal.wait() == 130
        assert "orchestrator resume t" in terminal.screen.text
        assert "Ctrl-C pauses" not in terminal.screen.text
        assert terminal.screen.cursor_shown
    with Terminal(waiting, "resume", "t") as terminal:
        assert terminal.wait() == 0
        assert "2 of 3 steps done before" in terminal.screen.text
        assert terminal.screen.text.count("done before") == 3


def test_ctrl_c_typed_twice_leaves_a_clean_terminal(waiting: Path) -> None:
    with Terminal(waiting, "run", "pipeline.yaml", "--id", "t") as terminal:
        terminal.wait_for("● wait")
        terminal.type(b"\x03")
        terminal.wait_for("interrupted")
        terminal.type(b"\x03")
        assert terminal.wait() == 130
        assert "stopped at once; go on with" in terminal.screen.text
        assert terminal.screen.cursor_shown
        assert not terminal.screen.lines[terminal.screen.row :] or not terminal.screen.lines[-1]


def test_ctrl_c_before_and_outside_of_a_run(tmp_path: Path) -> None:
    write_pipeline(tmp_path, gate_step(tmp_path, "never"))
    (tmp_path / "handlers.py").write_text(
        f"import time, pathlib\npathlib.Path('{tmp_path}/importing').touch()\ntime.sleep(600)\n"
    )
    with start(tmp_path, "validate", "pipeline.yaml") as running:
        wait_for((tmp_path / "importing").exists, "the import")
        os.kill(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130
    assert (out, err.strip()) == ("", "")

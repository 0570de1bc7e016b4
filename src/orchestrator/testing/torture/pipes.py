"""A command whose output goes into a pipe that nobody reads any more, or that nobody drains."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

from orchestrator.testing.torture.life import EXECUTION_ID
from orchestrator.testing.torture.models import talkative
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.trial import Process, Trial

_RUN = ("run", "pipeline.yaml", "--id", EXECUTION_ID)
_PAGE = 4096
_INTERRUPTED = 130


def _closed(trial: Trial) -> str:
    """`orchestrator run … | head -1`, or a reader that is gone before the first line."""
    lines = trial.chance.randint(0, 3)
    process, reading = _piped(trial)
    with os.fdopen(reading, "rb") as reader:
        for _ in range(lines):
            reader.readline()
    require_told(process.end(), (0,))
    found = trial.check()
    assert found is not None
    trial.finish()
    return f"after {lines} lines"


def _full(trial: Trial) -> str:
    """The pipe is full and the process waits: until it is drained, asked to end twice, or killed."""
    process, reading = _piped(trial)
    with os.fdopen(reading, "rb") as reader:
        trial.until(lambda: _is_full(reading) or process.popen.poll() is not None)
        how = trial.chance.choice(["drained", "interrupted", "killed"])
        if how == "drained":
            reader.read()
            require_told(process.end(), (0,))
        elif how == "killed":
            process.send(signal.SIGKILL)
        else:
            process.send(signal.SIGTERM)
            trial.until(lambda: _has_taken(process))
            process.send(signal.SIGTERM)
            require_told(process.end(), (_INTERRUPTED,))
    process.end()
    trial.finish()
    return how


def _piped(trial: Trial) -> tuple[Process, int]:
    """A command that has much to say, and the end of its pipe, which holds one page."""
    trial.begin(talkative(process=trial.chance.random() < 0.3))
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PAGE)
    process = trial.command(*_RUN, stdout=writing)
    os.close(writing)
    return process, reading


def _is_full(reading: int) -> bool:
    waiting = fcntl.ioctl(reading, 0x541B, bytes(4))  # FIONREAD
    return int.from_bytes(waiting, "little") > _PAGE - 200


def _has_taken(process: Process) -> bool:
    """Whether a signal is no longer pending."""
    for line in _status(process.pid):
        if line.startswith(("SigPnd:", "ShdPnd:")) and int(line.split()[1], 16):
            return False
    return True


def _status(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []


SCENARIOS = (
    Scenario("pipe-closed", "nobody reads what a command prints (`| head -1`)", _closed),
    Scenario("pipe-full", "nobody drains the pipe that a command prints into", _full),
)

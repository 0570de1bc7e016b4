"""A sample's process: fresh, in a session of its own, ended with everything that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.contenders import ROOT, Contender

TIMEOUT_SECONDS = 150


class SampleFailedError(Exception):
    """The process of a sample did not bring a result."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what}; run its command again to see all it says")


def sample(
    contender: Contender, function: str, folder: Path, size: int, *, kill_at: int = -1, under: Sequence[str] = ()
) -> dict[str, float]:
    """Run one workload in `folder`, which may hold what an earlier process left; give what it measured.

    With `kill_at` the process must end itself in that body, and nothing is measured. `under` is the command of a
    program that runs it. Raises SampleFailedError.
    """
    result, output = folder.parent / "result.json", folder.parent / "output.txt"
    command = [*under, contender.python, "-m", "benchmarks.sample", contender.system, function, folder]
    command += ["--size", str(size), "--variant", contender.variant, "--result", result]
    code = _end_of([str(word) for word in command], output, {"BENCH_KILL_AT": str(kill_at)} if kill_at >= 0 else {})
    if code != (-signal.SIGKILL if kill_at >= 0 else 0):
        raise SampleFailedError(f"{_why(code)}: {_last_line(output.read_text(errors='replace'))}")
    found: dict[str, float] = {} if kill_at >= 0 else json.loads(result.read_text())
    return found


def start_seconds(command: Sequence[str | Path]) -> float:
    """How long a command takes from its start to its end. Raises SampleFailedError where it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment({}))
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SampleFailedError(f"{_why(done.returncode)}: {_last_line(done.stderr)}")
    return seconds


def versions(contender: Contender) -> dict[str, str]:
    """The versions of its packages; `sqlite` is the one of its Python. Raises SampleFailedError without them."""
    code = (
        "import json, sqlite3, sys; from importlib.metadata import version as of; "
        "print(json.dumps({n: sqlite3.sqlite_version if n == 'sqlite' else of(n) for n in sys.argv[1:]}))"
    )
    try:
        command = [contender.python, "-c", code, *contender.packages]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SampleFailedError(f"it is not installed in {contender.environment} (`make peers`)") from error
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _end_of(command: list[str], output: Path, extra: dict[str, str]) -> int | None:
    """The exit code, None after the time limit; nothing of its session is left."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(extra: dict[str, str]) -> dict[str, str]:
    """Bytecode is kept: without it each start would compile every module anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | extra


def _why(code: int | None) -> str:
    return f"not done after {TIMEOUT_SECONDS} s" if code is None else f"it ended with {code}"


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1].strip()[:160] if lines else "it said nothing"

"""One try: an execution in a folder of its own, the processes that work on it, and the verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.pipelines.model import Pipeline
from orchestrator.pipelines.plan import make_plan
from orchestrator.status import ExecutionStatus
from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.left_running import FOLDER, GRACE_SECONDS, left_running, require_none_left
from orchestrator.testing.torture.cage import Cage
from orchestrator.testing.torture.life import ERROR, EXECUTION_ID, Way
from orchestrator.testing.torture.look import Look, look
from orchestrator.testing.torture.models import Model
from orchestrator.testing.torture.unbroken import unbroken
from orchestrator.testing.torture.witness import Witness

#: No process of a try takes longer, in seconds; the store's own patience with a lock is half of it.
PATIENCE_SECONDS = 60.0
#: An execution that was left alone is done after so many processes.
_LIVES = 8


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: its exit code (negative: the signal), and what it said."""

    code: int
    said: str

    @property
    def error(self) -> str:
        """The class of the error that ended a life; empty where none did."""
        return self.said.strip().splitlines()[-1].partition(":")[0] if self.code == ERROR and self.said else ""


@dataclass(eq=False)
class Process:
    """A process under way; what it says goes to a file."""

    popen: subprocess.Popen[bytes]
    said: Path

    @property
    def pid(self) -> int:
        """Its number."""
        return self.popen.pid

    def send(self, number: int) -> None:
        """Send it a signal; one that has ended gets none."""
        self.popen.send_signal(number)

    def end(self, patience_seconds: float = PATIENCE_SECONDS) -> End:
        """Wait for its end. Raises Broken where that does not come."""
        try:
            code = self.popen.wait(patience_seconds)
        except subprocess.TimeoutExpired as exc:
            said = self.said.read_text(errors="replace")[-2000:]
            raise Broken(Harm.LOST, f"{self.popen.args!r} has not ended after {patience_seconds:g} s: {said}") from exc
        return End(code, self.said.read_text(errors="replace"))


@dataclass(eq=False)
class Trial:
    """A folder with an execution `victim` in it. `expected` are outputs of unbroken runs by model, made at need."""

    folder: Path
    chance: Random
    expected: dict[str, str] = field(default_factory=dict)
    model: Model = field(init=False)
    store: Path = field(init=False)
    processes: list[Process] = field(default_factory=list)
    #: What belongs to a process that has ended has this long to be gone.
    grace_seconds: float = GRACE_SECONDS
    #: Processes whose right has passed while they were stopped: what they had decided before, they may still start.
    stale: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = self.folder / "journal.db"
        self.witness = Witness(self.folder / "witness")

    def begin(self, model: Model) -> None:
        """Write the pipeline; nothing runs yet."""
        self.model = model
        (self.folder / "pipeline.yaml").write_text(json.dumps(model))

    # -- processes ---------------------------------------------------------------------------------------------------

    def life(self, verb: str, cage: Cage | None = None, **way: Any) -> Process:
        """Start a process that works by the library and bears witness (see `life`)."""
        text = Way(str(self.store), **way).to_json()
        return self.start(["orchestrator.testing.torture.life", str(self.folder), verb, text], cage)

    def command(self, *arguments: str, cage: Cage | None = None, stdout: int | None = None) -> Process:
        """Start the command line on the store of this try."""
        return self.start(["orchestrator", *arguments], cage, stdout)

    def start(self, module: list[str], cage: Cage | None = None, stdout: int | None = None) -> Process:
        """Start a module of Python in the folder of this try."""
        said = self.folder / f"said-{len(self.processes)}"
        with said.open("wb") as file:
            popen = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.folder,
                env={**os.environ, FOLDER: str(self.folder), "ORCHESTRATOR_STORE": str(self.store)},
                stdin=subprocess.DEVNULL,
                stdout=file if stdout is None else stdout,
                stderr=file,
                preexec_fn=None if cage is None else cage.enter,  # the harness has one thread
            )
        self.processes.append(Process(popen, said))
        return self.processes[-1]

    def abandon(self, after_events: int) -> None:
        """Run, and be killed after so many events."""
        end = self.life("run", dies_after_events=after_events).end()
        if end.code not in (0, -signal.SIGKILL):
            raise Broken(Harm.LOST, f"{self.folder}: a run that was to be killed ended with {end}")

    def wait_for_starts(self, count: int, process: Process) -> None:
        """Return when so many handlers have started, or the process has ended."""
        self.until(lambda: len(self.witness.starts()) >= count or process.popen.poll() is not None)

    def until(self, come: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        """Look again and again, until it has come to pass."""
        deadline = time.monotonic() + seconds
        while not come():
            if time.monotonic() > deadline:
                raise Broken(Harm.LOST, f"{self.folder}: nothing goes on after {seconds:g} s")
            time.sleep(0.002)

    def close(self) -> None:
        """End whatever runs, whatever became of the try."""
        for process in self.processes:
            process.popen.kill()
            process.popen.wait()
        for line in left_running(self.folder):
            os.kill(int(line.split()[0]), signal.SIGKILL)

    # -- the verdict ---------------------------------------------------------------------------------------------------

    def check(self) -> Look | None:
        """Hold the store against the witness while nobody works on it; what is recorded is known from here on."""
        require_none_left(self.folder, self.grace_seconds)
        found = self._look()
        succeeded = {} if found is None else found.succeeded
        known = self.witness.known()
        if gone := [identity for identity, digest in known.items() if succeeded.get(identity) != digest]:
            raise Broken(Harm.LOST, f"{self.folder}: known to have succeeded, and gone or changed: {gone}")
        self._check_starts(succeeded)
        self.witness.know({identity: digest for identity, digest in succeeded.items() if identity not in known})
        return found

    def _look(self) -> Look | None:
        try:
            return look(self.store, EXECUTION_ID)
        except OrchestratorError as exc:
            raise Broken(Harm.LOST, f"{self.folder}: what was recorded cannot be read: {exc}") from exc

    def _check_starts(self, succeeded: dict[str, str]) -> None:
        starts = self.witness.starts()
        again = [start for start in starts if start.was_known]
        for pid, allowed in self.stale.items():
            for start in [start for start in again if start.pid == pid][:allowed]:
                again.remove(start)
        if again:
            raise Broken(Harm.TWICE, f"{self.folder}: ran again after its success was known: {again}")
        plan = make_plan(Pipeline.from_canonical(self.model, str(self.folder)))
        done = {identity.split()[0] for identity in succeeded}
        for start in starts:
            step = plan.steps[start.identity.partition(" ")[0].partition("[")[0]]
            if missing := step.needs - done:
                raise Broken(Harm.LOST, f"{self.folder}: {start} began, and {missing} which it needs is not recorded")

    def finish(self) -> None:
        """Resume until the end, and compare. Nothing stands in the way any more."""
        (self.folder / "good").touch()
        end = None
        for _ in range(_LIVES):
            found = self.check()
            if found is not None and found.outputs is not None:
                return self._compare(found.outputs)
            end = self.life(_verb(found)).end()
        raise Broken(Harm.LOST, f"{self.folder}: not done after {_LIVES} processes; the last: {end}")

    def _compare(self, outputs: str) -> None:
        want = self.unbroken()
        if outputs != want:
            raise Broken(Harm.LOST, f"{self.folder}: the outputs are {outputs}, those of an unbroken run {want}")

    def unbroken(self) -> str:
        """The outputs of a run that nobody disturbs, in this process, in memory."""
        key = json.dumps(self.model)
        if key not in self.expected:
            self.expected[key] = unbroken(self.model, self.folder / "unbroken")
        return self.expected[key]


def _verb(found: Look | None) -> str:
    if found is None:
        return "run"
    return "retry" if found.record.status is ExecutionStatus.FAILED else "resume"

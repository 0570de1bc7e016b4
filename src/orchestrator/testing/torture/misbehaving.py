"""Handlers that take all memory, hang, end their process, leave children, or write without end.

In a worker process only their own step fails, and says why; what has nothing to do with it goes on to its end.
"""

from __future__ import annotations

import time
from pathlib import Path

from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.torture.cage import Cage
from orchestrator.testing.torture.handlers import EXITS
from orchestrator.testing.torture.life import EXECUTION_ID
from orchestrator.testing.torture.models import Model, beside
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.trial import Trial

_MIB = 1024 * 1024
_RUN = ("run", "pipeline.yaml", "--id", EXECUTION_ID)
_FAILED = 1
#: What an engine may take while its handlers flood it, in MiB; at rest it has about 70.
_ENGINE_MEBIBYTES = 400


def _greedy(trial: Trial) -> str:
    _only_that_step_fails(trial, beside("greedy", process=True), ("MemoryError", "worker"), Cage(1500 * _MIB))
    return ""


def _hangs(trial: Trial) -> str:
    deaf = trial.chance.random() < 0.2
    _only_that_step_fails(trial, beside("hangs", process=True, timeout="0.3s", deaf=deaf), ("timeout",))
    return "deaf" if deaf else ""


def _exits(trial: Trial) -> str:
    how = trial.chance.choice(EXITS)
    words = ("worker process", "exit", "recursion")
    _only_that_step_fails(trial, beside("exits", process=True, how=how), words)
    return how


def _only_that_step_fails(trial: Trial, model: Model, words: tuple[str, ...], cage: Cage | None = None) -> None:
    trial.begin(model)
    require_told(trial.command(*_RUN, cage=cage).end(), (_FAILED,), *words)
    found = trial.check()
    if found is None or found.record.status is not ExecutionStatus.FAILED:
        raise Broken(Harm.LOST, f"{trial.folder}: the execution stands as {found}")
    failed = [step.key for step in found.record.steps.values() if step.status is StepStatus.FAILED]
    if failed != ["bad"]:
        raise Broken(Harm.LOST, f"{trial.folder}: these steps failed: {failed}")
    trial.finish()


def _engine_exits(trial: Trial) -> str:
    """The handler runs in the engine's own process."""
    trial.begin(beside("exits_once", process=False))
    require_told(trial.command(*_RUN).end(), (7,))
    trial.finish()
    return ""


def _forks(trial: Trial) -> str:
    process = trial.chance.random() < 0.6
    # Nobody can find a daemon that sheds every mark, unless those who watch over workers see it begin.
    how = trial.chance.choice(["child", "copy", "daemon"] if process else ["child", "copy"])
    trial.begin(beside("forks", process=process, how=how))
    require_told(trial.command(*_RUN).end(), (0,))
    trial.finish()
    return f"{how} of {'a worker' if process else 'the engine'}"


def _floods(trial: Trial) -> str:
    stream, lines = trial.chance.choice(["stdout", "stderr"]), trial.chance.random() < 0.5
    mebibytes = trial.chance.choice([20, 20, 100, 300])
    trial.begin(beside("floods", process=True, mebibytes=mebibytes, stream=stream, lines=lines))
    engine, peak = trial.command(*_RUN), 0
    while engine.popen.poll() is None:
        peak = max(peak, _peak_kibibytes(engine.pid))
        time.sleep(0.01)
    require_told(engine.end(), (0,))
    if peak > _ENGINE_MEBIBYTES * 1024:
        raise Broken(Harm.LOST, f"{trial.folder}: the engine has taken {peak} KiB")
    trial.finish()
    return f"{mebibytes} MiB {'of lines' if lines else 'without a line end'}"


def _peak_kibibytes(pid: int) -> int:
    """The most memory that a process has had at once; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


SCENARIOS = (
    Scenario("greedy", "a handler in a worker takes all memory that it can get", _greedy),
    Scenario("hangs", "a handler in a worker does not come back", _hangs),
    Scenario("exits", "a handler in a worker ends its process", _exits),
    Scenario("engine-exits", "a handler in the engine's process ends it", _engine_exits),
    Scenario("forks", "a handler leaves a child, a daemon or a copy of its process behind", _forks),
    Scenario("floods", "a handler writes up to 300 MiB to its stdout or stderr", _floods),
)

"""No more files can be opened: because the limit is low, or because a handler holds nearly all there are."""

from __future__ import annotations

from orchestrator.testing.torture.cage import Cage
from orchestrator.testing.torture.life import EXECUTION_ID
from orchestrator.testing.torture.models import beside, mixed
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.trial import Trial

_RUN = ("run", "pipeline.yaml", "--id", EXECUTION_ID)


def _few(trial: Trial) -> str:
    """From the start. What cannot be done is told, and done when there are more."""
    trial.begin(mixed(seconds=0.0))
    end = trial.command(*_RUN, cage=Cage(open_files=trial.chance.randint(12, 60))).end()
    require_told(end, (0, 1, 5), "error", "completed", "failed")
    trial.finish()
    return f"exit code {end.code}"


def _taken(trial: Trial) -> str:
    """A handler takes a thousand and keeps them; a few are left for everybody else."""
    count = 1000
    leave = trial.chance.choice([0, 1, 2, 5, 30])
    trial.begin(beside("holds_files", process=False, count=count, leave=leave))
    end = trial.command(*_RUN, cage=Cage(open_files=trial.chance.choice([256, 1100]))).end()
    require_told(end, (0, 1, 5), "error", "completed", "failed")
    trial.finish()
    return f"exit code {end.code}"


SCENARIOS = (
    Scenario("few-files", "the limit on open files is low", _few),
    Scenario("held-files", "a handler opens a thousand files, or all there are, and keeps them", _taken),
)

"""SIGKILL, in every phase of an engine's life: the kill harness, a few shots at a time."""

from __future__ import annotations

import subprocess
from contextlib import suppress

from orchestrator.testing.kill import torture
from orchestrator.testing.torture.models import mixed
from orchestrator.testing.torture.scenario import Scenario
from orchestrator.testing.torture.trial import Trial


def _killed(trial: Trial) -> str:
    torture(trial.chance.randint(1, 4), trial.chance.randrange(1 << 30), trial.folder)
    return ""


def _killed_commands(trial: Trial) -> str:
    """The command line is killed at any moment, its start and its end included."""
    trial.begin(mixed(seconds=0.02))
    for _ in range(trial.chance.randint(1, 3)):
        found = trial.check()
        verb = ("run", "pipeline.yaml", "--id", "victim") if found is None else ("resume", "victim")
        process = trial.command(*verb)
        with suppress(subprocess.TimeoutExpired):
            process.popen.wait(trial.chance.uniform(0.05, 1.2))
        process.popen.kill()
        process.end()
    trial.finish()
    return ""


SCENARIOS = (
    Scenario("killed", "SIGKILL in a chosen phase: taking over, before, in and after a handler, in a commit", _killed),
    Scenario("killed-command", "SIGKILL of the command line at any moment", _killed_commands),
)

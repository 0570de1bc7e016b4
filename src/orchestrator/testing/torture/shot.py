"""What an engine has started is shot: workers, their keepers, the guard above them."""

from __future__ import annotations

import time

from orchestrator.runners.processes import descendants, kill, process_table
from orchestrator.testing.torture.models import workers
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.trial import Trial


def _workers(trial: Trial) -> str:
    """A worker in the middle of a handler. The step is tried again."""
    trial.begin(workers(4, seconds=0.05))
    process = trial.life("run")
    for shot in range(trial.chance.randint(1, 2)):
        trial.wait_for_starts(2 + 2 * shot, process)
        kill({trial.witness.starts()[-1].pid} - {process.pid})
    require_told(process.end(), (0, 1))
    trial.finish()
    return ""


def _anything(trial: Trial) -> str:
    """Any one of them, or all at once. The execution ends well, or says what failed and is retried."""
    trial.begin(workers(4, seconds=0.05))
    process = trial.life("run")
    trial.wait_for_starts(trial.chance.randint(2, 5), process)
    time.sleep(trial.chance.uniform(0, 0.03))
    below = sorted(descendants({process.pid}, process_table()))
    if not below:
        trial.finish()
        return "came too late"
    everyone = trial.chance.random() < 0.2
    kill(set(below) if everyone else {trial.chance.choice(below)})
    require_told(process.end(), (0, 1))
    trial.finish()
    return "all of them" if everyone else "one"


SCENARIOS = (
    Scenario("worker-shot", "SIGKILL of a worker process in the middle of a handler", _workers),
    Scenario("child-shot", "SIGKILL of anything that an engine has started", _anything),
)

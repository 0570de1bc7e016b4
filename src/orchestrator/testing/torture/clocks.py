"""A wall clock that is wrong: from one process to the next, or within one, by seconds or by a year."""

from __future__ import annotations

from orchestrator.testing.torture.models import mixed
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.trial import Trial

_DAY = 86_400.0
#: An execution of some tenths of a second that is not over by then waits for a time that will not come.
_PATIENCE_SECONDS = 20.0


def _wrong(trial: Trial) -> str:
    """Each process has another time, and dies."""
    trial.begin(mixed(seconds=0.01))
    trial.abandon(trial.chance.randint(1, 10))
    for _ in range(trial.chance.randint(1, 2)):
        found = trial.check()
        ahead = trial.chance.choice([-400, -1, -0.001, 0.001, 1, 400]) * _DAY
        verb = "run" if found is None else "resume"
        dies = trial.chance.randint(1, 10)
        trial.life(verb, clock_ahead_seconds=ahead, dies_after_events=dies).end(_PATIENCE_SECONDS)
    trial.finish()
    return ""


def _jumps(trial: Trial) -> str:
    """It jumps while the process runs."""
    trial.begin(mixed(seconds=0.01))
    end = trial.life("run", clock_jumps=trial.chance.randrange(1 << 30)).end(_PATIENCE_SECONDS)
    require_told(end, (0,))
    trial.finish()
    return ""


SCENARIOS = (
    Scenario("clock-wrong", "each process has a clock that is wrong by another span", _wrong),
    Scenario("clock-jumps", "the wall clock jumps back and forth during a run", _jumps),
)

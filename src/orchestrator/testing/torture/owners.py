"""Who may write: processes that are stopped beyond their lease, and several that want one execution."""

from __future__ import annotations

import signal
import time

from orchestrator.journal.store import LEASE_SECONDS
from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.torture.life import EXECUTION_ID
from orchestrator.testing.torture.models import chain, mixed
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.trial import Process, Trial

#: One try in so many waits for the lease to end; the others take over with a clock that says it has ended.
_REALLY_WAITS = 20


def _stopped(trial: Trial) -> str:
    """Its machine seems gone, another one takes over and ends the work; then it wakes up and knows nothing of that."""
    first = _stop_somewhere(trial, host="another-machine")
    if trial.chance.randrange(_REALLY_WAITS) == 0:
        how, ahead = "waited for the lease", 0.0
        time.sleep(LEASE_SECONDS + 1)
    else:
        how, ahead = "with a clock ahead", LEASE_SECONDS + 5
    second = trial.life("resume", clock_ahead_seconds=ahead, busy_seconds=2.0).end()
    if second.error == "StoreBusyError":  # it was stopped in the middle of a commit, with the right to write
        first.send(signal.SIGCONT)
        first.end()
        trial.finish()
        return "stopped in a commit"
    require_told(second, (0,))
    trial.stale[first.pid] = 1
    first.send(signal.SIGCONT)
    end = first.end()
    if end.error != "LeaseLostError" and end.code != 0:
        raise Broken(Harm.UNREPORTED, f"{trial.folder}: who had lost its lease ended with {end}")
    trial.finish()
    return how


def _stopped_and_asked(trial: Trial) -> str:
    """It is stopped, and everybody on this machine can see that it is there: nobody else gets the execution."""
    first = _stop_somewhere(trial)
    second = trial.life("resume", busy_seconds=1.0).end()
    if second.code != 0 and second.error not in ("OwnedElsewhereError", "StoreBusyError"):
        raise Broken(Harm.UNREPORTED, f"{trial.folder}: a second owner ended with {second}")
    first.send(signal.SIGCONT)
    require_told(first.end(), (0,))
    trial.finish()
    return ""


def _stop_somewhere(trial: Trial, host: str = "") -> Process:
    """A run that was stopped with some of its steps done."""
    trial.begin(chain(6, seconds=0.03))
    first = trial.life("run", host=host)
    trial.wait_for_starts(trial.chance.randint(1, 5), first)
    time.sleep(trial.chance.uniform(0, 0.04))
    first.send(signal.SIGSTOP)
    return first


def _many_resume(trial: Trial) -> str:
    """Several processes go on with one abandoned execution at one moment."""
    trial.begin(mixed(seconds=0.1))
    trial.abandon(trial.chance.randint(1, 12))
    _at_once(trial, trial.chance.randint(2, 3), ("resume", EXECUTION_ID), refused=(4,))
    trial.finish()
    return ""


def _many_run(trial: Trial) -> str:
    """Several processes begin an execution with one id."""
    trial.begin(mixed(seconds=0.1))
    _at_once(trial, trial.chance.randint(2, 3), ("run", "pipeline.yaml", "--id", EXECUTION_ID), refused=(2,))
    trial.finish()
    return ""


def _at_once(trial: Trial, count: int, arguments: tuple[str, ...], refused: tuple[int, ...]) -> None:
    ends = [process.end() for process in [trial.command(*arguments) for _ in range(count)]]
    if all(end.code for end in ends):
        raise Broken(Harm.LOST, f"{trial.folder}: nobody got the execution: {ends}")
    for end in ends:
        require_told(end, (0, *refused))


SCENARIOS = (
    Scenario("stopped", "SIGSTOP beyond the lease, another process takes over, then SIGCONT", _stopped),
    Scenario("stopped-here", "SIGSTOP, and another process of that machine wants the execution", _stopped_and_asked),
    Scenario("many-resume", "two or three processes resume one execution at once", _many_resume),
    Scenario("many-run", "two or three processes begin one execution at once", _many_run),
)

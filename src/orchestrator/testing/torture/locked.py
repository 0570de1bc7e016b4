"""Another program holds the store: for a moment, which is waited for, or for longer, which is told."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.torture.locker import WAYS
from orchestrator.testing.torture.models import chain
from orchestrator.testing.torture.scenario import Scenario
from orchestrator.testing.torture.trial import Trial

_BUSY_SECONDS = 0.5


def _locked(trial: Trial) -> str:
    how = trial.chance.choice(sorted(WAYS))
    trial.begin(chain(6, seconds=0.02))
    if how == "the whole file":  # that can be had only while nobody has it open
        trial.abandon(trial.chance.randint(1, 8))
        with _held(trial, how):
            end = trial.life("resume", busy_seconds=_BUSY_SECONDS).end()
        _require_told(trial, end.error)
    else:
        process = trial.life("run", busy_seconds=_BUSY_SECONDS)
        trial.wait_for_starts(trial.chance.randint(1, 5), process)
        brief = trial.chance.random() < 0.5
        with _held(trial, how):
            if brief:
                time.sleep(trial.chance.uniform(0, _BUSY_SECONDS / 3))
            else:
                process.popen.wait()
        end = process.end()
        if end.code != 0:
            _require_told(trial, end.error)
    trial.finish()
    return how


def _require_told(trial: Trial, error: str) -> None:
    if error != "StoreBusyError":
        raise Broken(Harm.UNREPORTED, f"{trial.folder}: a store that is held led to {error or 'no error'}")


@contextmanager
def _held(trial: Trial, how: str) -> Iterator[None]:
    locker = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.testing.torture.locker", str(trial.store), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with locker:
        assert locker.stdout is not None
        locker.stdout.readline()
        yield


SCENARIOS = (Scenario("locked", "another program holds the store, for a moment or for long", _locked),)

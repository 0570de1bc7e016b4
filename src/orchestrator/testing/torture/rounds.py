"""Rounds: each scenario once, in an order that chance picks, again and again.

What a try does follows from the seed, the scenario and the number of the round alone, so that `--only` repeats it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from orchestrator.testing.harm import Broken
from orchestrator.testing.torture.scenario import Scenario
from orchestrator.testing.torture.tally import Count, Tally
from orchestrator.testing.torture.trial import Trial


class Rounds:
    """The tries of these scenarios, below one folder."""

    def __init__(self, folder: Path, scenarios: Sequence[Scenario], seed: int) -> None:
        self.tally = Tally({scenario.name: Count() for scenario in scenarios})
        self._folder, self._scenarios, self._seed = folder, list(scenarios), seed
        self._expected: dict[str, str] = {}

    def run(self, goes_on: Callable[[], bool], say: Callable[[str], None]) -> None:
        """Try each once, and then until `goes_on` says no."""
        number = 0
        while number == 0 or goes_on():
            order = Random(f"{self._seed} {number}").sample(self._scenarios, len(self._scenarios))
            for scenario in order:
                if number and not goes_on():
                    return
                say(f"round {number + 1}: {scenario.name}")
                self.attempt(scenario, number)
            number += 1

    def attempt(self, scenario: Scenario, number: int) -> None:
        """One try; its folder stays where a promise was broken."""
        chance = Random(f"{self._seed} {scenario.name} {number}")
        trial = Trial(self._folder / f"{number + 1}-{scenario.name}", chance, self._expected)
        try:
            self.tally.went_well(scenario.name, scenario.make(trial))
        except Broken as broken:
            self.tally.went_wrong(scenario.name, broken)
            return
        finally:
            trial.close()
        shutil.rmtree(trial.folder)

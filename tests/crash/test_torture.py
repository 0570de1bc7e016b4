"""Real processes, real faults. `python -m orchestrator.testing.torture --minutes 10` does the same at length.

Here are the kinds that take about a second. That handlers take all memory, hang or flood is tested with the runners;
kills have `test_kill`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.torture.__main__ import main
from orchestrator.testing.torture.catalog import SCENARIOS
from orchestrator.testing.torture.life import EXECUTION_ID
from orchestrator.testing.torture.models import chain
from orchestrator.testing.torture.rounds import Rounds
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.torn import require_harmless
from orchestrator.testing.torture.trial import End, Trial
from orchestrator.testing.torture.witness import Witness

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found through /proc")

CHEAP = (
    "stopped",
    "many-resume",
    "full",
    "read-only",
    "locked",
    "exits",
    "engine-exits",
    "forks",
    "worker-shot",
    "pipe-closed",
    "pipe-full",
    "few-files",
    "held-files",
    "torn-file",
    "torn-log",
    "clock-wrong",
    "clock-jumps",
)


@pytest.mark.parametrize("name", CHEAP)
def test_nothing_is_lost(name: str, tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, [SCENARIOS[name]], seed=1)
    rounds.attempt(SCENARIOS[name], 0)
    assert not rounds.tally.broken
    assert rounds.tally.tried == 1
    assert not list(tmp_path.iterdir()), "a try that went well leaves nothing"


# -- each witness can fail ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """An execution of three steps that has completed, with its witness."""
    trial = Trial(tmp_path_factory.mktemp("torture") / "try", Random(1))
    trial.begin(chain(3, seconds=0.0))
    assert trial.life("run").end().code == 0
    trial.check()
    yield trial
    trial.close()


@pytest.fixture
def story(done: Trial) -> Iterator[Witness]:
    """Its witness, to which a test may add."""
    before = done.witness.path.read_bytes()
    yield done.witness
    done.witness.path.write_bytes(before)


def harm_of(trial: Trial) -> Harm:
    with pytest.raises(Broken) as caught:
        trial.finish()
    return caught.value.harm


def test_the_witness_has_it_that_all_went_well(done: Trial) -> None:
    assert [start.identity for start in done.witness.starts()] == ["s0 1", "s1 1", "s2 1"]
    assert done.witness.known().keys() == {"s0 1", "s1 1", "s2 1"}
    done.finish()


def test_a_success_that_is_gone(done: Trial, story: Witness) -> None:
    story.know({"s3 1": "-"})
    assert harm_of(done) is Harm.LOST


def test_a_value_that_has_changed(done: Trial, story: Witness) -> None:
    story.path.write_text(story.path.read_text().replace(story.known()["s1 1"], "0" * 16))
    assert harm_of(done) is Harm.LOST


def test_a_step_that_began_before_what_it_needs_was_recorded(done: Trial, story: Witness) -> None:
    store, done.store = done.store, done.folder / "empty.db"
    story.path.write_text("s1 1 1\n")
    try:
        assert harm_of(done) is Harm.LOST
    finally:
        done.store = store


def test_a_step_that_ran_again(done: Trial, story: Witness) -> None:
    with story.path.open("a") as file:
        file.write("s1 1 4711\n")
    assert harm_of(done) is Harm.TWICE
    done.stale[4711] = 1  # what a stopped owner had decided before
    done.finish()
    with story.path.open("a") as file:
        file.write("s2 1 4711\n")
    assert harm_of(done) is Harm.TWICE
    del done.stale[4711]


def test_outputs_that_differ(done: Trial) -> None:
    done.unbroken()
    expected, done.expected = done.expected, dict.fromkeys(done.expected, "{}")
    assert harm_of(done) is Harm.LOST
    done.expected = expected


def test_a_fault_that_is_not_told() -> None:
    for end in (End(0, "completed"), End(70, "error: this is a fault of orchestrator itself")):
        with pytest.raises(Broken) as caught:
            require_told(end, (5,), "no room")
        assert caught.value.harm is Harm.UNREPORTED


def test_damage_that_was_used_silently(done: Trial, story: Witness) -> None:
    require_harmless(done, End(0, ""), "nothing")
    story.path.write_text(story.path.read_text().replace(story.known()["s1 1"], "0" * 16))
    with pytest.raises(Broken, match="s1 1") as caught:
        require_harmless(done, End(0, ""), "a byte")
    assert caught.value.harm is Harm.UNREPORTED


def test_a_process_that_is_left(tmp_path: Path) -> None:
    """And what a broken promise leads to: a count, the folder kept, the process ended."""

    def leave(trial: Trial) -> str:
        trial.begin(chain(1, seconds=30.0))
        trial.command("run", "pipeline.yaml", "--id", EXECUTION_ID)
        trial.until(lambda: trial.witness.starts())
        trial.grace_seconds = 0.1
        trial.check()
        return ""

    rounds = Rounds(tmp_path, [Scenario("leaves", "", leave)], seed=1)
    rounds.run(lambda: False, lambda _line: None)
    assert rounds.tally.counts["leaves"].harms == {Harm.LEFT: 1}
    assert (tmp_path / "1-leaves").exists()
    assert "1 left running" in list(rounds.tally.lines())[-1]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(SCENARIOS)
    assert main(["--only", "read-only-new", "--minutes", "0", "--seed", "1"]) == 0
    assert "1 tries of 1 kinds of fault: 0 lost" in capsys.readouterr().out

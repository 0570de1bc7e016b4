"""The rounds with real processes on a few steps: what is counted, and what a failure becomes. Nothing is timed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import machine, process
from benchmarks.contenders import CONTENDERS, LIMIT, ORCHESTRATOR, Contender
from benchmarks.machine import NotOnDiskError
from benchmarks.process import SampleFailedError
from benchmarks.results import Sample
from benchmarks.rounds import Rounds
from benchmarks.workloads import WORKLOADS


def of(name: str) -> Contender:
    return next(contender for contender in CONTENDERS if contender.name == name)


def taken(folder: Path, contenders: list[Contender], *workloads: str, count: int = 1) -> list[Sample]:
    """All samples of small workloads."""
    small = [replace(workload, size=6) for workload in WORKLOADS if workload.key in workloads]
    return list(Rounds(folder).samples(contenders, small, count))


@pytest.mark.parametrize("name", [ORCHESTRATOR, LIMIT])
def test_a_resumed_chain_runs_the_body_that_was_killed_and_no_other(name: str, tmp_path: Path) -> None:
    (sample,) = taken(tmp_path, [of(name)], "resume")
    assert sample.reason == ""
    assert sample.measured["bodies"] == 1


def test_orchestrator_runs_each_workload(tmp_path: Path) -> None:
    samples = taken(tmp_path, [of(ORCHESTRATOR)], "chain", "fan", "many", "carry", "idle")
    assert [(s.workload, s.reason) for s in samples] == [(s.workload, "") for s in samples]
    assert [s.measured["steps"] for s in samples] == [6, 8, 60, 6, 6]
    assert all(s.measured["rows"] and s.measured["raw_commit_seconds"] for s in samples)


def test_what_fails_is_noted_and_not_tried_a_third_time(tmp_path: Path) -> None:
    broken = replace(of(LIMIT), runs={"chain": "no_such_function"})
    samples = taken(tmp_path, [broken], "chain", count=4)
    assert len(samples) == 2
    assert "no attribute 'no_such_function'" in samples[0].reason and not samples[0].measured


def test_a_peer_that_is_not_installed_says_how_it_could_be(tmp_path: Path) -> None:
    for absent in (replace(of(LIMIT), environment="no-such-venv"), replace(of(LIMIT), packages=("no-such-package",))):
        with pytest.raises(SampleFailedError, match="make peers"):
            process.versions(absent)


def test_the_order_turns_round_every_other_round(tmp_path: Path) -> None:
    both = [of(ORCHESTRATOR), of(LIMIT)]
    names = [
        sample.contender for sample in taken(tmp_path, both, "import", "chain", count=2) if sample.workload == "chain"
    ]
    assert names == [ORCHESTRATOR, LIMIT, LIMIT, ORCHESTRATOR]


def test_a_folder_in_memory_is_refused() -> None:
    with pytest.raises(NotOnDiskError, match="--folder"):
        machine.filesystem(Path("/dev/shm"))

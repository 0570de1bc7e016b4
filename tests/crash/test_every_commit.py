"""A cut at every commit: before it and after it. Each resume ends as the unbroken run does, and repeats nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.engine_handlers import WITNESS

from orchestrator import Orchestrator, Pipeline, StepStatus
from orchestrator.storage import open_store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash

HERE = Path(__file__).parents[1]
PIPELINE = """
pipeline: cut
steps:
  - {id: data, call: "engine_handlers:rows"}
  - {id: each, for_each: "${data.rows}", max_parallel: 2, call: "engine_handlers:add_async",
     with: {left: "${item.n}"}, checkpoint: counted}
  - {id: odd, call: "engine_handlers:fail_until", with: {attempt: 2}, retry: {max_attempts: 3, initial_delay: 5}}
  - {id: never, when: "${data.months | length > 5}", call: "engine_handlers:nothing"}
  - {id: shell, run: "echo ${1 + each[0]}"}
  - {id: noted, set: {total: "${each | sum + odd}"}}
  - {id: big, call: "engine_handlers:large", with: {size: 200000}, needs: [noted]}
  - {id: end, call: "engine_handlers:length", with: {data: "${data}"}, needs: [big, shell, never]}
outputs: {total: "${total}", shell: "${shell.stdout | trim}", end: "${end}", never: "${never}"}
"""
WANTED = {"total": 2 + 3 + 4 + 2, "shell": "3", "end": 5, "never": None}


def definition() -> Pipeline:
    return Pipeline.from_canonical(Pipeline.loads(PIPELINE).canonical(), str(HERE))


def succeeded(store_path: Path) -> set[str]:
    with Orchestrator(store_path) as app:
        steps = app.show("x").steps.values() if app.list() else ()
        return {f"{s.key} {s.generation}" for s in steps if s.status is StepStatus.COMPLETED}


def test_every_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WITNESS, str(tmp_path / "unbroken"))
    store = CrashingStore(open_store(str(tmp_path / "whole.db")), at=10**9, when="before")
    with Orchestrator(store, clock=FakeClock()) as app:
        assert app.run(definition(), execution_id="x").outputs == WANTED
    commits = store.commits
    store.close()
    assert commits > 8
    ran_again: Counter[str] = Counter()
    fell = 0
    for when in ("before", "after"):
        for cut in range(1, commits + 1):
            again = _cut(tmp_path / f"{when}-{cut}", cut, when, monkeypatch)
            if again is None:  # a start that waited for its outcome had a commit of its own in the whole run only
                break
            fell += 1
            ran_again += again
    assert fell >= 2 * 8
    assert ran_again, "no cut fell between a handler and its commit: the test proves nothing"


def _cut(folder: Path, cut: int, when: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str] | None:
    """Gives how often a step ran again that had not been recorded; None where there was no such commit."""
    folder.mkdir()
    witness = folder / "witness"
    monkeypatch.setenv(WITNESS, str(witness))
    path = folder / "journal.db"
    inner = open_store(str(path))
    store = CrashingStore(inner, at=cut, when=when)
    app = Orchestrator(store, clock=FakeClock())
    try:
        assert app.run(definition(), execution_id="x").outputs == WANTED
    except SimulatedCrash:
        store.bury()
    else:
        return None
    done = succeeded(path)
    before = witness.read_text().splitlines() if witness.exists() else []
    with Orchestrator(path, clock=FakeClock()) as second:
        result = second.resume("x") if second.list() else second.run(definition(), execution_id="x")
    assert result.outputs == WANTED, (cut, when)
    after = (witness.read_text().splitlines())[len(before) :]
    again = [line for line in after if line.rsplit(" ", 1)[0] in done]
    assert not again, (cut, when, again)
    return Counter(line for line in after if line in before)

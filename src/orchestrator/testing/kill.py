"""The kill harness: real processes, real SIGKILL, thousands of times.

    python -m orchestrator.testing.kill --cuts 1000 --seed 7

A pipeline with fan-out, retries, shell steps and worker processes is started in a process of its own, shot at a random
moment of a chosen phase, and resumed in a new process, which may be shot as well, until one life ends by itself. Then:

- its outputs are those of an unbroken run;
- no step whose success was recorded at a kill has run since, as witnessed by what the handlers appended to a file;
- no child of a killed engine lives on;
- the database is sound.

Prints where the kills fell, and fails where a phase was never hit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.store import Query
from orchestrator.pipelines.model import Pipeline
from orchestrator.status import StepStatus
from orchestrator.storage import open_store
from orchestrator.testing.harm import Broken, Harm
from orchestrator.testing.kill_child import EXECUTION_ID
from orchestrator.testing.left_running import FOLDER, require_none_left
from orchestrator.testing.marks import AIM, Phase, mark, marked
from orchestrator.types import ExecutionId

#: The phases that a run of the harness has to hit.
AIMS = (Phase.RECOVERY, Phase.BEFORE_HANDLER, Phase.IN_HANDLER, Phase.AFTER_HANDLER, Phase.IN_COMMIT)


@dataclass(slots=True)
class Tally:
    """What the harness did."""

    kills: Counter[Phase] = field(default_factory=Counter)
    executions: int = 0
    lives: int = 0

    def missed(self) -> list[Phase]:
        """The phases that no kill hit."""
        return [phase for phase in AIMS if not self.kills[phase]]

    def __str__(self) -> str:
        fell = ", ".join(f"{phase.name.lower()} {self.kills[phase]}" for phase in Phase if self.kills[phase])
        return f"{sum(self.kills.values())} kills over {self.executions} executions ({self.lives} lives): {fell}"


def make_pipeline(chance: random.Random) -> dict[str, Any]:
    """The canonical model of a random pipeline with every kind of step."""
    call = "orchestrator.testing.kill_handlers:"
    count, seconds = chance.randint(3, 8), chance.choice([0.0, 0.002, 0.02])
    body = {"value": "${item}", "seconds": seconds, "flaky": "${item % 3 == 0}"}
    retry = {"max_attempts": 3, "initial_delay": 0.005, "on": ["network"]}
    shell = "echo start; sleep 300 & printf '%s\\n' line-${n}; printf '%s 1 0\\n' shells[${n}] >> witness"
    return {
        "pipeline": "victim",
        "steps": [
            {"id": "first", "call": call + "plain", "with": {"value": 1, "seconds": seconds}},
            {
                "id": "parts",
                "for_each": list(range(count)),
                "max_parallel": chance.randint(1, count),
                "needs": ["first"],
                "call": call + chance.choice(["plain", "waiting"]),
                "with": body,
                "retry": retry,
                "checkpoint": "parted",
            },
            {"id": "shells", "for_each": list(range(chance.randint(1, 3))), "as": "n", "run": shell},
            {
                "id": "worker",
                "call": call + "plain",
                "with": {"value": "${first.value}", "seconds": 0.01},
                "runner": "process",
            },
            {
                "id": "never",
                "when": "${first.value < 0}",
                "call": call + "plain",
                "with": {"value": 0, "seconds": 0},
            },
            {"id": "joined", "call": call + "gather", "with": {"parts": "${parts}", "lines": "${shells}"}},
            {"id": "noted", "set": {"total": "${joined.total + worker.value}"}},
            {"id": "sized", "call": call + "check_size", "with": {"value": "${joined}"}, "retry": retry},
        ],
        "outputs": {
            "total": "${total}",
            "shells": "${joined.shells}",
            "size": "${sized}",
            "never": "${never}",
        },
    }


class Victim:
    """One execution that is killed again and again."""

    def __init__(self, folder: Path, model: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        Pipeline.from_canonical(model, str(folder))  # fails here rather than in the child
        (folder / "pipeline.json").write_text(json.dumps(model))
        self.succeeded: set[str] = set()
        self.witnessed = 0

    def live(self, aim: Phase | None, chance: random.Random) -> Phase | None:
        """One life, shot in the phase `aim`. Gives the phase it was really shot in, None where it ended first."""
        verb = "resume" if self.exists() else "run"
        mark(self.folder, Phase.STARTING)
        command = [sys.executable, "-m", "orchestrator.testing.kill_child", str(self.folder), verb]
        with (self.folder / "stderr").open("ab") as errors:
            child = subprocess.Popen(
                command,
                env={**os.environ, FOLDER: str(self.folder), AIM: aim.name if aim is not None else ""},
                stderr=errors,
            )
        if aim is not None:
            self._shoot(child, aim, chance)
        code = child.wait(timeout=60)
        if code == 0:
            return None
        if code != -signal.SIGKILL:
            raise Broken(
                Harm.LOST,
                f"{self.folder}: the process ended with {code}: {(self.folder / 'stderr').read_text()[-3000:]}",
            )
        return marked(self.folder)

    def _shoot(self, child: subprocess.Popen[bytes], aim: Phase, chance: random.Random) -> None:
        skipped = chance.randint(0, 12)
        delay = chance.random() ** 3 * 0.01
        while child.poll() is None:
            if marked(self.folder) is aim:
                skipped -= 1
                if skipped <= 0:
                    time.sleep(delay * chance.random())
                    child.kill()
                    return

    def exists(self) -> bool:
        """Whether the execution was ever recorded."""
        if not (self.folder / "journal.db").exists():
            return False
        store = open_store(str(self.folder / "journal.db"))
        try:
            return bool(store.find(Query(execution_id=EXECUTION_ID)))
        finally:
            store.close()

    def check_after_kill(self) -> None:
        """Raise Broken where a promise is broken that holds at every moment."""
        require_none_left(self.folder)
        self.check_database()
        self.check_witness()
        if self.exists():
            record = self.record()
            self.succeeded = {
                f"{step.key} {step.generation}"
                for step in record.steps.values()
                if step.status in (StepStatus.COMPLETED, StepStatus.SKIPPED)
            }

    def record(self) -> ExecutionRecord:
        """What the journal says."""
        store = open_store(str(self.folder / "journal.db"))
        try:
            id_ = ExecutionId(EXECUTION_ID)
            return ExecutionRecord.of(id_, entries(store.read(id_)))
        finally:
            store.close()

    def check_witness(self) -> None:
        """No step that had succeeded when the process was last killed has run since."""
        witness = self.folder / "witness"
        lines = witness.read_text().splitlines() if witness.exists() else []
        again = [line for line in lines[self.witnessed :] if line.rpartition(" ")[0] in self.succeeded]
        if again:
            raise Broken(Harm.TWICE, f"{self.folder}: ran again after its success was recorded: {again}")
        self.witnessed = len(lines)

    def check_database(self) -> None:
        """The file is sound."""
        import apsw

        path = self.folder / "journal.db"
        if not path.exists():
            return
        connection = apsw.Connection(str(path))
        try:
            found = list(connection.execute("pragma integrity_check"))
        finally:
            connection.close()
        if found != [("ok",)]:
            raise Broken(Harm.LOST, f"{self.folder}: {found}")


def torture(cuts: int, seed: int, keep: Path, *, say: Any = lambda _line: None) -> Tally:
    """Shoot until `cuts` kills were made. Raises Broken where a promise was broken."""
    chance, tally = random.Random(seed), Tally()
    while sum(tally.kills.values()) < cuts:
        tally.executions += 1
        model = make_pipeline(chance)
        reference = Victim(keep / f"{tally.executions}-unbroken", model)
        if reference.live(None, chance) is not None:
            raise Broken(Harm.LOST, f"{reference.folder}: the unbroken run was killed by somebody else")
        victim = Victim(keep / f"{tally.executions}-killed", model)
        for turn in range(6):
            # Each execution is killed up to five times, then left to end.
            aim = _next_aim(tally, turn, victim, chance) if turn < 5 else None
            tally.lives += 1
            phase = victim.live(aim, chance)
            if phase is None:
                break
            tally.kills[phase] += 1
            victim.check_after_kill()
        require_none_left(victim.folder)
        victim.check_witness()
        victim.check_database()
        want, got = ((v.folder / "outputs.json").read_text() for v in (reference, victim))
        if want != got:
            raise Broken(Harm.LOST, f"{victim.folder}: the outputs differ: {want} unbroken, {got} after kills")
        say(str(tally))
        shutil.rmtree(reference.folder)
        shutil.rmtree(victim.folder)
    return tally


def _next_aim(tally: Tally, turn: int, victim: Victim, chance: random.Random) -> Phase:
    """A phase that is hit too rarely so far, or any."""
    possible = [p for p in AIMS if p is not Phase.RECOVERY or (turn and victim.exists())]
    missed = [p for p in possible if p in tally.missed()]
    return chance.choice(missed or possible)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 1 where a promise was broken or a phase was never hit."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.testing.kill", description=__doc__.split("\n")[0])
    parser.add_argument("--cuts", type=int, default=100, help="how many kills to make (default 100)")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run; chosen and printed where not given")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-kill-"))
    try:
        tally = torture(options.cuts, seed, folder, say=lambda line: print(line, end="\r", flush=True))
    except Broken as broken:
        print(f"\nBROKEN: {broken}")
        return 1
    print(f"{tally}; nothing was lost, nothing ran twice, no child lived on")
    shutil.rmtree(folder)
    if missed := tally.missed():
        print(f"no kill fell {', '.join(p.name.lower() for p in missed)}; make more cuts")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

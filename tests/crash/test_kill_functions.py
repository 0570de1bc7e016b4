"""Real processes that run a durable function, and real SIGKILL at random moments.

`ORCHESTRATOR_KILLS=500 ORCHESTRATOR_SEED=7 python -m pytest tests/crash/test_kill_functions.py --timeout 3600` does the
same at length.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import entries
from orchestrator.journal.store import Query
from orchestrator.status import StepStatus
from orchestrator.storage import open_store
from orchestrator.testing.left_running import FOLDER, require_none_left
from orchestrator.types import ExecutionId

KILLS = int(os.environ.get("ORCHESTRATOR_KILLS", "6"))
SEED = int(os.environ.get("ORCHESTRATOR_SEED", "20261130"))
VICTIM = ExecutionId("victim")

PROGRAM = """
    import asyncio
    import json
    import os
    import time
    from pathlib import Path

    from orchestrator import Orchestrator, current_attempt, flow, pipeline, random, sleep, step, uuid, variables

    HERE = Path(__file__).parent


    def witness() -> int:
        info = current_attempt()
        line = f"{info.idempotency_key}\\n".encode()
        file = os.open(HERE / "witness", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line)
        os.close(file)
        return info.attempt


    @step
    def quick(n: int) -> int:
        witness()
        return n + 1


    @step
    async def fetch(n: int) -> list[int]:
        witness()
        await asyncio.sleep(0.005 * n)
        return [n] * 3


    @step(retry={"max_attempts": 3, "initial_delay": 0.005})
    async def flaky(n: int) -> int:
        if witness() < 3:
            raise ConnectionError("not yet")
        return n * 10


    @step
    def crunch(n: int) -> int:
        witness()
        time.sleep(0.01)
        return n * n


    @step(effect="retry")
    async def pay(n: int) -> str:
        witness()
        return "x" * 70_000 + str(n)


    @step(runner="process")
    def apart(n: int) -> int:
        witness()
        time.sleep(0.02)
        return -n


    @step
    async def fails(n: int) -> None:
        witness()
        raise LookupError(f"no {n}")


    @step
    async def keep(text: str) -> str:
        witness()
        return text


    @pipeline
    async def leaf(n: int) -> int:
        first = await fetch(n)
        return sum(first) + await flaky(n)


    @pipeline
    def plain(n: int) -> int:
        return quick(n) + sum(crunch.map(range(n), max_parallel=2)) + leaf.wait(1)


    @pipeline
    async def trip(n: int) -> list:
        found = [quick(1)]
        found += await asyncio.gather(*(leaf.with_key(i)(i) for i in range(n)))
        found.append(await plain.aio(3))
        await sleep(0.03)
        found += await crunch.amap(range(4), max_parallel=2)
        try:
            await fails(n)
        except LookupError as exc:
            found.append(str(exc))

        async def side(name: str) -> int:
            async with flow(name):
                await sleep(0.01)
                return await apart.aio(2) + sum(await fetch(1))

        found += await asyncio.gather(side("left"), side("right"))
        own = variables()
        own.set_variable("total", len(found))
        drawn = str(uuid())
        found += [await keep(drawn) == drawn, random().random(), own.get_variable("total")]
        return [*found, (await pay(n))[-5:], quick(2)]


    if __name__ == "__main__":
        (HERE / "alive").touch()
        with Orchestrator(HERE / "journal.db", durability="process") as app:
            result = app.run(trip, {"n": 3}, execution_id="victim", wait=True).raise_for_status()
        (HERE / "result").write_text(json.dumps(result.result))
"""


class Victim:
    """One execution that is killed again and again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "trip.py").write_text(textwrap.dedent(PROGRAM))
        self.folder = folder
        self.succeeded: set[str] = set()
        self.seen = 0

    def live(self, chance: random.Random, longest: float | None) -> bool:
        """A life, shot after at most so many seconds; whether it was."""
        (self.folder / "alive").unlink(missing_ok=True)
        command = [sys.executable, "trip.py"]
        if self.exists() and chance.random() < 0.3:
            command = [sys.executable, "-m", "orchestrator", "resume", VICTIM, "--store", "journal.db"]
        log = (self.folder / "log").open("ab")
        environment = {**os.environ, FOLDER: str(self.folder)}
        with log, subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, env=environment) as process:
            if longest is not None:
                self._wait_for_life(process)
                time.sleep(chance.random() * longest)
                process.kill()
            code = process.wait(60)
        if code == -signal.SIGKILL:
            return True
        assert code == 0, (self.folder / "log").read_text()[-3000:]
        return False

    def _wait_for_life(self, process: subprocess.Popen[bytes]) -> None:
        """Until the program is about to run; the command says nothing of that."""
        until = time.monotonic() + (10.0 if "trip.py" in process.args else 0.6)  # type: ignore[operator]  # a list
        while process.poll() is None and time.monotonic() < until and not (self.folder / "alive").exists():
            time.sleep(0.002)

    def exists(self) -> bool:
        """Whether the execution was recorded."""
        return self.record() is not None

    def record(self) -> ExecutionRecord | None:
        """What the journal says."""
        if not (self.folder / "journal.db").exists():
            return None
        store = open_store(str(self.folder / "journal.db"))
        try:
            if not store.find(Query(execution_id=VICTIM)):
                return None
            return ExecutionRecord.of(VICTIM, entries(store.read(VICTIM)))
        finally:
            store.close()

    def check(self) -> None:
        """No step that had ended at the last kill has run since; nothing is left of the dead."""
        require_none_left(self.folder)
        file = self.folder / "witness"
        lines = file.read_text().splitlines() if file.exists() else []
        again = [line for line in lines[self.seen :] if line in self.succeeded]
        assert not again, f"ran again after it was recorded: {again}"
        self.seen = len(lines)
        record = self.record()
        ended = (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED)
        steps = record.steps.values() if record is not None else ()
        self.succeeded = {f"{VICTIM}/{step.key}/{step.generation}" for step in steps if step.status in ended}


@pytest.mark.skipif(sys.platform != "linux", reason="children are looked for through /proc")
@pytest.mark.timeout(60 + 10 * KILLS)
def test_a_function_that_is_killed_comes_to_what_it_would_have_come_to(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    whole = Victim(tmp_path / "whole")
    assert not whole.live(chance, None)
    wanted = json.loads((whole.folder / "result").read_text())
    assert wanted[-5] is True
    kills = executions = 0
    while kills < KILLS:
        executions += 1
        victim = Victim(tmp_path / str(executions))
        for turn in range(6):
            killed = victim.live(chance, 0.45 if turn < 5 and kills < KILLS else None)
            kills += killed
            victim.check()
            if not killed:
                break
        if not (victim.folder / "result").exists():  # the command, which ended it, does not write that
            subprocess.run([sys.executable, "trip.py"], cwd=victim.folder, check=True, timeout=60)
        victim.check()
        assert json.loads((victim.folder / "result").read_text()) == wanted
    print(f"{kills} kills over {executions} executions")

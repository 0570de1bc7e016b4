"""The process that looks at a store which another has written, and says as one line of JSON what that cost.

python -m benchmarks.growth.reading chain FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.growth.meters import Found, metered
from benchmarks.growth.writing import FIRST
from orchestrator import Orchestrator
from orchestrator.journal.store import Query
from orchestrator.types import StepKey

T = TypeVar("T")

#: What takes a millisecond is done this often, and the least counts.
ROUNDS = 7


def read(case: str, folder: Path) -> Found:
    """Open, list, look at one execution, and go on with it where something is left to do."""
    file = folder / "journal.db"
    found, stores = _quickest("open", lambda: Orchestrator(file, durability="process"))
    for store in stores:
        store.close()
    with Orchestrator(file, durability="process") as orchestrator:
        found |= _quickest("list", lambda: orchestrator.list(Query(limit=20)))[0]
        if case in ("chain", "fan"):  # what is read is what grows: once, in a process that has read nothing yet
            found |= metered("read", lambda: orchestrator.show(FIRST))[0]
        else:
            found |= _quickest("read", lambda: orchestrator.show(FIRST))[0]
        if case in ("chain", "fan"):
            spent, result = metered("resume", lambda: orchestrator.resume(FIRST))
            result.raise_for_status()
            found |= spent
        if case == "value":
            output = orchestrator.show(FIRST).steps[StepKey("make")].output
            assert output is not None
            found |= metered("value", lambda: orchestrator.value(output))[0]
        found |= metered("usage", orchestrator.usage)[0]
    return found | {"file_bytes": file.stat().st_size}  # closed: all of the log is back in it


def _quickest(name: str, work: Callable[[], T]) -> tuple[Found, list[T]]:
    """The quickest of several times, and what all of them gave."""
    rounds = [metered(name, work) for _ in range(ROUNDS)]
    return min((found for found, _ in rounds), key=lambda found: found[f"{name}_seconds"]), [made for _, made in rounds]


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1], Path(sys.argv[2]))))

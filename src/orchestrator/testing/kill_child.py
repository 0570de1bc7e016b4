"""The process that the kill harness shoots: runs or resumes one execution and marks its phases.

python -m orchestrator.testing.kill_child FOLDER run|resume
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from orchestrator.app import Orchestrator
from orchestrator.journal.events import Entry
from orchestrator.journal.store import Append, Commit, Lease, OnDone, Owner
from orchestrator.pipelines.model import Pipeline
from orchestrator.storage import open_store
from orchestrator.testing.left_running import FOLDER
from orchestrator.testing.marks import Phase, linger, mark
from orchestrator.types import ExecutionId

EXECUTION_ID = "victim"


class MarkingStore:
    """A store that marks commits and the taking over of an execution; all else passes through."""

    def __init__(self, inner: Any, folder: Path) -> None:
        self._inner, self._folder = inner, folder
        self._queued = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def claim(self, execution_id: ExecutionId, owner: Owner, *, queues: bool = True) -> Lease:
        """Recovery begins: it lasts until the first commit."""
        mark(self._folder, Phase.RECOVERY)
        linger(Phase.RECOVERY)
        return self._inner.claim(execution_id, owner, queues=queues)  # type: ignore[no-any-return]  # passes through

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        """A handler has returned, or a start is to be written; nothing of it is durable yet."""
        mark(self._folder, Phase.AFTER_HANDLER)
        linger(Phase.AFTER_HANDLER)
        self._queued = True
        return self._inner.commit(append, on_done)  # type: ignore[no-any-return]  # passes through

    def flush(self, *, blocking: bool = True) -> bool:
        """The transaction itself."""
        if not self._queued:
            return self._inner.flush(blocking=blocking)  # type: ignore[no-any-return]  # passes through
        self._queued = False
        mark(self._folder, Phase.IN_COMMIT)
        return self._inner.flush(blocking=blocking)  # type: ignore[no-any-return]  # passes through


def main(folder: Path, verb: str) -> None:
    """Run or resume to the end; the outputs go to `outputs.json`."""
    os.environ[FOLDER] = str(folder)

    def before_the_next(_entry: Entry) -> None:
        mark(folder, Phase.BEFORE_HANDLER)
        linger(Phase.BEFORE_HANDLER)

    store = MarkingStore(open_store(str(folder / "journal.db")), folder)
    with Orchestrator(store, on_event=[before_the_next]) as orchestrator:
        if verb == "run":
            pipeline = Pipeline.from_canonical(json.loads((folder / "pipeline.json").read_text()), str(folder))
            result = orchestrator.run(pipeline, execution_id=EXECUTION_ID)
        else:
            result = orchestrator.resume(EXECUTION_ID)
        result.raise_for_status()
    store.close()
    mark(folder, Phase.ENDED)
    (folder / "outputs.json").write_text(json.dumps(result.outputs, sort_keys=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

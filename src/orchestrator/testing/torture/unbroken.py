"""What comes out where nothing goes wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.app import Orchestrator
from orchestrator.pipelines.model import Pipeline
from orchestrator.testing.left_running import FOLDER
from orchestrator.testing.torture.models import Model


def unbroken(model: Model, folder: Path) -> str:
    """The outputs of a run in this process and in memory, with handlers that behave, as JSON."""
    folder.mkdir()
    (folder / "good").touch()
    with _at(folder), Orchestrator("memory:") as orchestrator:
        result = orchestrator.run(Pipeline.from_canonical(model, str(folder))).raise_for_status()
    return json.dumps(result.outputs, sort_keys=True, default=str)


@contextmanager
def _at(folder: Path) -> Iterator[None]:
    before = os.environ.get(FOLDER)
    os.environ[FOLDER] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[FOLDER]
        else:
            os.environ[FOLDER] = before

"""A runner in a temporary folder, watched for what it leaves behind."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestrator.execution.driver import PythonCall, Work
from orchestrator.journal.store import Note
from orchestrator.runners.local import LocalRunner
from orchestrator.testing.runner_contract import leaving_nothing, make_attempt, sh


class Bench:
    """A runner, a folder for handlers, and the notes that came."""

    def __init__(self, runner: LocalRunner, folder: Path) -> None:
        self.runner, self.folder = runner, folder
        self.notes: list[Note] = []

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(text))

    def handlers(self, text: str) -> None:
        self.write("handlers.py", text)

    async def do(self, work: Work, **options: Any) -> Any:
        return await self.runner.invoke(make_attempt(work, self.folder, notes=self.notes, **options))

    async def call(self, name: str, *, process: bool = False, timeout: float | None = None, **arguments: Any) -> Any:
        return await self.do(PythonCall(f"handlers:{name}", arguments, process), timeout_seconds=timeout)

    async def sh(self, text: str, *, timeout: float | None = None, **options: Any) -> Any:
        return await self.do(sh(text, self.folder, **options), timeout_seconds=timeout)

    def texts(self, kind: str) -> list[str]:
        return [note.text for note in self.notes if note.kind == kind]


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(**options: Any) -> Bench:
        options = {"thread_grace_seconds": 0.3, "kill_grace_seconds": 0.3, **options}
        return Bench(LocalRunner(options.pop("owner", f"tests-{uuid4()}"), **options), tmp_path)

    return make


@pytest.fixture
async def bench(make_bench: Callable[..., Bench]) -> AsyncIterator[Bench]:
    async with leaving_nothing():
        bench = make_bench()
        yield bench
        await bench.runner.close()

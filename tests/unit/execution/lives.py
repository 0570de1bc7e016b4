"""One journal over several lives of an engine, and what the handlers of all of them left."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.verb_handlers import FOLDER

from orchestrator import Orchestrator, Pipeline
from orchestrator.journal.store import Append, Commit, OnDone
from orchestrator.storage import open_store
from orchestrator.testing.clock import FakeClock
from orchestrator.testing.crashing_store import CrashingStore, SimulatedCrash, When

HERE = Path(__file__).parents[2]


def pipeline(steps: str, outputs: str = "", inputs: str = "", more: str = "") -> Pipeline:
    """A pipeline whose handlers are those of `verb_handlers`: `do: work` stands for `call: verb_handlers:work`."""

    def part(name: str, text: str) -> str:
        return f"{name}:\n{textwrap.indent(textwrap.dedent(text).strip(), '  ')}\n" if text else ""

    text = "pipeline: p\n" + textwrap.dedent(more) + part("inputs", inputs) + part("steps", steps)
    text = (text + part("outputs", outputs)).replace("do: ", "call: verb_handlers:")
    return Pipeline.from_canonical(Pipeline.loads(text).canonical(), str(HERE))


class Mortal(CrashingStore):
    """Dies at the next commit once there is a file `die`."""

    def __init__(self, folder: Path, when: When) -> None:
        super().__init__(open_store(str(folder / "journal.db"), durability="process"), when=when)
        self._die = folder / "die"

    def commit(self, append: Append, on_done: OnDone | None = None) -> Commit:
        if self._die.exists():
            self._die.unlink()
            self._at = self.commits + 1
        return super().commit(append, on_done)


class Lives:
    """One journal and one clock. `life` opens an engine, `dying` one that dies of a handler's word."""

    def __init__(self, folder: Path, *, jumping: bool = True) -> None:
        self.folder, self.clock = folder, FakeClock(jumping=jumping)

    @contextmanager
    def life(self, **options: Any) -> Iterator[Orchestrator]:
        options.setdefault("clock", self.clock)
        with Orchestrator(self.folder / "journal.db", durability="process", **options) as app:
            yield app

    def dying(self, do: Callable[[Orchestrator], Any], when: When = "before") -> None:
        """A life that does this and dies of it."""
        self.touch("mortal")
        store = Mortal(self.folder, when)
        with pytest.raises(SimulatedCrash):
            do(Orchestrator(store, clock=self.clock))
        store.bury()
        store._inner.close()

    def touch(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def witnessed(self) -> list[str]:
        """What was witnessed since this was asked last."""
        path = self.folder / "witness"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def ran(self) -> list[str]:
        """The keys of what ran since, in order of the keys."""
        return sorted(line.split()[0] for line in self.witnessed())


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lives:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return Lives(tmp_path)

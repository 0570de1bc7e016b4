"""What is under way: for each step or item the attempt that runs, the wait for the next one, or a recovery.

A step has one place here: what its recovery runs for it (`fetch/mirror`) stands in the place of `fetch`, and leaves it
to `fetch` when it has ended, which goes on to the next alternative or to its own end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.cli.keys import owner_of, row_of
from orchestrator.cli.rows import Doing
from orchestrator.cli.words import one_line
from orchestrator.journal.fold import is_part
from orchestrator.journal.store import Note
from orchestrator.types import StepKey

#: A longer line of output than this is of no use beside a step.
_LINE_CHARACTERS = 300


@dataclass(slots=True)
class UnderWay:
    """The attempts under way, by row. Not thread-safe."""

    _rows: dict[StepKey, dict[StepKey, Doing]] = field(default_factory=dict)

    def of_row(self, row: StepKey) -> Mapping[StepKey, Doing]:
        """By step or item, in the order in which they began."""
        return self._rows.get(row, {})

    def of(self, key: StepKey) -> Doing | None:
        """What is under way for a step, or by a part of it: for `fetch` also what runs for it."""
        doing = self.of_row(row_of(key)).get(owner_of(key))
        return doing if doing is None or key in (doing.key, owner_of(key)) else None

    def start(self, key: StepKey, attempt: int, at: float, recovery: str = "") -> Doing:
        """An attempt began; what a note said of it before stays."""
        told = self.of(key)
        early = told is not None and told.key == key and told.attempt == attempt and told.due_at is None
        return self._put(key, replace(told, since=at) if told and early else Doing(key, attempt, at, recovery=recovery))

    def wait(self, key: StepKey, attempt: int, at: float, text: str, due_at: float, recovery: str = "") -> Doing:
        """An attempt failed, with this error, and the next one is due."""
        text = one_line(text)[:_LINE_CHARACTERS]
        return self._put(key, Doing(key, attempt, at, text=text, due_at=due_at, recovery=recovery))

    def recover(self, key: StepKey, attempt: int, at: float, recovery: str) -> Doing:
        """Another way out is taken."""
        return self._put(key, Doing(key, attempt, at, recovery=recovery))

    def note(self, note: Note, recovery: str = "") -> Doing:
        """An attempt said something, perhaps before its start is recorded."""
        key = StepKey(note.step_key)
        mine = self.of(key)
        if mine is None or mine.key != key or mine.attempt != note.attempt or mine.due_at is not None:
            mine = Doing(key, note.attempt, note.at, recovery=recovery)
        fraction = mine.fraction if note.fraction is None else note.fraction
        text = one_line(note.text)[:_LINE_CHARACTERS] or mine.text
        return self._put(key, replace(mine, text=text, fraction=fraction))

    def end(self, key: StepKey) -> None:
        """The attempt is over, and no other one follows."""
        mine = self.of(key)
        if mine is None:
            return
        if is_part(key):
            self._put(key, Doing(owner_of(key), mine.attempt, mine.since, recovery=mine.recovery))
        else:
            del self._rows[row_of(key)][key]

    def drop(self, renewed: Callable[[StepKey], bool]) -> None:
        """Forget what belongs to the steps that begin anew."""
        for row in self._rows.values():
            for key in [key for key in row if renewed(key)]:
                del row[key]

    def clear(self) -> None:
        """Nothing is under way."""
        self._rows.clear()

    def _put(self, key: StepKey, doing: Doing) -> Doing:
        self._rows.setdefault(row_of(key), {})[owner_of(key)] = doing
        return doing

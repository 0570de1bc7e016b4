"""What is under way: for each step or item the attempt that runs, the wait for the next one, or a recovery.

A step has one place here: what its recovery runs for it (`fetch/mirror`) stands in the place of `fetch`, and leaves it
to `fetch` when it has ended, which goes on to the next alternative or to its own end. What is under way is also found
by the steps around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.cli.rows import Doing
from orchestrator.cli.words import one_line
from orchestrator.journal.keys import owners_of
from orchestrator.journal.store import Note
from orchestrator.types import StepKey

#: A longer line of output than this is of no use beside a step.
_LINE_CHARACTERS = 300


@dataclass(slots=True)
class UnderWay:
    """The attempts under way. `home` says in whose place a key stands. Not thread-safe."""

    home: Callable[[StepKey], StepKey]
    #: A step -> the attempts under way of it and inside of it, by their places.
    _inside: dict[StepKey, dict[StepKey, Doing]] = field(default_factory=dict)

    def of_row(self, row: StepKey) -> Mapping[StepKey, Doing]:
        """What is under way of a step and inside of it, by place, in the order in which it began."""
        return self._inside.get(row, {})

    def of(self, key: StepKey) -> Doing | None:
        """What is under way for a step, or by a part of it: for `fetch` also what runs for it."""
        home = self.home(key)
        doing = self.of_row(home).get(home)
        return doing if doing is None or key in (doing.key, home) else None

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
        home = self.home(key)
        if home != key:
            self._put(key, Doing(home, mine.attempt, mine.since, recovery=mine.recovery))
        else:
            self._remove(key)

    def drop(self, renewed: Callable[[StepKey], bool]) -> None:
        """Forget what belongs to the steps that begin anew."""
        for key in {key for inside in self._inside.values() for key in inside if renewed(key)}:
            self._remove(key)

    def clear(self) -> None:
        """Nothing is under way."""
        self._inside.clear()

    def _put(self, key: StepKey, doing: Doing) -> Doing:
        home = self.home(key)
        for owner in (home, *owners_of(home)):
            self._inside.setdefault(owner, {})[home] = doing
        return doing

    def _remove(self, home: StepKey) -> None:
        for owner in (home, *owners_of(home)):
            inside = self._inside.get(owner, {})
            inside.pop(home, None)
            if not inside:
                self._inside.pop(owner, None)

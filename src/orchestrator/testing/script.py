"""Handlers that do as a test says: they give a value, fail, or fail twice and then give one; and who was called.

A `Script` stands around the real runner: `Orchestrator(store, runner=Script({"fetch": fails(2, TimeoutError)}))`. Its
outcomes go by the number of the attempt, not by the count of calls, so that a life after a crash sees the same.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from orchestrator.execution.driver import Attempt, PythonCall, Runner, Work
from orchestrator.journal.keys import without_numbers

#: What stands behind the name of a step of a durable function: its number, or its own key.
_BEHIND_NAMES = re.compile(r"#\d+(?=$|[/\[])|:[^/]*")


class _Real:
    def __repr__(self) -> str:
        return "REAL"


#: The outcome of an attempt that the step's own handler is to make.
REAL: Final = _Real()


@dataclass(frozen=True, slots=True)
class Returns:
    """The outcome of an attempt that gives this value, whatever it is: also a list, an exception or a function."""

    value: Any


def returns(value: Any) -> Returns:
    """Give this value, also where it is a list, an exception or a function, which would be something else bare."""
    return Returns(value)


def fails(times: int, exception: BaseException | type[BaseException], then: Any = REAL) -> list[Any]:
    """Fail the first attempts so, then do `then`: any outcome, by default what the step's own handler does."""
    return [*[exception] * times, then]


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt that was made: of which step, with which arguments (of a command: `argv` and `env`).

    `positional` are the arguments without names, which steps of durable functions may have.
    """

    key: str
    generation: int
    attempt: int
    arguments: Mapping[str, Any]
    positional: Sequence[Any]
    idempotency_key: str
    scripted: bool


class NotScriptedError(AssertionError):
    """A step was to run of which the script says nothing, and it says what may run (`only=True`)."""

    def __init__(self, key: str, known: Sequence[str]) -> None:
        self.key, self.known = key, known
        names = ", ".join(known) or "nothing"
        super().__init__(f"step {key!r} is not scripted, and only what is may run (scripted: {names})")


class Script:
    """What the handlers of steps are to do instead of their work.

    `outcomes` go by a step's key (`months[3]`) or by its name without numbers (`months`); the key comes first. An
    outcome is a value; an exception (or a class of one), which is raised; a function, which is called with the step's
    arguments as a handler is; `REAL`, the step's own handler; or a list of these, one per attempt, of which the last
    stays. `returns` gives a value that would be one of these.

    A step that has no outcome runs for real; with `only` it fails with NotScriptedError. Steps that call nothing
    (`set`, `wait`, `approve`, blocks) are not concerned. Hand it to an Orchestrator as its `runner`.
    """

    def __init__(self, outcomes: Mapping[str, Any] | None = None, *, only: bool = False) -> None:
        self.outcomes: dict[str, Any] = dict(outcomes or {})
        self.only = only
        #: Every attempt that was made, in order, scripted or not.
        self.calls: list[Call] = []
        self._lock = threading.Lock()

    def __call__(self, runner: Runner) -> Runner:
        """The runner, scripted."""
        return _ScriptedRunner(self, runner)

    def calls_of(self, step: str) -> list[Call]:
        """The attempts of a step, by its key or its name."""
        with self._lock:
            return [call for call in self.calls if step in names_of(call.key)]

    @property
    def unused(self) -> list[str]:
        """The names in `outcomes` that no attempt has asked for: misspelt, or never reached."""
        used = {name for call in self.calls for name in names_of(call.key)}
        return [name for name in self.outcomes if name not in used]

    def _outcome(self, attempt: Attempt) -> Any:
        """What this attempt is to come to."""
        name = next((name for name in names_of(attempt.step_key) if name in self.outcomes), None)
        if name is None:
            return NotScriptedError(attempt.step_key, list(self.outcomes)) if self.only else REAL
        outcome = self.outcomes[name]
        if isinstance(outcome, list):
            return outcome[min(attempt.attempt, len(outcome)) - 1] if outcome else REAL
        return outcome

    def _note(self, attempt: Attempt, scripted: bool) -> None:
        key, number = attempt.step_key, attempt.attempt
        given, positional = _arguments_of(attempt.work)
        call = Call(key, attempt.generation, number, given, positional, attempt.idempotency_key, scripted)
        with self._lock:
            self.calls.append(call)


def names_of(key: str) -> list[str]:
    """What a step may be called in a script: its key, its name, its name without the key or number of one call."""
    name = without_numbers(key)  # type: ignore[arg-type]  # a step's key, or what a person calls it
    return list(dict.fromkeys((key, name, _BEHIND_NAMES.sub("", name))))


class _ScriptedRunner:
    """A runner that does what a script says, and leaves the rest to the one below."""

    def __init__(self, script: Script, runner: Runner) -> None:
        self._script, self._runner = script, runner

    def invoke(self, attempt: Attempt) -> Awaitable[Any]:
        """Make the attempt come to what is scripted for it."""
        return self._runner.invoke(self._scripted(attempt, _come_to))

    def perform(self, attempt: Attempt, keep_alive: Callable[[], None]) -> Any:
        """The same for one that is waited for in place."""
        return self._runner.perform(self._scripted(attempt, _come_to_at_once), keep_alive)

    def _scripted(self, attempt: Attempt, come_to: Callable[[Any], Any]) -> Attempt:
        """The attempt with what stands for its work, which gives or raises its outcome by `come_to`."""
        outcome = self._script._outcome(attempt)
        self._script._note(attempt, outcome is not REAL)
        if outcome is REAL:
            return attempt
        work = attempt.work
        call = PythonCall(f"script:{attempt.step_key}", {})
        if not callable(outcome) or _is_exception(outcome):
            call = replace(call, function=partial(come_to, outcome))
        elif isinstance(work, PythonCall):
            call = replace(work, function=outcome, process=False)
        else:  # a command has no arguments
            call = replace(call, function=outcome)
        return replace(attempt, work=call)

    def interrupt(self) -> None:
        """As the runner below."""
        self._runner.interrupt()

    async def close(self) -> None:
        """As the runner below."""
        await self._runner.close()


def _arguments_of(work: Work) -> tuple[Mapping[str, Any], Sequence[Any]]:
    if isinstance(work, PythonCall):
        return dict(work.arguments), tuple(work.positional)
    return {"argv": work.argv, "env": work.env}, ()


def _is_exception(outcome: Any) -> bool:
    return isinstance(outcome, BaseException) or (isinstance(outcome, type) and issubclass(outcome, BaseException))


async def _come_to(outcome: Any) -> Any:
    """On the loop, so that the order of what happens does not depend on threads."""
    return _come_to_at_once(outcome)


def _come_to_at_once(outcome: Any) -> Any:
    if _is_exception(outcome):
        raise outcome
    return outcome.value if isinstance(outcome, Returns) else outcome

"""What a program can come to, and whether what it gave is that: computed without any engine.

`outcomes` says how a program may end: it goes on ("pass"), it returns ("return"), or it fails. It may fail in more ways
than one where tasks of it race, or where a deadline may pass. `Checker` follows a program beside what it gave. What no
program settles (which signal came, what a person said, which call ended first) is taken from the journal, and must be
what the program was told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.machine.flow.results import Wrong
from tests.machine.flow.story import Story
from tests.machine.functions.running import Program, Seen

#: A type, and the texts that may be in it.
Failure: TypeAlias = tuple[str, frozenset[str]]
Outcome: TypeAlias = str | Failure
PASS, RETURN = "pass", "return"
_TRIES = {"retried": 3, "quick_retried": 3}
_LATE: Failure = ("DeadlineError", frozenset({"DeadlineError"}))


def outcomes(body: Program) -> set[Outcome]:
    """How a program may end."""
    found: set[Outcome] = set()
    for statement in body:
        of_this = _outcomes(statement)
        found |= of_this - {PASS}
        if PASS not in of_this:
            return found
    return found | {PASS}


def failures(body: Program) -> set[Failure]:
    """How it may fail."""
    return {found for found in outcomes(body) if not isinstance(found, str)}


def fits(told: list[Any], possible: Iterable[Failure]) -> bool:
    """Whether a failure (see `running.failure`) is one of these."""
    return any(kind == told[0] and told[1] and set(told[1]) <= texts for kind, texts in possible)


def _boom(number: Any) -> Failure:
    return ("Boom", frozenset({f"boom {number}"}))


def _outcomes(statement: dict[str, Any]) -> set[Outcome]:
    match statement["do"]:
        case "step":
            return {PASS} if _goes_well(statement) or statement["how"] == "skipped" else {_boom(statement["id"])}
        case "map":
            fails = [i for i in statement["fails"] if i < statement["items"]]
            if statement["failures"] == "collect" or not fails:
                return {PASS}
            return {_boom(f"{statement['id']}.{index}") for index in fails}
        case "child":
            found = outcomes(statement["body"])
            return {PASS if outcome == RETURN else outcome for outcome in found}
        case "all":
            return _outcomes_of_all(statement)
        case "signal":
            return {PASS} if statement["timeout"] is None or "default" in statement else {PASS, _LATE}
        case "approve":
            return {PASS} if statement["timeout"] is None or statement["default"] else {PASS, _LATE}
        case "try":
            return _outcomes_of_try(statement)
        case "raise":
            return {_boom(statement["id"])}
        case "return":
            return {RETURN}
        case _:
            return {PASS}


def _outcomes_of_all(statement: dict[str, Any]) -> set[Outcome]:
    found: set[Outcome] = {PASS}
    texts: frozenset[str] = frozenset()
    for branch in statement["branches"]:
        of_branch = outcomes(branch["body"])
        if not of_branch & {PASS, RETURN}:
            found.discard(PASS)
        for failed in failures(branch["body"]):
            found.add(failed)
            texts |= failed[1]
    if statement["how"] == "collect":
        return {PASS}
    if statement["how"] == "group" and texts:
        return (found & {PASS}) | {("ExceptionGroup", texts)}
    return found


def _outcomes_of_try(statement: dict[str, Any]) -> set[Outcome]:
    found = outcomes(statement["body"])
    failed = failures(statement["body"])
    if statement["catch"] is not None and failed:
        found = (found - failed) | outcomes(statement["catch"])
    return found  # clean-up ends well


def _goes_well(statement: dict[str, Any]) -> bool:
    return bool(statement["fail"] < _TRIES.get(statement["how"].removesuffix("_aio"), 1))


@dataclass
class Checker:
    """Follows a program beside what it gave. `flow` is the function's key, `prefix` what names begin with there."""

    story: Story
    variables: dict[str, Any] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)
    flow: str = ""
    prefix: str = ""
    names: Counter[str] = field(default_factory=Counter)

    def whole(self, body: Program, seen: Seen) -> None:
        """A program that ended well. Raises Wrong."""
        if not outcomes(body) & {PASS, RETURN}:
            raise Wrong(f"it ended well, and cannot: {outcomes(body)}")
        self._body(body, seen, whole=True)

    def _inside(self, flow: str) -> Checker:
        return Checker(self.story, self.variables, self.drawn, flow)

    def _branch(self, name: str) -> Checker:
        return Checker(self.story, self.variables, self.drawn, self.flow, f"{self.prefix}{name}:", self.names)

    def _key(self, name: str) -> str:
        full = self.prefix + name
        self.names[full] += 1
        count = self.names[full]
        taken = full if count == 1 else f"{full}#{count}"
        return f"{self.flow}/{taken}" if self.flow else taken

    def _body(self, body: Program, seen: Seen, whole: bool) -> None:
        """Those statements that were begun; with `whole` all of them, up to the `return`."""
        for statement, gave in zip(body, seen, strict=False):
            self._statement(statement, gave)
        short = len(seen) < len(body)
        if whole and short and not (seen and RETURN in _outcomes(body[len(seen) - 1])):
            raise Wrong(f"of {len(body)} statements, {len(seen)} were run")

    def _statement(self, statement: dict[str, Any], gave: dict[str, Any]) -> None:
        number = statement["id"]
        match statement["do"]:
            case "step":
                name = statement["how"].removesuffix("_aio")
                key = self._key(f"{name}:{number}" if statement["keyed"] else name)
                wanted = "skipped" if name == "skipped" and statement["fail"] else key
                self._same(statement, gave, wanted)
            case "map":
                self._map(statement, gave)
            case "child":
                key = self._key(f"{statement['how']}:{number}" if statement["keyed"] else statement["how"])
                if "value" in gave:
                    self._inside(key)._body(statement["body"], gave["value"], whole=True)
            case "all":
                self._all(statement, gave)
            case "completed":
                self._completed(statement, gave)
            case "try":
                self._try(statement, gave)
            case "late":
                self._key("hangs")
                self._same(statement, gave, "late")
            case "sleep":
                self._key("sleep")
            case "signal":
                self._signal(statement, gave, self._key(f"signal:{statement['name']}"))
            case "approve":
                self._approve(statement, gave, self._key("approve"))
            case "back":
                self._key(f"checkpoint:c{number}")
                self._body(statement["body"], gave["body"], whole=True)
                if gave["generation"] != statement["until"]:
                    raise Wrong(
                        f"{number} was run {gave['generation']} times, and should be {statement['until']} times"
                    )
            case "set":
                self._key(f"set:{statement['name']}")
                self.variables[statement["name"]] = statement["value"]
            case "get":
                self._same(statement, gave, self.variables.get(statement["name"]))
            case "patched":
                self._key(f"patched:p{number}")
                self._same(statement, gave, True)
            case "draw":
                self._draw(gave)

    def _same(self, statement: dict[str, Any], gave: dict[str, Any], wanted: Any) -> None:
        if "value" in gave and gave["value"] != wanted:
            raise Wrong(f"statement {statement['id']} gave {gave['value']!r}, and should {wanted!r}")

    def _map(self, statement: dict[str, Any], gave: dict[str, Any]) -> None:
        key = self._key(f"{statement['how']}:{statement['id']}")
        good = [[f"{key}[{index}]", index] for index in range(statement["items"])]
        if statement["failures"] == "stop":
            self._same(statement, gave, good)
            return
        fails = statement["fails"]
        wanted = [[False, None] if index in fails else [True, value] for index, value in enumerate(good)]
        self._same(statement, gave, wanted)

    def _all(self, statement: dict[str, Any], gave: dict[str, Any]) -> None:
        if "value" not in gave:
            return
        failed = gave.get("failed", [None] * len(statement["branches"]))
        for branch, inside, error in zip(statement["branches"], gave["value"], failed, strict=True):
            self._branch(f"b{branch['id']}")._body(branch["body"], inside, whole=error is None)
            if error is not None and not fits(error, failures(branch["body"])):
                raise Wrong(f"branch {branch['id']} failed with {error}")

    def _completed(self, statement: dict[str, Any], gave: dict[str, Any]) -> None:
        keys = [(self._key(f"work:{call['id']}"), call) for call in statement["calls"]]
        keys.sort(key=lambda found: self.story.ended_at(found[0]))
        wanted = [["Boom", [f"boom {call['id']}"]] if call["fail"] else key for key, call in keys]
        self._same(statement, gave, wanted)

    def _try(self, statement: dict[str, Any], gave: dict[str, Any]) -> None:
        self._body(statement["body"], gave["body"], whole=False)
        caught = gave.get("caught")
        if caught is not None:
            if not fits(caught, failures(statement["body"])):
                raise Wrong(f"statement {statement['id']} caught {caught}: {failures(statement['body'])}")
            self._body(statement["catch"], gave["catch"], whole=False)
        if statement["tidy"] is not None:
            self._body(statement["tidy"], gave["tidy"], whole=True)

    def _signal(self, statement: dict[str, Any], gave: dict[str, Any], key: str) -> None:
        taken = self.story.taken(key)
        if "value" in gave and taken is None and "default" not in statement:
            raise Wrong(f"{key} was told {gave['value']}, and took nothing")
        self._same(statement, gave, statement.get("default") if taken is None else self.story.value(taken.payload))

    def _approve(self, statement: dict[str, Any], gave: dict[str, Any], key: str) -> None:
        step = self.story.step(key)
        waits = step.waiting_for if step is not None else None
        if waits is not None and waits.over == "answer":
            self._same(statement, gave, [waits.decision, waits.by])
        else:
            self._same(statement, gave, [statement["default"], None])

    def _draw(self, gave: dict[str, Any]) -> None:
        for drawn in gave["value"][:2]:
            if drawn in self.drawn:
                raise Wrong(f"the id {drawn} was given twice")
            self.drawn.add(drawn)

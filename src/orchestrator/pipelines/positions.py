"""Where each node of a YAML text stands, and how findings about nodes become faults with a line and a caret.

A rule that finds something wrong knows a *path* (`("steps", 2, "with", "rows")`), never a line: so the same rules
serve a pipeline that was built in Python. A `Finding` is that; a `Fault` is what the reader sees.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.errors import Fault, PipelineFileError
from orchestrator.pipelines.wording import Path, did_you_mean, path_text

#: What the YAML parser counts as the end of a line.
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

#: Faults of one file that are shown; a file with more is broken in one of the ways that the first show.
MOST_FAULTS = 100
#: Names compared for the hints of one file, so that a message takes no longer than the check.
_HINT_BUDGET = 4_000


def place_after(text: str) -> tuple[int, int]:
    """Line and column, from 1, of what follows this text."""
    lines = _LINE_BREAK.split(text)
    return len(lines), len(lines[-1]) + 1


class Spot(NamedTuple):
    """A node: where it begins and ends (counted from 0), and its children."""

    line: int
    column: int
    end_line: int
    end_column: int
    children: dict[str, tuple[int, int, Spot]] | list[Spot] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at `path`. With `at_key` the key is at fault, else its value.

    `placeholder` and `offset` point at one `${…}` inside a text; `name` and `known` give the hint where `hint` is
    empty; `lacks` is the key that is missing at `path`.
    """

    path: Path
    message: str
    at_key: bool = False
    placeholder: str = ""
    offset: int = 0
    name: str = ""
    known: Collection[object] = ()
    hint: str = ""
    lacks: str = ""


class Positions:
    """The lines of a text and the tree of its nodes.

    `members` are the pipelines that stand in other files, or elsewhere in this one: for each the positions of its file,
    and its place there. What is below `("pipelines", name)` is looked up in the member of that name.
    """

    def __init__(
        self,
        file: str,
        lines: Sequence[str],
        root: Spot | None = None,
        members: Mapping[str, tuple[Positions, Path]] | None = None,
    ) -> None:
        self.file, self._lines, self._root, self._members = file, lines, root, members or {}

    @classmethod
    def of_text(cls, file: str, text: str) -> Positions:
        """The lines of a text of which no node is known yet."""
        return cls(file, _LINE_BREAK.split(text))

    def rooted(self, root: Spot | None) -> Positions:
        """The same lines, with the tree of nodes."""
        return Positions(self.file, self._lines, root, self._members)

    def with_members(self, members: Mapping[str, tuple[Positions, Path]]) -> Positions:
        """The same, with the positions of other pipelines."""
        return Positions(self.file, self._lines, self._root, members)

    def home(self, path: Path) -> tuple[Positions, Path]:
        """The positions of the file in which the node at `path` stands, and its path there."""
        member = self._members.get(str(path[1])) if len(path) > 1 and path[0] == "pipelines" else None
        return (member[0], (*member[1], *path[2:])) if member else (self, path)

    def within(self, line: int, column: int) -> tuple[int, int]:
        """The place, or the end of the text where that has no such line: a parser may see one behind it."""
        return (line, column) if line <= len(self._lines) else (len(self._lines), len(self._lines[-1]) + 1)

    def line(self, number: int) -> str:
        """The text of a line, counted from 1; empty where there is none."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def of(self, path: Path, *, at_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the node at `path`, or of the deepest node above it that there is.

        Both are 0 where there is no text.
        """
        if not self._lines:
            return 0, 0
        spot, key = self._find(path)
        line, column = key if at_key and key else (spot.line, spot.column) if spot else (0, 0)
        return line + 1, column + 1

    def of_placeholder(self, path: Path, placeholder: str, offset: int) -> tuple[int, int]:
        """Line and column of the `${…}` at `offset` of the text at `path`.

        Of the text itself where the source does not show the placeholder as it stands (escapes, folded lines).
        """
        spot, _ = self._find(path)
        if spot is None:
            return self.of(())
        near = [(abs(there - offset), line, column) for line, column, there in self._occurrences(spot, placeholder)]
        _, line, column = min(near, default=(0, spot.line, spot.column))
        return line + 1, column + 1

    def _occurrences(self, spot: Spot, placeholder: str) -> Iterator[tuple[int, int, int]]:
        """Each place where the source of a text shows a placeholder: line, column, about which offset of the text."""
        lines = self._lines[spot.line : spot.end_line + 1]
        is_block = lines[0][spot.column : spot.column + 1] in ("|", ">")
        first = 1 if is_block else 0
        start, before = spot.column, 0
        for count, line in enumerate(lines[first:], first):
            if count == 1 or (count > 1 and not is_block):
                start = len(line) - len(line.lstrip())
            column = line.find(placeholder, start)
            while column >= 0:
                yield spot.line + count, column, before + column - start
                column = line.find(placeholder, column + 1)
            before += max(0, len(line) - start) + 1

    def _find(self, path: Path) -> tuple[Spot | None, tuple[int, int] | None]:
        spot, key = self._root, None
        for part in path:
            children = spot.children if spot else None
            if isinstance(children, dict) and isinstance(part, str) and part in children:
                *mark, spot = children[part]
                key = (mark[0], mark[1])
            elif isinstance(children, list) and isinstance(part, int) and part < len(children):
                spot, key = children[part], None
            else:
                break
        return spot, key

    def fault(self, line: int, column: int, message: str, path: str = "", hint: str = "") -> Fault:
        """A fault at a position counted from 1."""
        return Fault(message, line, column, self.line(line), path, hint)


def report(
    findings: Iterable[Finding],
    file: str,
    positions: Positions | None,
    definition: object = (),
    others: Sequence[Fault] = (),
) -> PipelineFileError:
    """The error that shows the findings: in order of their place in the file, or by path where there is no file.

    `definition` gives the steps their names; of a whole one its ids will do. `others` are faults of other files.
    """
    there = positions or Positions(file, ())
    homes: dict[str, int] = {there.file: -1}
    ordered = sorted(
        findings, key=lambda finding: (_home(finding, there, homes), _node(finding, there), finding.offset)
    )
    budget = _HINT_BUDGET
    faults = []
    for finding in ordered[:MOST_FAULTS]:
        line, column = _place(finding, there)
        hint = finding.hint
        if not hint and finding.name and len(finding.known) <= budget:
            budget -= len(finding.known)
            hint = did_you_mean(finding.name, finding.known)
        where = path_text(finding.path, definition)
        home, _ = there.home(finding.path)
        other = home.file if home.file != there.file else ""
        faults.append(Fault(finding.message, line, column, home.line(line), where, hint, other))
    faults += others[: MOST_FAULTS - len(faults)]
    if (more := len(ordered) + len(others) - len(faults)) > 0:
        faults.append(Fault(f"… and {more} more faults"))
    return PipelineFileError(file, faults)


def _home(finding: Finding, positions: Positions, seen: dict[str, int]) -> int:
    """The place of a finding's file among the files: the root's, then in the order in which they are met."""
    return seen.setdefault(positions.home(finding.path)[0].file, len(seen))


def _node(finding: Finding, positions: Positions) -> tuple[int, int]:
    home, path = positions.home(finding.path)
    return home.of(path, at_key=finding.at_key)


def _place(finding: Finding, positions: Positions) -> tuple[int, int]:
    home, path = positions.home(finding.path)
    if finding.placeholder:
        return home.of_placeholder(path, finding.placeholder, finding.offset)
    return home.of(path, at_key=finding.at_key)

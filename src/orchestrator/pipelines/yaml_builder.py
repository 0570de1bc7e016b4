"""Builds plain data out of YAML events, on a stack of its own: no recursion, whatever the depth.

It refuses what a definition never needs: tags, a second document, keys that are not text, depth, and aliases that blow
up (nine anchors of nine aliases each are 400 million nodes in 200 characters).
"""

from __future__ import annotations

from typing import Any, ClassVar

import yaml

from orchestrator.errors import Fault
from orchestrator.pipelines.positions import MOST_FAULTS, Positions, Spot
from orchestrator.pipelines.wording import did_you_mean, kind_of, shorten
from orchestrator.pipelines.yaml_scalars import plain

MAX_DEPTH = 64
#: Nodes, after aliases are expanded.
MAX_NODES = 100_000


class Stop(Exception):
    """The rest of the text is not worth reading."""


class _Frame:
    """A container that is still open."""

    __slots__ = ("anchor", "children", "column", "depth", "key", "line", "nodes", "skip", "value")

    def __init__(self, event: Any, value: dict[str, Any] | list[Any]) -> None:
        self.value: Any = value
        self.children: Any = {} if isinstance(value, dict) else []
        self.line, self.column = event.start_mark.line, event.start_mark.column
        self.anchor: str | None = event.anchor
        self.key: tuple[str, int, int] | None = None
        self.skip = False  # the value that comes belongs to a key that was refused
        self.nodes = 1
        self.depth = 1


class Builder:
    """Takes events, builds `value` and the tree of places `spot`; what is wrong goes to `faults`."""

    def __init__(self, positions: Positions) -> None:
        self.faults: list[Fault] = []
        self.value: Any = None
        self.spot: Spot | None = None
        self._positions = positions
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, Spot, int, int]] = {}
        self._nodes = 0

    def take(self, event: Any) -> None:
        """Take the next event. Raises Stop where the rest is not worth reading."""
        self._TAKE[type(event)](self, event)

    def finish(self) -> None:
        """After the last event."""
        if self.value is None:
            self._fault(None, "the file is empty")

    # -- events ---------------------------------------------------------------------------------------------------

    def _scalar(self, event: Any) -> None:
        self._refuse_tag(event)
        value: Any = event.value
        if not event.style and event.tag is None:
            try:
                value = plain(value)
            except ValueError as error:
                self._fault(event.start_mark, str(error))
        start, end = event.start_mark, event.end_mark
        spot = Spot(start.line, start.column, end.line, end.column)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, spot, 1, 0)
        self._put(value, spot, 1, 0)

    def _open(self, event: Any) -> None:
        self._refuse_tag(event)
        if len(self._stack) >= MAX_DEPTH:
            self._fault(event.start_mark, f"is nested more than {MAX_DEPTH} deep", stop=True)
        if self._stack and self._expects_key():
            self._fault(event.start_mark, "a key must be text, not a list or a mapping", stop=True)
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Frame(event, {} if mapping else []))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        spot = Spot(frame.line, frame.column, event.end_mark.line, event.end_mark.column, frame.children)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.value, spot, frame.nodes, frame.depth)
        self._nodes -= frame.nodes - 1  # they were counted when they were put
        self._put(frame.value, spot, frame.nodes, frame.depth)

    def _alias(self, event: Any) -> None:
        if any(frame.anchor == event.anchor for frame in self._stack):
            self._fault(event.start_mark, f"*{event.anchor} stands inside of what it refers to", stop=True)
        if event.anchor not in self._anchors:
            hint = did_you_mean(event.anchor, self._anchors)
            self._fault(event.start_mark, f"no anchor &{event.anchor} stands before this", hint=hint)
        start, end = event.start_mark, event.end_mark
        here = Spot(start.line, start.column, end.line, end.column)
        value, spot, nodes, depth = self._anchors.get(event.anchor, (None, here, 1, 0))
        if len(self._stack) + depth > MAX_DEPTH:
            self._fault(start, f"is nested more than {MAX_DEPTH} deep", stop=True)
        self._put(value, here._replace(children=spot.children), nodes, depth)

    def _document(self, event: Any) -> None:
        if self.spot is not None:
            self._fault(event.start_mark, "a second document begins here; a file holds one", stop=True)

    def _ignore(self, event: Any) -> None:
        """The begin and the end of the stream say nothing."""

    _TAKE: ClassVar[dict[type, Any]] = {
        yaml.ScalarEvent: _scalar,
        yaml.MappingStartEvent: _open,
        yaml.SequenceStartEvent: _open,
        yaml.MappingEndEvent: _close,
        yaml.SequenceEndEvent: _close,
        yaml.AliasEvent: _alias,
        yaml.DocumentStartEvent: _document,
        yaml.DocumentEndEvent: _ignore,
        yaml.StreamStartEvent: _ignore,
        yaml.StreamEndEvent: _ignore,
    }

    # -- building -------------------------------------------------------------------------------------------------

    def _expects_key(self) -> bool:
        frame = self._stack[-1]
        return isinstance(frame.value, dict) and frame.key is None

    def _put(self, value: Any, spot: Spot, nodes: int, depth: int) -> None:
        """Hang a finished node under the container that is open."""
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._fault_at(spot, f"holds more than {MAX_NODES:,} nodes once aliases are expanded", stop=True)
        if not self._stack:
            self.value, self.spot = value, spot
            return
        frame = self._stack[-1]
        frame.nodes += nodes
        if isinstance(frame.value, dict) and frame.key is None:
            frame.key = self._key(frame, value, spot)
            return
        frame.depth = max(frame.depth, depth + 1)
        if isinstance(frame.value, list):
            frame.value.append(value)
            frame.children.append(spot)
            return
        assert frame.key is not None
        name, line, column = frame.key
        if not frame.skip:
            frame.value[name] = value
            frame.children[name] = (line, column, spot)
        frame.key, frame.skip = None, False

    def _key(self, frame: _Frame, value: Any, spot: Spot) -> tuple[str, int, int]:
        if not isinstance(value, str):
            hint = f'write "{shorten(self._written(spot))}"' if not isinstance(value, (dict, list)) else ""
            self._fault_at(spot, f"a key must be text, not {kind_of(value)}", hint=hint)
            value, frame.skip = str(value), True
        elif value in frame.value:
            line = frame.children[value][0] + 1
            self._fault_at(spot, f"duplicate key {shorten(value)!r}: it stands in line {line} already")
            frame.skip = True
        elif value == "<<":
            self._fault_at(spot, "merge keys ('<<') are not part of YAML 1.2; write the keys out, or use `defaults`")
            frame.skip = True
        return value, spot.line, spot.column

    def _written(self, spot: Spot) -> str:
        return self._positions.line(spot.line + 1)[spot.column : spot.end_column]

    # -- faults ---------------------------------------------------------------------------------------------------

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._fault(event.start_mark, f"tags are not allowed: {shorten(tag)}", hint="write plain data")

    def _fault(self, mark: Any, message: str, hint: str = "", stop: bool = False) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.faults.append(self._positions.fault(line, column, message, hint=hint))
        if stop or len(self.faults) >= MOST_FAULTS:
            raise Stop

    def _fault_at(self, spot: Spot, message: str, hint: str = "", stop: bool = False) -> None:
        self.faults.append(self._positions.fault(spot.line + 1, spot.column + 1, message, hint=hint))
        if stop or len(self.faults) >= MOST_FAULTS:
            raise Stop

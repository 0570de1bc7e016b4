"""What is known of a variable besides its value, and a variable as a thing of its own.

These are plain data of whoever holds them, not thread-safe: a manager hands out new ones and keeps none.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.execution.variables.parts import Part
from orchestrator.execution.variables.words import VariableScope, VariableType

_TICK = timedelta(microseconds=1)


@dataclass(slots=True)
class VariableMetadata:
    """What is known of a variable besides its value. Times made here are timezone-aware UTC."""

    name: str
    scope: VariableScope = VariableScope.GLOBAL
    var_type: VariableType = VariableType.INTERMEDIATE
    created_at: datetime = field(default_factory=utc_now)
    updated_at: datetime = field(default_factory=utc_now)
    #: The step that wrote the present version, where that is known.
    source_step: str | None = None
    description: str | None = None
    tags: set[str] = field(default_factory=set)
    #: The names that this variable's value depends on, directly.
    dependencies: set[str] = field(default_factory=set)
    #: Counts from 1.
    version: int = 1

    def update_timestamp(self) -> None:
        """Move `updated_at` forward, by at least a microsecond where there is one left, and add 1 to `version`."""
        try:
            least = self.updated_at.astimezone(UTC) + _TICK
        except OverflowError:
            least = self.updated_at.replace(tzinfo=UTC)  # at the end (or the start) of all times
        self.updated_at = max(utc_now(), least)
        self.version += 1

    def to_dict(self) -> dict[str, Any]:
        """Plain data: enums as words, sets as sorted lists, times as datetimes."""
        return {
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)},
            "scope": str(self.scope),
            "var_type": str(self.var_type),
            "tags": sorted(self.tags),
            "dependencies": sorted(self.dependencies),
        }

    @classmethod
    def from_dict(cls, data: object, where: str = "metadata") -> VariableMetadata:
        """The metadata of `to_dict`'s data. Raises InputError, which names the part by its path from `where`."""
        part = Part(data, where).fields(*(f.name for f in dataclasses.fields(cls)))
        return cls(
            name=part["name"].text(),
            scope=part["scope"].word(VariableScope),
            var_type=part["var_type"].word(VariableType),
            created_at=part["created_at"].time(),
            updated_at=part["updated_at"].time(),
            source_step=part["source_step"].text_or_none(),
            description=part["description"].text_or_none(),
            tags=part["tags"].texts(),
            dependencies=part["dependencies"].texts(),
            version=part["version"].whole(1),
        )


class Variable:
    """A named value with its metadata; `metadata.name` always equals `name`."""

    __slots__ = ("_metadata", "value")

    def __init__(self, name: str, value: Any, metadata: VariableMetadata | None = None) -> None:
        self.value = value
        self._metadata = metadata or VariableMetadata(name)
        self._metadata.name = name

    @property
    def name(self) -> str:
        """The variable's name; setting it renames the metadata as well."""
        return self._metadata.name

    @name.setter
    def name(self, name: str) -> None:
        self._metadata.name = name

    @property
    def metadata(self) -> VariableMetadata:
        """What is known of it; one that is set takes this variable's name."""
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: VariableMetadata) -> None:
        metadata.name = self.name
        self._metadata = metadata

    def copy(self) -> Variable:
        """A deep copy. Raises what the value's class raises where it cannot be copied."""
        return Variable(self.name, copy.deepcopy(self.value), copy.deepcopy(self._metadata))

    def update_value(self, new_value: Any, source_step: str | None = None) -> None:
        """Set the value: a new version, written by `source_step` where that is given."""
        self.value = new_value
        self._metadata.update_timestamp()
        if source_step is not None:
            self._metadata.source_step = source_step

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Variable):
            return NotImplemented
        return bool(self.value == other.value) and self._metadata == other._metadata

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, {self.value!r}, version={self._metadata.version})"


@dataclass(frozen=True, slots=True)
class VariableVersion:
    """An earlier version of a variable: who wrote it, and when. A TEMPORARY one's value is not kept: it is None."""

    version: int
    value: Any
    source_step: str | None
    updated_at: datetime

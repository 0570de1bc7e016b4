"""Variables: named, scoped, versioned values.

A variable of an execution is kept in its recorded form and decoded for whoever reads it, so that a handler may change
what it was given and nobody else sees it. Values that cannot be changed are decoded once. Templates only read, so they
share one decoded copy (`shared`), and only what they hand out is copied.

Every binding has a *serial* that is never used again. It tells a cache whether what it remembers is still so.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto
from typing import Any, Protocol

from orchestrator.clock import Clock, SystemClock, utc
from orchestrator.errors import InputError
from orchestrator.journal.codec import IMMUTABLE, Encoded, decode, pack, unpack
from orchestrator.types import BlobHash


class VariableScope(StrEnum):
    """How far a variable reaches."""

    GLOBAL = auto()
    STEP = auto()
    LOOP = auto()
    CONTEXT = auto()
    TEMPORARY = auto()


class VariableType(StrEnum):
    """What a variable is for."""

    INPUT = auto()
    OUTPUT = auto()
    INTERMEDIATE = auto()
    CONFIGURATION = auto()
    SYSTEM = auto()


@dataclass(slots=True)
class VariableMetadata:
    """What is known of a variable besides its value. Times are timezone-aware UTC."""

    name: str
    scope: VariableScope
    var_type: VariableType
    created_at: datetime
    updated_at: datetime
    source_step: str | None = None
    description: str | None = None
    tags: set[str] = field(default_factory=set)
    dependencies: set[str] = field(default_factory=set)
    version: int = 1


class Cell(Protocol):
    """A value that hands out copies."""

    def read(self) -> Any:
        """A value of the reader's own."""
        ...

    def measure(self) -> tuple[Any, int]:
        """The same, and how many bytes it was read from."""
        ...


GetBlob = Callable[[BlobHash], bytes]


@dataclass(frozen=True, slots=True)
class LiveCell:
    """A value as it was given, copied for each reader through its encoding."""

    value: Any

    def read(self) -> Any:
        """The value itself where it cannot be changed, else a copy."""
        return own(self.value)

    def measure(self) -> tuple[Any, int]:
        """The copy, and the size of its encoding."""
        data = pack(self.value)
        return unpack(data), len(data)


@dataclass(frozen=True, slots=True)
class RecordedCell:
    """A value in its recorded form."""

    encoded: Encoded
    get_blob: GetBlob

    def read(self) -> Any:
        """Decoded anew."""
        return decode(self.encoded, self.get_blob)

    def measure(self) -> tuple[Any, int]:
        """Decoded anew, and the size of its recorded form with its blobs."""
        size = len(self.encoded.data)

        def get_blob(blob: BlobHash) -> bytes:
            nonlocal size
            data = self.get_blob(blob)
            size += len(data)
            return data

        return decode(self.encoded, get_blob), size


@dataclass(frozen=True, slots=True)
class ListCell:
    """The outputs of a loop's items, in order; None for an item that was skipped. Takes no bytes of its own."""

    items: Sequence[Encoded | None]
    get_blob: GetBlob

    def read(self) -> list[Any]:
        """Decoded anew."""
        return self.measure()[0]

    def measure(self) -> tuple[list[Any], int]:
        """Decoded anew, and the sum of the items' sizes."""
        values, size = [], 0
        for item in self.items:
            value, part = (None, 1) if item is None else RecordedCell(item, self.get_blob).measure()
            values.append(value)
            size += part
        return values, size


def own(value: Any) -> Any:
    """A value that its reader may change: itself where nobody can, else a copy."""
    return value if isinstance(value, IMMUTABLE) else unpack(pack(value))


@dataclass(slots=True)
class _Binding:
    """A name's present value: its cell, its serial, and what the metadata is made from."""

    cell: Cell
    serial: int
    version: int
    created_at: float
    updated_at: float
    source_step: str | None
    scope: VariableScope
    var_type: VariableType
    description: str | None
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class VariableVersion:
    """An earlier version of a variable: who wrote it, and when."""

    version: int
    value: Any
    source_step: str | None
    updated_at: datetime


#: Earlier versions kept of each variable.
_HISTORY = 100
#: Decoded copies that templates share take about this much in all.
_SHARED_BYTES = 32 * 1024 * 1024


class VariableManager:
    """The GLOBAL variables of one execution. Thread-safe. Used alone it holds any value that the codec carries."""

    def __init__(self, pipeline_id: str = "default", *, clock: Clock | None = None) -> None:
        self.pipeline_id = pipeline_id
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._bindings: dict[str, _Binding] = {}
        self._history: dict[str, deque[_Binding]] = {}
        self._serial = 0
        self._shared: OrderedDict[str, tuple[int, Any, int]] = OrderedDict()
        self._shared_bytes = 0

    # -- writing ---------------------------------------------------------------------------------------------------

    def set_variable(
        self,
        name: str,
        value: Any,
        scope: VariableScope = VariableScope.GLOBAL,
        var_type: VariableType = VariableType.INTERMEDIATE,
        source_step: str | None = None,
        description: str | None = None,
        tags: set[str] | None = None,
    ) -> None:
        """Set a variable. An existing one keeps `created_at` and what is not given again; its version rises by 1."""
        if not name.isidentifier():
            raise InputError(f"{name!r} cannot name a variable; use letters, digits and _, not beginning with a digit")
        self.bind(name, LiveCell(own(value)), self._clock.time(), source_step, scope, var_type, description, tags)

    def bind(
        self,
        name: str,
        cell: Cell,
        at: float,
        source_step: str | None = None,
        scope: VariableScope = VariableScope.GLOBAL,
        var_type: VariableType = VariableType.INTERMEDIATE,
        description: str | None = None,
        tags: set[str] | None = None,
    ) -> None:
        """Bind a name to a cell as of `at` (seconds since the epoch)."""
        with self._lock:
            self._serial += 1
            old = self._bindings.get(name)
            if old is None:
                self._bindings[name] = _Binding(
                    cell,
                    self._serial,
                    1,
                    at,
                    at,
                    source_step,
                    scope,
                    var_type,
                    description,
                    frozenset(tags or ()),
                )
                return
            self._history.setdefault(name, deque(maxlen=_HISTORY)).append(old)
            self._bindings[name] = _Binding(
                cell,
                self._serial,
                old.version + 1,
                old.created_at,
                at,
                source_step,
                scope,
                var_type,
                old.description if description is None else description,
                old.tags if tags is None else frozenset(tags),
            )

    def delete_variable(self, name: str) -> bool:
        """Remove a variable; False where there is none."""
        with self._lock:
            return self._bindings.pop(name, None) is not None

    # -- reading ---------------------------------------------------------------------------------------------------

    def get_variable(self, name: str, default: Any = None) -> Any:
        """A variable's value, of the reader's own; `default` where there is none."""
        with self._lock:
            binding = self._bindings.get(name)
        return default if binding is None else binding.cell.read()

    def has_variable(self, name: str) -> bool:
        """Whether the name is bound; None is a value like any other."""
        return name in self._bindings

    def list_variables(
        self,
        scope: VariableScope | None = None,
        var_type: VariableType | None = None,
        include_metadata: bool = False,
    ) -> dict[str, Any]:
        """Names and values; with metadata each value is `{"value": …, "metadata": …}`."""
        with self._lock:
            found = {
                name: binding
                for name, binding in self._bindings.items()
                if scope in (None, binding.scope) and var_type in (None, binding.var_type)
            }
        if not include_metadata:
            return {name: binding.cell.read() for name, binding in found.items()}
        return {n: {"value": b.cell.read(), "metadata": _metadata(n, b)} for n, b in found.items()}

    def get_variable_metadata(self, name: str) -> VariableMetadata | None:
        """What is known of a variable; None where there is none."""
        with self._lock:
            binding = self._bindings.get(name)
        return None if binding is None else _metadata(name, binding)

    def get_variable_history(self, name: str, limit: int | None = None) -> list[VariableVersion]:
        """The earlier versions, oldest first; at most the newest `limit`, and never more than 100."""
        with self._lock:
            kept = list(self._history.get(name, ()))
        kept = kept if limit is None else kept[len(kept) - limit :] if limit < len(kept) else kept
        return [VariableVersion(b.version, b.cell.read(), b.source_step, utc(b.updated_at)) for b in kept]

    def names(self) -> list[str]:
        """Every bound name."""
        with self._lock:
            return list(self._bindings)

    def shared(self, name: str) -> tuple[Any, bool]:
        """A variable's value, and whether others see the same object and it must not be changed.

        Values of moderate size are decoded once for all. Raises KeyError where there is none.
        """
        with self._lock:
            binding = self._bindings[name]
            kept = self._shared.get(name)
            if kept is not None and kept[0] == binding.serial:
                self._shared.move_to_end(name)
                return kept[1], True
        value, size = binding.cell.measure()
        if size > _SHARED_BYTES // 4:
            return value, False
        self._share(name, binding.serial, value, size + 100)
        return value, True

    def _share(self, name: str, serial: int, value: Any, size: int) -> None:
        with self._lock:
            old = self._shared.pop(name, None)
            self._shared[name] = (serial, value, size)
            self._shared_bytes += size - (old[2] if old else 0)
            while self._shared_bytes > _SHARED_BYTES:
                _, (_, _, dropped) = self._shared.popitem(last=False)
                self._shared_bytes -= dropped


def _metadata(name: str, binding: _Binding) -> VariableMetadata:
    return VariableMetadata(
        name=name,
        scope=binding.scope,
        var_type=binding.var_type,
        created_at=utc(binding.created_at),
        updated_at=utc(binding.updated_at),
        source_step=binding.source_step,
        description=binding.description,
        tags=set(binding.tags),
        version=binding.version,
    )


class StepScope(Mapping[str, Any]):
    """The names that one step sees: its loop's item, then the GLOBAL variables. For templates, which only read.

    What is made from these values for a handler goes through `own`.
    """

    def __init__(self, variables: VariableManager, local: Mapping[str, Cell]) -> None:
        self._variables, self._local = variables, local
        self._borrowed = False

    def __getitem__(self, name: str) -> Any:
        cell = self._local.get(name)
        if cell is not None:
            return cell.read()
        value, shared = self._variables.shared(name)
        self._borrowed = self._borrowed or (shared and not isinstance(value, IMMUTABLE))
        return value

    def own(self, value: Any) -> Any:
        """The value with nothing in it that others see: a copy, where anything of it was shared."""
        return own(value) if self._borrowed else value

    def __contains__(self, name: object) -> bool:
        return name in self._local or (isinstance(name, str) and self._variables.has_variable(name))

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._local), **dict.fromkeys(self._variables.names())})

    def __len__(self) -> int:
        return sum(1 for _ in self)

"""Resolving templates, with a cache that is never stale.

A result is kept with every name that was looked up for it, those of template variables that it read included, and what
each stood for: a serial, or nothing. It holds as long as each name, looked up anew from the same place with the same
aliases, stands for the same. Where no change at all was made since it was last found to hold, nothing is looked up.

The epoch is read before the names are: a change that comes in between is seen at the next use.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from orchestrator.errors import EncodeError, TemplateError, TemporaryGoneError, UnknownNameError
from orchestrator.execution.variables.aliases import AliasStack
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.cells import Cell, LiveCell, PackedCell, keep
from orchestrator.execution.variables.sharing import BoundedCache
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.template_cell import TemplateCell, hands_on
from orchestrator.execution.variables.view import View, check_computed, weigh
from orchestrator.journal.codec import IMMUTABLE, pack
from orchestrator.pipelines.templates import Compiled, compile_value
from orchestrator.pipelines.wording import shorten

#: Results kept, and how much memory they may take in their encoded form.
_RESULTS, _RESULT_BYTES = 1_000, 16 * 1024 * 1024
#: Decoded values that templates share take about this much in all.
_SHARED_BYTES = 32 * 1024 * 1024


class CacheInfo(NamedTuple):
    """How often a resolution was found in the cache and how often not, and how many are kept."""

    hits: int
    misses: int
    size: int


#: What is resolved, from where, with which aliases, and whether strictly.
_Key: TypeAlias = tuple[Hashable, str, AliasStack, bool]


@dataclass(frozen=True, slots=True)
class _Text:
    """A template that is no variable."""

    source: Any
    compiled: Compiled


@dataclass(slots=True)
class _Kept:
    """A result, what it depends on, and the epoch in which it was last found to hold."""

    cell: Cell
    names: dict[str, int]
    epoch: tuple[int, ...]


class Resolver:
    """The templates of one manager. Thread-safe; evaluates and decodes with no lock held."""

    __slots__ = ("_compiled", "_hits", "_lock", "_misses", "_results", "_shared", "_table")

    def __init__(self, table: Table) -> None:
        self._table, self._lock = table, table.lock
        self._compiled: BoundedCache[Hashable, Compiled] = BoundedCache(_RESULT_BYTES, _RESULTS)
        self._results: BoundedCache[Hashable, _Kept] = BoundedCache(_RESULT_BYTES, _RESULTS)
        self._shared = table.shared = BoundedCache(_SHARED_BYTES, 100_000)
        self._hits = self._misses = 0

    def info(self) -> CacheInfo:
        """Hits, misses and size."""
        return CacheInfo(self._hits, self._misses, len(self._results))

    def read_shared(self, binding: Binding) -> tuple[Any, bool]:
        """A plain binding's value, and whether others see the same object. Moderate ones are decoded once for all."""
        cell = binding.cell
        if type(cell) is LiveCell:
            return cell.value, not cell.alive
        with self._lock:
            kept = self._shared.get(binding.serial)
        if kept is not None:
            return kept[0], True
        value, size = cell.measure()
        if size > _SHARED_BYTES // 4:
            return value, False
        with self._lock:
            self._shared.put(binding.serial, (value,), size + 100)
        return value, True

    # -- with the cache --------------------------------------------------------------------------------------------

    def resolve(self, template: Any, home: Space, aliases: AliasStack, strict: bool) -> Any:
        """A template's value as seen from a space, the reader's own. Raises TemplateError."""
        key = template if type(template) is str else _key(template)
        if key is None:
            return self._evaluate(_Text(template, _compile(template)), home, aliases, strict)[0]
        return self._cached((key, home.id, aliases, strict), template, home)

    def read(self, binding: Binding, home: Space, aliases: AliasStack) -> Any:
        """A template variable's value as seen from a space, the reader's own. Raises TemplateError."""
        return self._cached((binding.serial, home.id, aliases, False), binding, home)

    def _cached(self, key: _Key, source: Any, home: Space) -> Any:
        with self._lock:
            epoch = self._table.family_epoch()
            kept = self._results.get(key)
            if kept is not None and (kept.epoch == epoch or self._holds(kept, home, key[2])):
                kept.epoch = epoch
                self._hits += 1
            else:
                kept = None
                self._misses += 1
        if kept is not None:
            return kept.cell.read()
        task = source if isinstance(source, Binding) else self._text(key[0], source)
        value, cell, names = self._evaluate(task, home, key[2], key[3])
        if cell is not None:
            with self._lock:
                self._results.put(key, _Kept(cell, names, epoch), _size(cell) + 200 + 100 * len(names))
        return value

    def _holds(self, kept: _Kept, home: Space, aliases: AliasStack) -> bool:
        for name, serial in kept.names.items():
            found = self._table.find(name, home, aliases)
            if (0 if found is None else found.serial) != serial:
                return False
        return True

    def _text(self, key: Hashable, template: Any) -> _Text:
        with self._lock:
            compiled = self._compiled.get(key)
        if compiled is None:
            compiled = _compile(template)
            with self._lock:
                self._compiled.put(key, compiled, 500 + 10 * len(str(template)))
        return _Text(template, compiled)

    # -- without it ------------------------------------------------------------------------------------------------

    def resolve_with(
        self, template: Any, shadow: Mapping[str, Any], home: Space, aliases: AliasStack, strict: bool
    ) -> Any:
        """As `resolve`, with names that shadow variables; not cached."""
        return self._evaluate(_Text(template, _compile(template)), home, aliases, strict, shadow)[0]

    def _evaluate(
        self,
        task: Binding | _Text,
        home: Space,
        aliases: AliasStack,
        strict: bool,
        shadow: Mapping[str, Any] | None = None,
    ) -> tuple[Any, Cell | None, dict[str, int]]:
        """The value, the cell to keep it in where it may be kept, and what was looked up."""
        view = View(self._table, home, aliases, strict, self.read_shared, shadow)
        try:
            value = _run(task, view, strict)
            cell, copy = keep(value)
            if cell.__class__ is LiveCell and view.borrowed and not isinstance(value, IMMUTABLE):
                # It holds what cannot be copied, next to what others see: made anew from copies of all that can.
                view = View(self._table, home, aliases, strict, _read_alone, shadow)
                return _run(task, view, strict), None, {}
        except UnknownNameError as error:
            if home.misses(error.name):
                raise TemporaryGoneError(error.name) from error
            raise
        except RecursionError:
            raise TemplateError("this template is nested too deeply") from None
        return copy, cell if view.lasting else None, view.looked_up()


def _read_alone(binding: Binding) -> tuple[Any, bool]:
    return binding.cell.read(), False


def _run(task: Binding | _Text, view: View, strict: bool) -> Any:
    if isinstance(task, Binding):
        assert isinstance(task.cell, TemplateCell)
        return view.compute(task, task.cell)[0]
    value = task.compiled.resolve(view, strict)
    if view.spent and not hands_on(task.source):
        check_computed(weigh(value))
    return value


def _compile(template: Any) -> Compiled:
    where = f"the template {shorten(template)!r}" if isinstance(template, str) else "template"
    return compile_value(template, where)


def _key(template: Any) -> bytes | None:
    """A template that is no text as a key: its encoded form; None where it has none."""
    try:
        return pack(template)
    except EncodeError:
        return None


def _size(cell: Cell) -> int:
    return len(cell.data) if isinstance(cell, PackedCell) else cell.measure()[1]

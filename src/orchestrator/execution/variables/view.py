"""A view: the names as one resolution of a template sees them.

It looks each name up once, remembers what it found (the serial, or that there was nothing), and computes each template
variable once. Values are shared between resolutions, since templates only read; what is handed out is copied later.
What template variables put together is counted: two lines that double a text thirty times would fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.errors import CircularDependencyError, TemplateError
from orchestrator.execution.variables.aliases import AliasStack
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.cells import LiveCell
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.journal.codec import IMMUTABLE

#: Template variables that read one another.
MAX_TEMPLATES_DEEP = 50
#: Characters and items that template variables may put into one result.
MAX_COMPUTED = 10_000_000
#: Characters that variables may put into the texts of one result.
MAX_TEXT = 100_000_000

#: Gives a binding's value, and whether others see the same object.
ReadShared = Callable[[Binding], tuple[Any, bool]]


class View(Mapping[str, Any]):
    """The scope of one resolution. Not thread-safe."""

    __slots__ = (
        "_aliases",
        "_computed",
        "_deep",
        "_found",
        "_home",
        "_read",
        "_shadow",
        "_strict",
        "_table",
        "_values",
        "borrowed",
        "lasting",
        "spent",
        "text",
    )

    def __init__(
        self,
        table: Table,
        home: Space,
        aliases: AliasStack,
        strict: bool,
        read: ReadShared,
        shadow: Mapping[str, Any] | None = None,
    ) -> None:
        self._table, self._home, self._aliases, self._strict, self._read = table, home, aliases, strict, read
        self._shadow = shadow or {}
        self._found: dict[str, Binding | None] = {}
        self._values: dict[str, tuple[Any, int]] = {}
        #: The template variables that are being computed, outermost first.
        self._deep: list[Binding] = []
        #: Whether something in the result may be seen by others.
        self.borrowed = False
        #: Whether the result may be kept: it holds nothing that changes by itself.
        self.lasting = True
        #: What template variables have put into the template that is being resolved now.
        self.spent = 0
        #: Characters of plain texts so far.
        self.text = 0

    def looked_up(self) -> dict[str, int]:
        """Every name that was looked up: its serial, or 0 where there was nothing."""
        return {name: 0 if found is None else found.serial for name, found in self._found.items()}

    # -- the mapping -----------------------------------------------------------------------------------------------

    def __contains__(self, name: object) -> bool:
        return name in self._shadow or (isinstance(name, str) and self._find(name) is not None)

    def __getitem__(self, name: str) -> Any:
        if name in self._shadow:
            return self._shadow[name]
        known = self._values.get(name)
        if known is None:
            binding = self._find(name)
            if binding is None:
                raise KeyError(name)
            known = self._values[name] = self._value(binding)
        value, cost = known
        self._spend(value, cost)
        return value

    def __iter__(self) -> Iterator[str]:
        names = [*self._shadow, *self._table.known(self._home)]
        return iter(dict.fromkeys(names + [alias for scope in self._aliases for alias, _ in scope]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _find(self, name: str) -> Binding | None:
        if name not in self._found:
            self._found[name] = self._table.find(name, self._home, self._aliases)
        return self._found[name]

    # -- values ----------------------------------------------------------------------------------------------------

    def _value(self, binding: Binding) -> tuple[Any, int]:
        """A binding's value, and what it costs to use it once more."""
        cell = binding.cell
        if type(cell) is TemplateCell:
            return self.compute(binding, cell)
        value, shared = self._read(binding)
        if not isinstance(value, IMMUTABLE):
            self.borrowed = self.borrowed or shared
            self.lasting = self.lasting and type(cell) is not LiveCell
        return value, 0

    def compute(self, binding: Binding, cell: TemplateCell) -> tuple[Any, int]:
        """A template variable's value, and what it costs to use it once more. Raises TemplateError."""
        if any(binding is other for other in self._deep):
            names = [other.name for other in self._deep]
            raise CircularDependencyError([*names[names.index(binding.name) :], binding.name])
        if len(self._deep) == MAX_TEMPLATES_DEEP:
            raise TemplateError(f"more than {MAX_TEMPLATES_DEEP} template variables read one another here")
        spent, self.spent = self.spent, 0
        self._deep.append(binding)
        try:
            value = cell.compiled.resolve(self, self._strict)
            cost = (self.spent if cell.hands_on else weigh(value)) or 1
        finally:
            self._deep.pop()
            self.spent = spent
        check_computed(cost)
        return value, cost

    def _spend(self, value: Any, cost: int) -> None:
        self.spent += cost
        if isinstance(value, str):
            self.text += len(value)
            if self.text > max(MAX_TEXT, len(value)):
                raise TemplateError(f"the texts would have {self.text:,} characters, {MAX_TEXT:,} are allowed")


def check_computed(spent: int) -> None:
    """Refuse what template variables have made too large. Raises TemplateError."""
    if spent > MAX_COMPUTED:
        raise TemplateError(
            f"template variables would put {spent:,} characters and items into one result, {MAX_COMPUTED:,} are"
            " allowed; compute it in a step"
        )


def weigh(value: Any) -> int:
    """Characters and items of a value as it would be written out: what stands in it twice counts twice."""
    known: dict[int, int] = {}

    def weight(part: Any) -> int:
        if isinstance(part, (str, bytes)):
            return len(part)
        if type(part) not in (list, tuple, dict):
            return 1
        key = id(part)
        if key not in known:
            known[key] = 1 + sum(map(weight, part.values() if type(part) is dict else part))
        return known[key]

    return weight(value)

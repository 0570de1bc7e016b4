"""Templates: values with `${…}` in them, compiled once and resolved against a scope.

A text that is one lone placeholder gives the native value (a list stays a list); a placeholder among other text gives
text. Nothing is ever scanned twice: a value that happens to contain `${` stays as it is. A plain path takes a walk of
our own; everything else is an expression of Jinja2, in a sandbox, imported when the first one is met.

A `Compiled` is immutable and may be shared between threads. It holds no value of any scope.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import TemplateError
from orchestrator.pipelines.paths import Way, check_name, explain, fetch, used_in, ways
from orchestrator.pipelines.scanner import Placeholder, has_placeholder, scan
from orchestrator.pipelines.wording import Path, path_text, shorten

#: Containers inside of each other.
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that a template uses, with the constant part of the way behind it.

    `offset` is where the placeholder `text` begins in its text, `location` where that text stands in the value.
    `guarded` is set where a missing field is expected: `${x.y | default(0)}`, `${x.y is defined}`.
    """

    path: Path
    text: str
    offset: int = 0
    location: Path = ()
    guarded: bool = False


_NO_NAMES: frozenset[str] = frozenset()


class Compiled(ABC):
    """A compiled value. `names` are the root names that it uses, `references` each use with its place."""

    __slots__ = ("names", "references")

    def __init__(self, references: tuple[Reference, ...] = ()) -> None:
        self.references = references
        self.names: frozenset[str] = (
            frozenset([str(reference.path[0]) for reference in references]) if references else _NO_NAMES
        )

    @property
    def constant(self) -> bool:
        """Whether it resolves to the same value in every scope."""
        return not self.references

    @abstractmethod
    def resolve(self, scope: Mapping[str, Any], strict: bool = True) -> Any:
        """The value in a scope. Raises TemplateError.

        Where a name or a field is unknown, strict raises; else that placeholder is left as it stands. What one lone
        placeholder names is handed out as it is, not copied; containers of the template itself are new.
        """


#: Takes where a faulty text stands in the value, and what is wrong with it.
OnFault = Callable[[Path, TemplateError], None]


def compile_value(value: Any, where: str = "", on_fault: OnFault | None = None) -> Compiled:
    """Compile a text, or any nesting of mappings, lists and tuples with texts in it; other values stand for themselves.

    `where` names the place in messages. Raises TemplateError at the first fault, or hands each to `on_fault`.
    """
    return _compile(value, where, (), on_fault)


def compile_placeholder(part: Placeholder, where: str = "", location: Path = ()) -> Compiled:
    """Compile one placeholder that `scan` found. Raises TemplateError."""
    try:
        leaf = _PathLeaf if part.path is not None else _ExpressionLeaf
        return leaf(part, where, location)
    except TemplateError as error:
        raise TemplateError(f"{shorten(part.text, 80)}: {error}", part.text, part.offset) from None


def _compile(value: Any, where: str, location: Path, on_fault: OnFault | None) -> Compiled:
    if isinstance(value, str):
        if "${" not in value:
            return _Literal(value)
        try:
            return _compile_text(value, where, location)
        except TemplateError as error:
            if on_fault is None:
                raise
            on_fault(location, error)
            return _Literal(value)
    if len(location) >= MAX_DEPTH:
        raise TemplateError(f"nested more than {MAX_DEPTH} deep{used_in(where)}")
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, str) and "${" in key and has_placeholder(key):
                fault = TemplateError(f"the key {shorten(key)!r} is fixed: a ${{…}} in it is not filled in")
                if on_fault is None:
                    raise fault
                on_fault((*location, key), fault)
        return _MappingNode(
            {key: _compile(item, where, (*location, str(key)), on_fault) for key, item in value.items()}
        )
    if type(value) in (list, tuple):
        items = [_compile(item, where, (*location, index), on_fault) for index, item in enumerate(value)]
        return _SequenceNode(items, type(value))
    return _Literal(value)


def _compile_text(text: str, where: str, location: Path) -> Compiled:
    parts = scan(text)
    leaves = [part if isinstance(part, str) else compile_placeholder(part, where, location) for part in parts]
    if len(leaves) == 1:
        return leaves[0] if isinstance(leaves[0], Compiled) else _Literal(leaves[0])
    return _Text(leaves)


def _place(where: str, location: Path) -> str:
    inner = path_text(location)
    return f"{where}{'.' if where and inner and inner[0] != '[' else ''}{inner}"


class _Literal(Compiled):
    """A value without placeholders."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value

    def resolve(self, scope: Mapping[str, Any], strict: bool = True) -> Any:
        return self._value


class _PathLeaf(Compiled):
    """A lone `${a.b[0]}`: no expression library, a fraction of a microsecond."""

    __slots__ = ("_location", "_text", "_ways", "_where")

    def __init__(self, part: Placeholder, where: str, location: Path) -> None:
        path = part.path or ()
        for name in path:
            check_name(name)
        super().__init__((Reference(path, part.text, part.offset, location),))
        self._text, self._where, self._location = part.text, where, location
        self._ways: tuple[Way, ...] = ways(path)

    def resolve(self, scope: Mapping[str, Any], strict: bool = True) -> Any:
        try:
            return fetch(scope, self._ways)
        except LookupError:
            if strict:
                raise explain(scope, self._ways, self._text, _place(self._where, self._location)) from None
            return self._text


class _ExpressionLeaf(Compiled):
    """A lone `${…}` that is more than a path."""

    __slots__ = ("_expression", "_location", "_text", "_where")

    def __init__(self, part: Placeholder, where: str, location: Path) -> None:
        from orchestrator.pipelines.expressions import compile_expression

        self._expression = compile_expression(part.body)
        super().__init__(
            tuple(Reference(use.path, part.text, part.offset, location, use.guarded) for use in self._expression.uses)
        )
        self._text, self._where, self._location = part.text, where, location

    def resolve(self, scope: Mapping[str, Any], strict: bool = True) -> Any:
        from orchestrator.pipelines.expressions import Unresolved

        try:
            return self._expression.evaluate(scope)
        except Unresolved as unresolved:
            if not strict:
                return self._text
            place = _place(self._where, self._location)
            raise explain(scope, unresolved.ways, self._text, place) from None
        except TemplateError as error:
            message = f"{shorten(self._text, 80)}: {error}{used_in(_place(self._where, self._location))}"
            raise TemplateError(message, self._text) from error.__cause__


class _Text(Compiled):
    """Placeholders among other text."""

    __slots__ = ("_leaves", "_pattern")

    def __init__(self, parts: list[str | Compiled]) -> None:
        self._leaves = tuple(part for part in parts if isinstance(part, Compiled))
        self._pattern = "".join(part.replace("%", "%%") if isinstance(part, str) else "%s" for part in parts)
        super().__init__(tuple(_references(self._leaves)))

    def resolve(self, scope: Mapping[str, Any], strict: bool = True) -> Any:
        return self._pattern % tuple([leaf.resolve(scope, strict) for leaf in self._leaves])


class _MappingNode(Compiled):
    """A mapping; its keys are taken as they stand."""

    __slots__ = ("_items",)

    def __init__(self, items: dict[Any, Compiled]) -> None:
        super().__init__(tuple(_references(items.values())))
        self._items = tuple(items.items())

    def resolve(self, scope: Mapping[str, Any], strict: bool = True) -> Any:
        return {key: item.resolve(scope, strict) for key, item in self._items}


class _SequenceNode(Compiled):
    """A list or a tuple."""

    __slots__ = ("_items", "_make")

    def __init__(self, items: list[Compiled], make: Callable[[list[Any]], Any]) -> None:
        super().__init__(tuple(_references(items)))
        self._items, self._make = tuple(items), make

    def resolve(self, scope: Mapping[str, Any], strict: bool = True) -> Any:
        return self._make([item.resolve(scope, strict) for item in self._items])


def _references(parts: Any) -> Iterator[Reference]:
    for part in parts:
        yield from part.references

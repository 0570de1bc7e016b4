"""Templates: what stands in a `${…}` gives plain data or a TemplateError, and reaches nothing but the scope.

The scope is the same for every input. It holds objects with secrets behind what a template may not reach: private
attributes, methods with effects, globals of functions. None of them may come out or be called. The first byte says
whether the rest is an expression, a text, a nested value, or choices of which an expression is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from tests.fuzz.planted import Plant
from tests.fuzz.source import Source
from tests.fuzz.target import Target
from tests.fuzz.watch import AUDITOR, is_expression

from orchestrator.errors import TemplateError
from orchestrator.pipelines import templates
from orchestrator.pipelines.limits import MAX_LENGTH
from orchestrator.pipelines.paths import NOT_DATA
from orchestrator.pipelines.templates import compile_value

SECRET = "s3cr3t-of-the-scope"


@dataclass
class Account:
    """A value of a program's own, with more to it than its fields."""

    name: str
    limit: int
    fired = False

    def __post_init__(self) -> None:
        self._key = SECRET

    def __repr__(self) -> str:
        return f"Account({self.name})"

    def reveal(self) -> str:
        """Must never be called."""
        Account.fired = True
        return SECRET

    @property
    def doubled(self) -> int:
        """May be read."""
        return 2 * self.limit


def _scope() -> dict[str, Any]:
    return {
        "a": {"x": 1, "list": [1, 2], "deep": {"b": [{"c": "end"}]}},
        "rows": [{"m": 1, "n": "x"}, {"m": 2, "n": "y"}],
        "name": "Ada {0.__class__} %s",
        "n": 3,
        "price": Decimal("1.10"),
        "ratio": 0.5,
        "day": date(2020, 1, 2),
        "now": datetime(2020, 1, 2, 3, 4),
        "span": timedelta(hours=1),
        "file": PurePosixPath("out/x.csv"),
        "account": Account("ada", 5),
        "tags": {"x", "y"},
        "raw": b"\x00\xff",
        "nothing": None,
        "flag": True,
        "a.b": 7,
    }


SCOPE = _scope()
compile_value("${'a' | pprint}").resolve({})  # what is loaded at the first use is loaded now
_SHOWN = repr({name: value for name, value in SCOPE.items() if name != "tags"})


def check(data: bytes) -> None:
    """Raises where a promise of the templates does not hold."""
    value = _value(Source(data))
    with AUDITOR.forbidden(is_expression):
        try:
            compiled = compile_value(value, "here")
        except TemplateError as error:
            assert str(error)
            return
        assert compiled.constant is (not compiled.references)
        for strict in (True, False):
            try:
                _check_result(compiled.resolve(SCOPE, strict))
            except TemplateError as error:
                assert str(error) and SECRET not in str(error)
    assert repr({name: value for name, value in SCOPE.items() if name != "tags"}) == _SHOWN, "the scope was changed"
    assert not Account.fired, "a method of a value was called"


def _check_result(result: Any) -> None:
    """Plain data or values of the scope, no secret among them, no more than one evaluation may make."""
    for count, part in enumerate(_parts(result)):
        assert not isinstance(part, NOT_DATA), f"a {type(part)} came out"
        assert not hasattr(part, "__next__"), f"a {type(part)} came out"
        if isinstance(part, str):
            assert SECRET not in part
            assert len(part) <= 40 * MAX_LENGTH
        if count > 1_000:
            return


def _parts(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _parts(item)


# -- what is thrown ----------------------------------------------------------------------------------------------------

_NAMES = (*SCOPE, "unknown", "range", "dict", "loop", "self", "true", "none")
_FIELDS = (
    "x",
    "list",
    "m",
    "n",
    "name",
    "_key",
    "reveal",
    "__class__",
    "doubled",
    "year",
    "parent",
    "0",
    "__globals__",
)
_FILTERS = (
    *("abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "filesizeformat"),
    *(
        "first",
        "float",
        "format",
        "groupby",
        "indent",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "map",
    ),
    *("max", "min", "pprint", "random", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr"),
    *("slice", "sort", "string", "striptags", "sum", "title", "tojson", "trim", "truncate", "unique", "upper"),
    *("urlencode", "wordcount", "wordwrap", "safe", "(required)", "nope"),
)
_METHODS = (
    *("center", "join", "format", "format_map", "zfill", "replace", "split", "get", "items", "strftime", "encode"),
    *(
        "reveal",
        "unlink",
        "joinpath",
        "with_suffix",
        "ljust",
        "total_seconds",
        "normalize",
        "append",
        "update",
        "__init__",
    ),
)
_BINARY = ("+", "-", "*", "/", "//", "%", "**", "~", "and", "or", "==", "!=", "<", ">=", "in", "not in")
_TESTS = (
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "mapping",
    "even",
    "odd",
    "divisibleby(3)",
    "in",
    "sameas",
)


def _expression(source: Source, depth: int = 0) -> str:
    def inner() -> str:
        return _expression(source, depth + 1)

    match source.below(14 if depth < 5 else 4):
        case 0:
            return source.one_of(_NAMES)
        case 1:
            return repr(source.text(6))
        case 2:
            return str(source.one_of((0, 1, 2, 9, 300, 10**6, 10**9, 10**18, -1, 1.5, "9" * 60)))
        case 3:
            return f"{source.one_of(_NAMES)}.{source.one_of(_FIELDS)}"
        case 4:
            return f"({inner()}).{source.one_of(_FIELDS)}"
        case 5:
            return f"{inner()}[{inner()}]"
        case 6 | 7:
            arguments = ", ".join(source.list_of(lambda _: inner(), 3))
            return f"({inner()}) | {source.one_of(_FILTERS)}{f'({arguments})' if arguments else ''}"
        case 8:
            key = source.one_of(("attribute=", "default=", "indent=", "width=", "start=", "reverse=", ""))
            return f"({inner()}) | {source.one_of(_FILTERS)}({key}{inner()})"
        case 9:
            return f"({inner()}).{source.one_of(_METHODS)}({', '.join(source.list_of(lambda _: inner(), 2))})"
        case 10 | 11:
            return f"({inner()} {source.one_of(_BINARY)} {inner()})"
        case 12:
            return f"({inner()} if {inner()} is {source.one_of(_TESTS)} else {inner()})"
        case _:
            items = source.list_of(lambda _: inner(), 3)
            return source.one_of(
                (
                    f"[{', '.join(items)}]",
                    f"({', '.join(items)},)",
                    "{'k': " + inner() + "}",
                    f"range({', '.join(items)})",
                )
            )


def _value(source: Source) -> Any:
    match source.below(4):
        case 0:
            return "${" + source.rest().decode("utf-8", "replace") + "}"
        case 1:
            return source.rest().decode("utf-8", "replace")
        case 2:
            return "${" + _expression(source) + "}"
        case _:
            return {"k": ["${" + _expression(source) + "}", ("x ${" + source.text(40) + "} y",)], source.text(): 1}


TARGET = Target(
    name="templates",
    check=check,
    plant=Plant(templates, "check_name"),
    words=(
        *_NAMES,
        *_FIELDS,
        *(f"|{name}" for name in _FILTERS),
        *(f".{name}(" for name in _METHODS),
        *_BINARY,
        "${",
        "$${",
    ),
    memory_megabytes=1_000,
)

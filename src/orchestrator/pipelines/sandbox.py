"""The expression language of templates: Jinja2's, in a sandbox.

Jinja2's own sandbox keeps expressions away from `_` attributes and from methods that mutate. It lets a template call
any other method of any object (`path.unlink()`), does not bound `10 ** 10**8`, and has filters that draw random numbers
or return markup. So here: only listed methods of plain values can be called, what can blow up is counted (`limits`),
and every result is plain data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from html import escape
from pathlib import PurePath
from typing import Any

from jinja2 import StrictUndefined, Undefined, pass_context, pass_environment
from jinja2.exceptions import UndefinedError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orchestrator.pipelines import limits
from orchestrator.pipelines.paths import NOT_DATA, read

#: The filter of our own that raises where its value is undefined; no template can name it.
REQUIRED = "(required)"

#: Filters of Jinja2 that are not offered, and why.
LEFT_OUT = {
    "random": "the same inputs must give the same value, also after a resume",
    "attr": "write a plain path",
    "safe": "values are plain text here, not markup",
    "forceescape": "values are plain text here; `escape` is the filter",
    "urlize": "values are plain text here, not markup",
    "xmlattr": "values are plain text here, not markup",
}

_LAZY: tuple[type, ...] = (Iterator, range, type({}.keys()), type({}.values()), type({}.items()))

_SET = "difference intersection isdisjoint issubset issuperset union"

#: The methods that an expression may call: they look, and change nothing.
_METHODS: dict[type, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        str: "capitalize casefold center count encode endswith find index isalnum isalpha isascii isdecimal isdigit"
        " isidentifier islower isnumeric isspace istitle isupper join ljust lower lstrip partition removeprefix"
        " removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase"
        " title upper zfill",
        bytes: "count decode endswith find hex startswith",
        dict: "get items keys values",
        list: "count index",
        tuple: "count index",
        set: _SET,
        frozenset: _SET,
        int: "bit_length is_integer",
        float: "as_integer_ratio is_integer",
        Decimal: "is_finite is_nan normalize to_integral_value",
        date: "date isocalendar isoformat isoweekday strftime time utcoffset weekday",
        time: "isoformat strftime",
        timedelta: "total_seconds",
        PurePath: "as_posix is_absolute is_relative_to joinpath relative_to with_name with_stem with_suffix",
    }.items()
}


def plain(value: Any) -> Any:
    """A result as data: what is lazy becomes a list. Raises where it is undefined or no data at all."""
    if isinstance(value, Undefined):
        str(value)  # a strict one raises at any use
    if isinstance(value, _LAZY):
        return list(value)  # type: ignore[call-overload]  # all of _LAZY can be iterated
    if isinstance(value, NOT_DATA):
        raise UndefinedError(f"a {type(value).__name__} is no data; is a pair of () missing?")
    return value


# -- filters of our own --------------------------------------------------------------------------------------------


@pass_context
def _join(context: Context, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    """Jinja2's `join`, counted."""
    pieces = []
    for item in value:
        piece = str(item if attribute is None else context.environment.getitem(item, attribute))
        limits.spend(context, len(piece) + len(d))
        pieces.append(piece)
    return str(d).join(pieces)


@pass_environment
def _groupby(environment: Any, value: Any, attribute: Any, default: Any = None, case_sensitive: bool = False) -> Any:
    """Jinja2's `groupby`, with plain mappings as result: `grouper` and `list`."""
    groups = FILTERS["groupby"](environment, value, attribute, default, case_sensitive)
    return [{"grouper": plain(group), "list": list(items)} for group, items in groups]


@pass_context
def _map(context: Context, *args: Any, **kwargs: Any) -> Iterator[Any]:
    """Jinja2's `map`; an item without the attribute raises instead of being undefined."""
    return map(plain, FILTERS["map"](context, *args, **kwargs))


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON text as other programs expect it (Jinja2's own is escaped for HTML)."""
    if indent is not None and not 0 <= indent <= 16:
        raise limits.refuse("an indent lies between 0 and 16")
    return json.dumps(plain(value), ensure_ascii=False, indent=indent, default=str)


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(plain(value).items())


def _escape(value: Any) -> str:
    return escape(str(value))


def _filters() -> dict[str, Callable[..., Any]]:
    kept = {name: limits.limited(name, function) for name, function in FILTERS.items() if name not in LEFT_OUT}
    return kept | {
        "e": _escape,
        "escape": _escape,
        "groupby": _groupby,
        "items": _items,
        "join": _join,
        "map": _map,
        "tojson": _tojson,
        REQUIRED: plain,
    }


# -- the environment -----------------------------------------------------------------------------------------------


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment that expressions are compiled in."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, cache_size=0)
        self.filters = _filters()
        self.globals = {"range": self.globals["range"], "dict": dict}
        self._operators = {"+": limits.add, "*": limits.multiply, "**": limits.power, "%": limits.modulo}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`left operator right`, within the limits."""
        return self._operators[operator](context, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: a key of a mapping, else an attribute that the sandbox deems safe."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        try:
            found = getattr(obj, attribute)
        except AttributeError:
            return self.undefined(obj=obj, name=attribute)
        if self.is_safe_attribute(obj, attribute, found):
            return found
        return self.unsafe_undefined(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`: a key, an index, a slice or, by a text, a plain attribute."""
        try:
            return obj[argument] if isinstance(argument, slice) else read(obj, argument)
        except (LookupError, TypeError, AttributeError):
            return self.undefined(obj=obj, name=argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call `range`, `dict`, or a listed method of a plain value."""
        if __obj is not __self.globals["range"] and __obj is not dict:
            _check_method(__context, __obj, args, kwargs)
        return __obj(*args, **kwargs)


def _check_method(context: Context, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise SecurityError unless the method is listed and its result within the limits."""
    if isinstance(method, Undefined):
        str(method)
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "this")
    if not any(name in _METHODS.get(base, ()) for base in type(owner).__mro__):
        raise limits.refuse(f"{name}() of a {type(owner).__name__} cannot be called in a template")
    if name in limits.METHODS:
        limits.spend(context, limits.METHODS[name](owner, *args, **kwargs))

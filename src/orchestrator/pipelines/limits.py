"""How much one expression may make: a bound on every operator, method and filter whose result can outgrow its values.

`'x' * 10**9` is short to write. Before such an operation runs, the length of its result is estimated and counted
against the allowance of this evaluation; so `map('center', 9999)` over a list is bounded as well as one `center`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from typing import Any

from jinja2 import pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context

#: Characters and items that the operations of one evaluation may make, all together.
MAX_LENGTH = 10_000_000
#: Size of an integer that `*` or `**` may make: about 3,000 digits.
MAX_BITS = 10_000

#: The encodings that a template can read and write.
ENCODINGS = ("utf-8", "utf-16", "utf-32", "ascii", "latin-1")

_SPENT = "(spent)"
_SEQUENCES = (str, bytes, list, tuple)


def refuse(what: str) -> SecurityError:
    """The error for what an expression may not do; to be raised."""
    return SecurityError(f"{what}; compute it in a step")


def spend(context: Context, length: int) -> None:
    """Count `length` against the allowance of this evaluation. Raises SecurityError when it is used up."""
    spent = context.vars.get(_SPENT, 0) + max(0, length)
    if spent > MAX_LENGTH:
        raise refuse(f"the result would have {spent:,} characters or items, {MAX_LENGTH:,} are allowed")
    context.vars[_SPENT] = spent


def weight(value: Any) -> int:
    """Characters and items of a value, one level into containers."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return sum(len(item) if hasattr(item, "__len__") else 1 for item in value)
    return 1


# -- operators -----------------------------------------------------------------------------------------------------


def add(context: Context, left: Any, right: Any) -> Any:
    """`left + right`"""
    if isinstance(left, _SEQUENCES) and isinstance(right, _SEQUENCES):
        spend(context, len(left) + len(right))
    return left + right


def multiply(context: Context, left: Any, right: Any) -> Any:
    """`left * right`; a list that holds containers cannot be repeated, since its text would grow with each level."""
    for times, value in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(value, _SEQUENCES):
            if isinstance(value, (list, tuple)) and any(isinstance(item, (list, tuple, dict)) for item in value):
                raise refuse("a list of containers cannot be repeated")
            spend(context, times * weight(value))
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())
    return left * right


def power(context: Context, left: Any, right: Any) -> Any:
    """`left ** right`"""
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * abs(right))
    elif isinstance(left, Decimal) or isinstance(right, Decimal):
        raise refuse("** is for whole and floating point numbers")
    return left**right


def modulo(context: Context, left: Any, right: Any) -> Any:
    """`left % right`, for numbers."""
    if isinstance(left, (str, bytes)):
        raise SecurityError("% is for numbers; text has the filter `format`")
    return left % right


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise refuse(f"the result would be a number of about {bits * 3 // 10:,} digits")


# -- filters and methods: how long the result may become, from the value and the arguments -------------------------


def _width(value: str, width: Any = 80, *_: Any) -> int:
    return len(value) + (width if isinstance(width, int) else 0)


def _replace(value: Any, old: Any, new: Any, *_: Any) -> int:
    text = str(value)
    return len(text) + text.count(str(old)) * len(str(new))


def _indent(value: str, width: int | str = 4, *_: Any, **__: Any) -> int:
    if not isinstance(value, str):  # Jinja2's own would append to a list
        raise SecurityError("indent is for text")
    return len(value) + (value.count("\n") + 1) * (width if isinstance(width, int) else len(width))


def _wordwrap(value: str, width: int = 79, break_long_words: bool = True, wrapstring: str = "\n", *_: Any) -> int:
    return len(value) * (1 + len(wrapstring))


def _columns(value: Any, count: int, fill_with: Any = None) -> int:
    return count * max(1, weight(fill_with))


def _round(value: Any, precision: int = 0, *_: Any) -> int:
    return 0 if abs(precision) <= 300 else MAX_LENGTH + 1


def _sum(value: Any, attribute: Any = None, start: Any = 0) -> int:
    if isinstance(start, _SEQUENCES):
        raise SecurityError("sum adds numbers; lists and texts have the filter `join` and the operator +")
    return 0


def format_growth(value: Any, *args: Any, **kwargs: Any) -> int:
    """A width in a format is a number of characters: at most three digits of it, and none that comes from a value."""
    text, digits = str(value), 0
    if "*" in text:
        raise refuse("a format cannot take its width from a value ('*')")
    for char in text:
        digits = digits + 1 if char.isdigit() else 0
        if digits > 3:
            raise refuse("a format cannot have a width of more than 999")
    widest = 999 + max(map(weight, (*args, *kwargs.values())), default=0)
    return len(text) + text.count("%") * widest


def _coded(value: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:
    if str(encoding).lower().replace("_", "-") not in ENCODINGS:  # reading punycode takes the square of the length
        raise SecurityError(f"{encoding!r} is none of the encodings {', '.join(ENCODINGS)}")
    return len(value) * (4 if errors == "strict" else 80)  # `namereplace` writes a character's name


def _join(separator: str, items: Any) -> int:
    return sum(len(separator) + (len(item) if isinstance(item, str) else 0) for item in items)


_FILTERS: dict[str, Callable[..., int]] = {
    "batch": _columns,
    "center": _width,
    "format": format_growth,
    "indent": _indent,
    "replace": _replace,
    "round": _round,
    "slice": _columns,
    "sum": _sum,
    "wordwrap": _wordwrap,
}

#: Method -> its growth, from the object it is called on and the arguments.
METHODS: dict[str, Callable[..., int]] = {
    "center": _width,
    "decode": _coded,
    "encode": _coded,
    "join": _join,
    "ljust": _width,
    "replace": _replace,
    "rjust": _width,
    "strftime": lambda _, text: format_growth(text),
    "zfill": _width,
}


def limited(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, counting what it makes before it makes it."""
    growth = _FILTERS.get(name)
    if growth is None:
        return function
    passes = getattr(getattr(function, "jinja_pass_arg", None), "name", None)

    @wraps(function)
    def counting(context: Context, *args: Any, **kwargs: Any) -> Any:
        spend(context, growth(*args, **kwargs))
        match passes:
            case "eval_context":
                return function(context.eval_ctx, *args, **kwargs)
            case "environment":
                return function(context.environment, *args, **kwargs)
            case _:
                return function(*args, **kwargs)

    return pass_context(counting)

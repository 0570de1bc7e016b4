"""Words for messages: what stands somewhere, which known name is nearest, where in a definition something is."""

from __future__ import annotations

import difflib
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: A place inside a definition: keys and indices from its top.
Path = tuple[str | int, ...]

#: Names compared for one hint. Above it a hint would cost more than the rest of the check.
_MOST_COMPARED = 200


def kind_of(value: object) -> str:
    """What a value is, in the words of the format: `the text 'x'`, `the number 3`, `a list of 4`, `null`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 200:
            return f"a number of about {value.bit_length() * 3 // 10} digits"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {shorten(value)!r}"
        case Mapping():
            return f"a mapping of {len(value)}" if value else "an empty mapping"
        case list() | tuple():
            return f"a list of {len(value)}" if value else "an empty list"
        case _:
            return f"a {type(value).__name__}"


def shorten(text: str, limit: int = 40) -> str:
    """The text; where it is longer than `limit`, its beginning and an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(name: str, known: Iterable[object], limit: int = 2) -> list[str]:
    """The known names that look most like `name`, best first; case does not count."""
    if len(name) > 100:
        return []
    close = [word for word in known if isinstance(word, str) and abs(len(word) - len(name)) <= 4]
    if len(close) > _MOST_COMPARED:
        close.sort()  # of very many, those that begin alike
        middle = bisect(close, name)
        close = close[max(0, middle - _MOST_COMPARED // 2) : middle + _MOST_COMPARED // 2]
    by_folded = {word.casefold(): word for word in reversed(close)}
    return [by_folded[word] for word in difflib.get_close_matches(name.casefold(), by_folded, limit, 0.6)]


def did_you_mean(name: str, known: Iterable[object]) -> str:
    """`did you mean 'load'?`, or nothing where nothing is near."""
    found = nearest(name, known)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else ""


def one_of(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def all_of(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


#: Under these keys stand lists of steps.
_STEPS = frozenset({"steps", "finally", "parallel"})


def path_text(path: Path, definition: object = ()) -> str:
    """A place as text: `steps.load.with.rows[2]`. A step is named by its id where the definition has one.

    In the place of a whole definition the ids of its steps will do.
    """
    text = ""
    node: Any = definition if isinstance(definition, Mapping) else {"steps": [{"id": id} for id in _list(definition)]}
    for depth, part in enumerate(path):
        node = _child(node, part)
        shown: str | int = part
        if isinstance(part, int) and depth and path[depth - 1] in _STEPS and isinstance(node, Mapping):
            name = node.get("id")
            shown = name if isinstance(name, str) and name else part
        text += f"[{shown}]" if isinstance(shown, int) else f".{shown}" if text else shown
    return text


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _child(node: Any, part: str | int) -> Any:
    if isinstance(node, Mapping):
        return node.get(part)
    return node[part] if isinstance(node, list) and isinstance(part, int) and part < len(node) else None

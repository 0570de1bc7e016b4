"""What leaves the process carries no secret: texts and data with what looks like a credential replaced by `***`.

A secret is known by the name beside it (`password=…`, `--token …`, `Authorization: …`, `{"api_key": …}`), by its place
in an address (`scheme://user:…@host`), or by its own shape (well-known prefixes of tokens). What looks like nothing of
these passes: this is a net under mistakes, not a reason to put secrets into messages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any

from orchestrator.failure.foreign import TEXT_CHARACTERS, writable

_NAMES = (
    r"password|passwd|passphrase|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key"
)
_SECRET_NAME = re.compile(rf"{_NAMES}|\bpwd\b|authorization|cookie|session[_-]?id", re.IGNORECASE)
#: Names of amounts, which are no secrets where they are numbers: `max_tokens`.
_AMOUNT = re.compile(r"tokens$|count$|length$|limit$|expires?", re.IGNORECASE)
_SECRET = re.compile(
    r"(?P<header>\b(?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|digest|token|apikey)\s+)?)[^\s\"',;&]+"
    r"|(?P<cookie>\b(?:set-)?cookie[\"']?\s*[:=]\s*[\"']?)[^\"'\r\n]+"
    rf"|(?P<name>(?:{_NAMES}|\bpwd)[\"']?\s*[:=]\s*(?!\*{{3}}))(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|[\"']?[^\s\"',;&]+)"
    r"|(?P<user>://[^/\s:@]*:)[^/\s]+(?=@)"
    rf"|(?P<option>(?<![\w-])--?[\w-]{{0,40}}(?:{_NAMES})[ \t]+(?!\*{{3}}))[^\s\"',;&-][^\s\"',;&]*"
    r"|(?P<bearer>\bbearer\s+)[\w.~+/=-]{8,}"
    r"|\b(?:(?:sk|pk|rk)[-_][\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*)",
    re.IGNORECASE,
)
#: One of these stands in whatever `_SECRET` finds. Most texts have none, and to see that takes a tenth of the time.
_SIGNS = (
    *("pass", "secret", "token", "credential", "key", "pwd", "authorization", "cookie", "://", "bearer"),
    *("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("xox", "akia", "asia", "eyj"),
)

#: How deep and how much of a value is kept.
_DEPTH, _ITEMS = 8, 1000


def scrub(text: str) -> str:
    """The text with what looks like a credential replaced by `***`."""
    if text.isascii():  # elsewhere there are other letters that a search without case takes for these
        lower = text.lower()
        if not any(sign in lower for sign in _SIGNS):
            return text
    return _SECRET.sub(lambda found: (found[found.lastgroup] if found.lastgroup else "") + "***", text)


def plain(value: Any) -> Any:
    """The value as JSON-ready data without secrets: what is no plain data is its text. Depth and size are bounded."""
    try:
        return _plain(value, _DEPTH, iter(range(_ITEMS)))
    except Exception as exc:  # noqa: BLE001 - told in its place: a mapping of somebody else's may raise
        return _text(exc)


def _plain(value: Any, depth: int, budget: Iterator[int]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, depth, budget)
    if isinstance(value, int) and value.bit_length() < 1024:
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, date | time | datetime):
        return value.isoformat()
    if isinstance(value, Mapping) and depth:
        items = _some(value.items(), budget)
        return {_text(key): _plain_item(_text(key), item, depth - 1, budget) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_plain(item, depth - 1, budget) for item in _some(value, budget)]
    return _text(value)


def _plain_item(name: str, value: Any, depth: int, budget: Iterator[int]) -> Any:
    amount = value is None or (isinstance(value, int | float) and _AMOUNT.search(name))
    return "***" if _SECRET_NAME.search(name) and not amount else _plain(value, depth, budget)


def _some(items: Iterable[Any], budget: Iterator[int]) -> Iterator[Any]:
    return (item for item, _ in zip(items, budget, strict=False))


def _text(value: Any) -> str:
    try:
        text = str(value)
    except Exception as exc:  # noqa: BLE001 - told in its place
        text = f"(a {type(value).__name__}, whose text cannot be made: {type(exc).__name__})"
    return scrub(writable(text[:TEXT_CHARACTERS]))

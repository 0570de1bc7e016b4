"""What an unquoted YAML word means: the core schema of YAML 1.2.2 (section 10.3.2), and nothing else.

YAML 1.1 reads `no`, `on` and `12:30` as false, true and 750, and a date as a date object. Here they are text.
"""

from __future__ import annotations

import re

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")

#: Digits of a number. Python itself refuses to read more than 4,300 of them.
MOST_DIGITS = 1_000


def plain(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar. Raises ValueError for a number of more than `MOST_DIGITS` digits."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _FLOAT.fullmatch(text) is None:
        if _HEX.fullmatch(text):
            return int(_checked(text), 16)
        return int(_checked(text), 8) if _OCTAL.fullmatch(text) else text
    return int(_checked(text)) if _DECIMAL.fullmatch(text) else float(_checked(text))


def _checked(text: str) -> str:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"this number has more than {MOST_DIGITS} digits; put it in quotes to have it as text")
    return text

"""Finding `${…}` in a text. `$${` is a literal `${`.

The body of a placeholder ends at its balanced `}`: quotes and brackets inside of it count, so that `${ {'a': '}'} }`
is one placeholder. A body that is a plain path (`a.b[0]['c']`) is told apart here: it needs no expression library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.errors import TemplateError
from orchestrator.pipelines.wording import Path, shorten

MAX_EXPRESSION = 2_000
#: Placeholders of one text.
MAX_PLACEHOLDERS = 1_000
#: Brackets inside brackets of one expression.
MAX_BRACKETS = 40

#: Words of the expression language; no input, step or variable can have one of these names.
RESERVED = frozenset({"true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if", "else"})

_OPEN = re.compile(r"\$\$\{|\$\{")
_PATH = re.compile(
    r"""\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\.\d{1,9}|\[-?\d{1,9}\]|\['[^'\\{}]*'\]|\["[^"\\{}]*"\])*)\s*\}"""
)
_SEGMENT = re.compile(r"""\.?([A-Za-z_]\w*)|\.(\d+)|\[(-?\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|['"{}()\[\]]""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `${…}`: its whole text, what stands between the braces, and where in the text it begins.

    `path` is the way where the body is a plain path, else None.
    """

    text: str
    body: str
    offset: int
    path: Path | None


def scan(text: str) -> tuple[str | Placeholder, ...]:
    """The literal pieces (with `$${` made `${`) and the placeholders of a text, in order. Raises TemplateError."""
    return _scan(text) if len(text) < 1_000 else _scan.__wrapped__(text)


@lru_cache(maxsize=4096)
def _scan(text: str) -> tuple[str | Placeholder, ...]:
    parts: list[str | Placeholder] = []
    literal = ""
    at = found = 0
    while match := _OPEN.search(text, at):
        literal += text[at : match.start()]
        if match[0] == "$${":
            literal += "${"
            at = match.end()
            continue
        placeholder = _placeholder(text, match.start(), match.end())
        found += 1
        if found > MAX_PLACEHOLDERS:
            raise TemplateError(
                f"more than {MAX_PLACEHOLDERS:,} placeholders in one text", placeholder.text, match.start()
            )
        if literal:
            parts.append(literal)
            literal = ""
        parts.append(placeholder)
        at = placeholder.offset + len(placeholder.text)
    if literal := literal + text[at:]:
        parts.append(literal)
    return tuple(parts)


def has_placeholder(value: object) -> bool:
    """Whether a value is a text with at least one `${…}` in it."""
    return isinstance(value, str) and "${" in value and any(isinstance(part, Placeholder) for part in scan(value))


def _placeholder(text: str, start: int, body_start: int) -> Placeholder:
    if match := _PATH.match(text, body_start, body_start + MAX_EXPRESSION):
        path = _segments(match[1])
        return Placeholder(text[start : match.end()], match[1], start, None if path[0] in RESERVED else path)
    end = _end(text, start, body_start)
    body = text[body_start : end - 1]
    if not body.strip():
        raise TemplateError("'${}' names nothing; write '$${' for a literal '${'", text[start:end], start)
    if len(body) > MAX_EXPRESSION:
        raise TemplateError(
            f"an expression of more than {MAX_EXPRESSION:,} characters; compute it in a step",
            text[start : start + 40],
            start,
        )
    return Placeholder(text[start:end], body.strip(), start, None)


def _segments(path: str) -> Path:
    return tuple(
        int(match[match.lastindex]) if match.lastindex in (2, 3) else match[match.lastindex or 1]
        for match in _SEGMENT.finditer(path)
    )


def _end(text: str, start: int, at: int) -> int:
    """The offset after the `}` that closes the placeholder which begins at `start`."""
    depth = 1
    while match := _TOKEN.search(text, at):
        at = match.end()
        token = match[0]
        if token in "{([":
            depth += 1
            if depth > MAX_BRACKETS:
                raise TemplateError(
                    f"more than {MAX_BRACKETS} brackets inside of each other", shorten(text[start:at]), start
                )
        elif token in "})]":
            depth -= 1
            if depth == 0:
                if token == "}":
                    return at
                raise TemplateError(f"{token!r} closes nothing in {shorten(text[start:at])!r}", text[start:at], start)
        elif len(token) == 1:
            raise TemplateError(f"the quote {token} is not closed in {shorten(text[start:])!r}", text[start:], start)
    raise TemplateError(
        f"'${{' is not closed: a '}}' is missing after {shorten(text[start:])!r} (a literal '${{' is written '$${{')",
        text[start:],
        start,
    )

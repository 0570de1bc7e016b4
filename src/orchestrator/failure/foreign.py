"""Looking at somebody else's exception without being hurt: its attributes, its text, its causes.

An error is being described, so that another one in the way of that tells nothing: what raises here counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.errors import RemoteError

#: What is kept of an error's text.
TEXT_CHARACTERS = 8000
#: How many exceptions of a chain, or of a group, are looked at.
MOST_LINKS = 100


def attribute(owner: object, name: str) -> Any:
    """An attribute of somebody else's object; None where there is none, or where looking at it raises."""
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 - see above
        return None


def called(function: Any) -> Any:
    """What a function of somebody else's gives; None where it raises."""
    try:
        return function()
    except Exception:  # noqa: BLE001 - see above
        return None


def inside(owner: Any, *keys: str) -> Any:
    """What stands in nested mappings under these keys; None where there is nothing."""
    for key in keys:
        owner = owner.get(key) if isinstance(owner, Mapping) else None
    return owner


def text_of(exc: BaseException) -> str:
    """An exception's text, at most 8,000 characters of it, and only such as can be written."""
    try:
        text = str(exc)
    except Exception as inner:  # noqa: BLE001 - see above
        text = f"(its text cannot be made: {type(inner).__name__})"
    return writable(text if len(text) <= TEXT_CHARACTERS else text[:TEXT_CHARACTERS] + "…")


def writable(text: str) -> str:
    """The text with lone surrogates, as in names of files that are not UTF-8, written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def names_of(exc: BaseException) -> Iterator[tuple[str, str]]:
    """The module and the qualified name of an exception's type and of each of its bases, the most specific first.

    Of an exception of a worker process, only its own name is known.
    """
    if isinstance(exc, RemoteError):
        module, _, name = exc.type_name.rpartition(".")
        yield module, name
    else:
        for base in type(exc).__mro__:
            yield base.__module__, base.__qualname__


def causes(exc: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """The exception, what it was raised from, and so on.

    Where nothing is named, what was being handled at that time counts as its cause, unless it was said not to
    (`raise … from None`). No exception of `seen` comes twice, and at most 100 are seen in all.
    """
    link: BaseException | None = exc
    while link is not None and id(link) not in seen and len(seen) < MOST_LINKS:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)

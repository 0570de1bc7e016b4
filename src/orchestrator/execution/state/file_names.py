"""The name of a state file, made from an execution's id: one for each id, and never a way out of the folder.

Lower-case letters, digits, `_` and `-` stand for themselves, every other byte is `%` and two hex digits: two ids have
two names also where the file system does not tell capitals apart. A long name ends in `~` and the hash of the id.
"""

from __future__ import annotations

import hashlib
import re

from orchestrator.errors import InputError
from orchestrator.execution.state.checking import check_id
from orchestrator.execution.state.formats import PersistenceFormat

#: What a state file's name ends with, by format.
SUFFIXES = {
    PersistenceFormat.JSON: ".state.json",
    PersistenceFormat.PICKLE: ".state.pickle",
    PersistenceFormat.COMPRESSED_JSON: ".state.json.zst",
    PersistenceFormat.COMPRESSED_PICKLE: ".state.pickle.zst",
    PersistenceFormat.MSGPACK: ".state.msgpack",
    PersistenceFormat.COMPRESSED_MSGPACK: ".state.msgpack.zst",
}
_FORMATS = {suffix: kind for kind, suffix in SUFFIXES.items()}
#: Longer names are shortened; file systems allow 255 bytes.
_MAX_NAME = 160
_SPECIAL = re.compile(rb"[^a-z0-9_-]")
_ESCAPE = re.compile(rb"%([0-9a-f]{2})")


def file_stem(execution_id: str) -> str:
    """The name without its suffix. Raises InputError for an id that is empty or no text."""
    check_id("an execution's id", execution_id)
    try:
        raw = execution_id.encode()
    except UnicodeEncodeError:
        raise InputError(f"the id {execution_id!r} holds half a character (a lone surrogate); choose another") from None
    name = _SPECIAL.sub(lambda found: b"%" + found[0].hex().encode(), raw).decode()
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 65]}~{hashlib.sha256(raw).hexdigest()}"


def id_of_stem(stem: str) -> str | None:
    """The id that a name stands for; None where it was shortened, and only the file itself knows."""
    if "~" in stem:
        return None
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), stem.encode()).decode(errors="replace")


def split_name(name: str) -> tuple[str, PersistenceFormat] | None:
    """The stem and the format of a file name; None for a file that is no state."""
    stem, dot, rest = name.partition(".")
    kind = _FORMATS.get(dot + rest)
    return (stem, kind) if stem and kind else None

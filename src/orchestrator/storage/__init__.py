"""WHERE IT IS KEPT: one module per place, all behind the `Store` protocol.

`memory:` is this process's memory, `sqlite:PATH` or a bare path a file that several processes may use at once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from orchestrator.clock import Clock
from orchestrator.errors import InputError
from orchestrator.journal.store import Store
from orchestrator.storage.owners import this_owner

__all__ = ["DEFAULT_STORE", "Durability", "open_store", "this_owner"]

#: What a commit survives: the loss of power, the death of the process, or nothing.
Durability: TypeAlias = Literal["disk", "process", "none"]

#: Where journals are kept when nothing else is said: below the working folder.
DEFAULT_STORE = "sqlite:.orchestrator/journal.db"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)  # a single letter is a drive


def open_store(url: str | None = None, *, durability: str = "disk", clock: Clock | None = None) -> Store:
    """Open a store: `memory:`, `sqlite:PATH` (also `sqlite:///absolute/path`), or a path; DEFAULT_STORE for None.

    `durability` is one of `Durability`; `none` gives a memory store whatever the address. Raises InputError for an
    address or a word that is not known, and StoreError (SchemaError) where the file cannot be used.
    """
    if durability not in get_args(Durability):
        raise InputError(f"durability {durability!r} is not known; choose disk, process or none")
    address = DEFAULT_STORE if url is None else url
    scheme, rest = _split(address)
    if scheme not in ("memory", "sqlite"):
        raise InputError(f"no store is named {scheme!r} (in {address!r}); give `sqlite:PATH`, a path, or `memory:`")
    if scheme == "memory" or durability == "none":
        from orchestrator.storage.memory import MemoryStore

        return MemoryStore(clock)
    from orchestrator.storage.sqlite import SqliteStore

    return SqliteStore(_path_of(rest, address), clock, synced=durability == "disk")


def _split(url: str) -> tuple[str, str]:
    found = _SCHEME.fullmatch(url)
    return (found[1].lower(), found[2]) if found else ("sqlite", url)


def _path_of(text: str, url: str) -> Path:
    path = text[2:] if text.startswith("///") else text
    if not path or path.startswith("//"):
        raise InputError(f"{url!r} names no file; write `sqlite:PATH` or `sqlite:///absolute/path`")
    return Path(path)

"""Everything that reads data, given data that means harm, in a process with an audit hook (PEP 578).

The interpreter itself tells what happened. A hook stays for good, hence a process of its own: `main` prints what was
seen, and at last what is seen of a pickle that is signed as it should be, which shows that the hook sees.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import operator
import os
import pickle
import posix
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import ormsgpack

from orchestrator.execution.state import PersistenceFormat, formats
from orchestrator.journal.codec import from_json, unpack
from orchestrator.journal.codec.table import BY_WORD
from orchestrator.journal.records import decode_body
from orchestrator.pipelines.yaml_source import parse_yaml

Read = tuple[Callable[[Any], Any], Any]

#: Classes and functions that do things when they are called. Their modules are imported, so that they can be found; of
#: "antigravity" and "this" it would be seen if they were.
NAMES = [
    *(("os", "system"), ("posix", "system"), ("subprocess", "Popen"), ("importlib", "import_module")),
    *(("ctypes", "CDLL"), ("socket", "socket"), ("tempfile", "TemporaryDirectory"), ("os", "_wrap_close")),
    *(("operator", "attrgetter"), ("antigravity", "x"), ("this", "s"), ("", "eval"), ("builtins.eval", "")),
    *(("builtins", name) for name in ("eval", "exec", "__import__", "open", "type", "object")),
]
CLASSES: dict[str, list[Any]] = {
    "enum": ["id", "id"],
    "dataclass": [{"args": "id"}],
    "pydantic": [{"args": "id"}, ["args"]],
    "namedtuple": [["id"]],
    "registered": ["id"],
}
TAGS = [
    "!!python/object/apply:os.system [id]",
    "!!python/object/new:os.system [id]",
    "!!python/name:os.system",
    "!!python/module:antigravity",
    "!<tag:yaml.org,2002:python/object:os.system> {}",
    "!custom x",
    "!!binary aWQ=",
]
#: Types of an array in the header of an npy file, which old readers evaluated.
ARRAYS = ["'|O'", "[('a', '|O')]", "__import__('os').system('true')", "(lambda: 1)()"]

IMPORTED = (ctypes, importlib, operator, posix, socket, subprocess, tempfile)

#: What may not happen while data is read.
RUNS = ("import", "open", "exec", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "tempfile.", "pickle.")


class Call:
    """Unpickled, it runs a command."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)


CALL = pickle.dumps(Call())


def forged(kind: PersistenceFormat, payload: bytes) -> bytes:
    """The file that a writer of evil makes: an honest header, signed with a key of theirs, around any payload."""
    ours = formats._payload
    formats._payload = lambda kind, state: formats._compress(payload) if kind.is_compressed else payload
    try:
        return formats.write(formats.Header("run", "running", 0.0, kind), {}, lambda: b"theirs")
    finally:
        formats._payload = ours


def packed(word: str, parts: Any) -> bytes:
    """A value of this type, as the journal holds it."""
    data = parts if isinstance(parts, bytes) else ormsgpack.packb(parts)
    return ormsgpack.packb(ormsgpack.Ext(BY_WORD[word].tag, data))


def array(described: str) -> bytes:
    """An array that says this of its type, with a pickle for its data."""
    header = f"{{'descr': {described}, 'fortran_order': False, 'shape': (1,), }}".ljust(117).encode() + b"\n"
    return b"\0\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + CALL


def reads() -> Iterator[Read]:
    """Every reader with everything that it is given."""
    for module, name in NAMES:
        for word, rest in CLASSES.items():
            yield from of_a_class(word, [module, name, *rest])
    for kind in PersistenceFormat:
        signed = forged(kind, CALL)
        yield lambda data: formats.read(data, None), signed
        for data in (signed, CALL, signed[:30], signed[:50], signed[:-1], signed + b"x"):
            yield lambda data: formats.read(data, lambda: b"ours"), data
    yield from ((parse_yaml, f"pipeline: {tag}\n") for tag in TAGS)
    yield from ((unpack, packed("numpy", array(described))) for described in ARRAYS)
    for word in ("os.system", "eval", "__class__", "created"):
        yield decode_body, b"\0" + ormsgpack.packb([1, [[0.0, word, "id"]]])


def of_a_class(word: str, parts: list[Any]) -> Iterator[Read]:
    """An object of that class in every form that is read."""
    value = packed(word, parts)
    yield from_json, {f"${word}": parts}
    yield unpack, value
    yield lambda data: unpack(data, plain=True), value
    for kind in PersistenceFormat:
        text = value if "msgpack" in kind else json.dumps({"status": {f"${word}": parts}}).encode()
        yield lambda data: formats.read(data, None), forged(kind, text)


class Watch:
    """Notes what the interpreter reports of while something is read."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        sys.addaudithook(self._hear)

    def events(self, read: Read) -> list[str]:
        """What happened during a reading; whether it was refused is no matter here."""
        self.seen = found = []
        try:
            read[0](read[1])
        except Exception:  # noqa: BLE001 - of every kind, and asserted elsewhere
            return found
        finally:
            self.seen = None
        return found

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.seen is not None and event.startswith(RUNS):
            self.seen.append(f"{event} {args[0] if args else ''}")


def main() -> None:
    """Print what was seen, as JSON."""
    unpack(packed("numpy", array("'<i8'")[: -len(CALL)] + bytes(8)))  # what numpy imports at its first array
    every, watch = list(reads()), Watch()
    seen = sorted({event for read in every for event in watch.events(read)})
    honest = forged(PersistenceFormat.PICKLE, CALL)
    planted = watch.events((lambda data: formats.read(data, lambda: b"theirs"), honest))
    print(json.dumps({"reads": len(every), "seen": seen, "planted": planted, "numpy": np.__version__}))


if __name__ == "__main__":
    main()

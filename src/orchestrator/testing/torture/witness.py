"""The witness: a file to which everybody appends what they did, in the one order in which it happened.

A handler appends `key generation pid` when it starts. `known key generation digest` says that from here on the success
of a step is known: a subscriber appends it, which is told after the commit, and so does the harness for what it finds
recorded while nobody runs. A step that starts after it was known has run twice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from orchestrator.journal.codec import Encoded

#: `key generation`: what may succeed once.
Identity: TypeAlias = str

_KNOWN = "known"


def digest_of(output: Encoded | None) -> str:
    """A short name for a recorded value; `-` for a step that has none."""
    if output is None:
        return "-"
    return hashlib.sha256(output.data + b"".join(output.blobs)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Start:
    """A handler that started, and whether its success was known by then."""

    identity: Identity
    pid: int
    was_known: bool


@dataclass(frozen=True, slots=True)
class Witness:
    """The file of one run."""

    path: Path

    def know(self, successes: Mapping[Identity, str]) -> None:
        """Append that these steps have succeeded, with the digest of what each gave."""
        text = "".join(f"{_KNOWN} {identity} {digest}\n" for identity, digest in successes.items())
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def known(self) -> dict[Identity, str]:
        """What is known to have succeeded, with its first digest."""
        found: dict[Identity, str] = {}
        for words in self._lines():
            if words[0] == _KNOWN:
                found.setdefault(" ".join(words[1:3]), words[3])
        return found

    def starts(self) -> list[Start]:
        """Every start, in order."""
        known: set[Identity] = set()
        found = []
        for words in self._lines():
            if words[0] == _KNOWN:
                known.add(" ".join(words[1:3]))
            else:
                identity = " ".join(words[:2])
                found.append(Start(identity, int(words[2]), identity in known))
        return found

    def _lines(self) -> Iterator[list[str]]:
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                yield line.split()

"""The licences of what is installed with us: read from the metadata of each distribution, held against a list.

The list names licences that ask for nothing but their notice to be kept. One that is not on it is a question for a
person, not for a program: it fails the suite until somebody has answered it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

from packaging.requirements import Requirement

RUN_LOCK = Path(__file__).parents[2] / "requirements" / "run.txt"

#: SPDX identifiers, and what older metadata says in their place. `any-OSI` is apsw: the licence of one's choice.
ALLOWED = frozenset(
    {"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "ISC", "Zlib", "0BSD", "Unlicense", "any-OSI"}
    | {f"{name} License" for name in ("MIT", "BSD", "Python Software Foundation", "ISC", "Apache Software")}
)


def locked(lock: Path) -> Iterator[Requirement]:
    """What a lock installs on this machine."""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line[:1].strip(" #"):  # else a hash of the line above, or a comment
            requirement = Requirement(line.removesuffix("\\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def licence_of(distribution: str) -> str:
    """What an installed distribution says its licence is; empty where it says nothing."""
    told = metadata(distribution)
    classified = [name.rpartition(" :: ")[2] for name in told.get_all("Classifier", []) if name.startswith("License ")]
    return told.get("License-Expression") or " AND ".join(classified) or told.get("License") or ""


def is_allowed(licence: str) -> bool:
    """Whether an expression can be met by licences of the list alone; one that is not understood cannot."""
    choices = re.split(r"\s+OR\s+", licence.strip("() "))
    return any(all(part in ALLOWED for part in re.split(r"\s+AND\s+", choice.strip("() "))) for choice in choices)

"""The queries of the SQL files, by name.

A file holds pieces that each begin with `-- name: what_it_is`, followed by a sentence and the statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

#: Where schema, migrations and queries stand.
SQL_FOLDER = Path(__file__).parent / "sql"

_PIECE = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def load_queries(folder: Path = SQL_FOLDER) -> Mapping[str, str]:
    """Every named statement of the files right below `folder`, without its comments."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.sql")):
        for name, text in _PIECE.findall(file.read_text(encoding="utf-8")):
            if name in found:
                raise ValueError(f"{file.name} gives the query {name!r} a second time")
            found[name] = _COMMENT.sub("", text).strip()
    return found

"""The version of a journal database, and how an older one is brought up to date.

`schema.sql` makes a new file. Every change of it comes with a migration, `migrations/NNNN_what.sql`, which brings a
file of version NNNN - 1 to version NNNN; the version of the schema is that of the newest migration, or 1. The file's
own version stands in `PRAGMA user_version`, beside an application id that tells our files from other people's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import apsw

from orchestrator.errors import SchemaError
from orchestrator.storage.queries import SQL_FOLDER

#: "ORCH", in the header of every journal database.
APPLICATION_ID = 0x4F524348


@dataclass(frozen=True, slots=True)
class Schema:
    """How to make a new file, and how to bring an old one here: version -> the SQL that leads to it."""

    sql: str
    migrations: dict[int, str]

    @property
    def version(self) -> int:
        """What `user_version` says of a file that is up to date."""
        return max(self.migrations, default=1)


def load_schema(folder: Path = SQL_FOLDER) -> Schema:
    """The schema as the files say."""
    files = sorted((folder / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql"))
    migrations = {int(file.name[:4]): file.read_text(encoding="utf-8") for file in files}
    return Schema((folder / "schema.sql").read_text(encoding="utf-8"), migrations)


def version_of(connection: apsw.Connection, schema: Schema, path: Path) -> int:
    """The version of a file, 0 for a new one; raises SchemaError for one that is not ours to touch."""
    application, version, has_tables = _facts(connection)
    if application == APPLICATION_ID and version > schema.version:
        raise SchemaError(
            f"{path} was written by a newer Orchestrator (schema {version}, this one knows {schema.version}); "
            "upgrade with `pip install -U orchestrator-durable`, or choose another file"
        )
    if application == APPLICATION_ID and version > 0:
        return int(version)
    if application or version or has_tables:
        raise SchemaError(f"{path} is a database of another program; choose another file with `--store`")
    return 0


def _facts(connection: apsw.Connection) -> tuple[int, int, bool]:
    """Application id, version, and whether there are tables, as of one moment: another process may be making them."""
    outside = not connection.in_transaction
    if outside:
        connection.execute("BEGIN")
    try:
        application, version = connection.pragma("application_id"), connection.pragma("user_version")
        return application, version, bool(connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall())
    finally:
        if outside and connection.in_transaction:  # some errors end it
            connection.execute("COMMIT")


def bring_up_to_date(connection: apsw.Connection, schema: Schema, path: Path) -> None:
    """Make or migrate the tables, all or nothing. Of several processes at once one does it, and the others see it."""
    if version_of(connection, schema, path) == schema.version:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection, schema, version_of(connection, schema, path))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _migrate(connection: apsw.Connection, schema: Schema, version: int) -> None:
    steps = [schema.sql] if version == 0 else [schema.migrations[v] for v in range(version + 1, schema.version + 1)]
    for sql in steps:
        connection.execute(sql).fetchall()
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", schema.version)

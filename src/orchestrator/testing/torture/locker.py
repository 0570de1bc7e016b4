"""Another program that holds a store: `python -m orchestrator.testing.torture.locker STORE HOW`.

Says `held` when it does, and lets go when its stdin ends.
"""

from __future__ import annotations

import sys

import apsw

#: How a store may be held: what is executed to hold it.
WAYS = {
    "a write": "BEGIN IMMEDIATE",
    "exclusively": "BEGIN EXCLUSIVE",
    "a long write": "BEGIN IMMEDIATE; CREATE TABLE guest (x); INSERT INTO guest SELECT randomblob(1000) FROM "
    "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) SELECT i FROM n)",
    "a long read": "BEGIN; SELECT count(*) FROM sqlite_schema",
    "the whole file": "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE",
}


def main(store: str, how: str) -> None:
    """Hold it until nobody wants that any more."""
    connection = apsw.Connection(store)
    connection.set_busy_timeout(10_000)
    connection.execute(WAYS[how]).fetchall()
    print("held", flush=True)
    sys.stdin.read()
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

"""Import measurements into a database; rows with a fault go into a report instead.

    python examples/bad_rows/import_birds.py                      # 344 real rows, 11 of them incomplete
    python examples/bad_rows/import_birds.py --id slow --pace 1   # a second per batch: time enough to kill it
    python examples/bad_rows/import_birds.py --id slow --pace 1   # the same line again goes on where it stopped
    orchestrator show slow                                        # what happened

Each row is checked by a step of its own. A row that fails does not fail the import: `on_item_failure="collect"` gives
the error in the row's place. A batch may be inserted twice, if the process dies between the insert and the record of
it; the line number is the primary key, so the second time changes nothing. The table `batches` has a row for each time.
"""

import argparse
import csv
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import pipeline, progress, run, step

HERE = Path(__file__).parent
SPECIES = ("Adelie", "Chinstrap", "Gentoo")


@dataclass(frozen=True)
class Bird:
    """A row without a fault."""

    line: int
    species: str
    bill_mm: float
    mass_g: int
    sex: str


@step
def read(source: Path) -> list[dict[str, str]]:
    """The rows as they are, each with the number of its line."""
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return [row | {"line": str(reader.line_num)} for row in reader]


@step
def check(row: dict[str, str]) -> Bird:
    """The row as a bird. Raises ValueError, with every fault of the row."""
    faults = [f"{name} is missing" for name, value in row.items() if value in ("", "NA")]
    if row["species"] not in SPECIES:
        faults.append(f"there is no species {row['species']!r}")
    if faults:
        raise ValueError("; ".join(faults))
    return Bird(
        int(row["line"]), row["species"], float(row["bill_length_mm"]), int(float(row["body_mass_g"])), row["sex"]
    )


@step
def insert(birds: Sequence[Bird], database: Path, pace: float) -> int:
    """Insert a batch, all of it or nothing; how many of its rows were not there yet."""
    time.sleep(pace)
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "create table if not exists birds"
            " (line integer primary key, species text, bill_mm real, mass_g integer, sex text)"
        )
        connection.execute("create table if not exists batches (first_line integer, new_rows integer)")
        rows = [(bird.line, bird.species, bird.bill_mm, bird.mass_g, bird.sex) for bird in birds]
        new = connection.executemany("insert or ignore into birds values (?, ?, ?, ?, ?)", rows).rowcount
        connection.execute("insert into batches values (?, ?)", (birds[0].line, new))
        return new


@step
def write_report(faults: Sequence[tuple[str, str]], report: Path) -> Path:
    """One line for each row that was left out."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("".join(f"line {line}: {why}\n" for line, why in faults), encoding="utf-8")
    return report


@pipeline
def import_birds(source: Path, out: Path, batch: int = 50, pace: float = 0.0) -> dict[str, Any]:
    """Read, check, insert in batches, report."""
    rows = read(source)
    checked: list[Any] = check.map(rows, on_item_failure="collect", max_parallel=8)
    birds = [one["value"] for one in checked if one["ok"]]
    faults = [(row["line"], one["error"]["message"]) for row, one in zip(rows, checked, strict=True) if not one["ok"]]
    for start in range(0, len(birds), batch):
        insert(birds[start : start + batch], out / "birds.db", pace)
        progress(start / len(birds), f"{start} of {len(birds)}")
    report = write_report(faults, out / "rejected.txt")
    return {"imported": len(birds), "rejected": len(faults), "report": report}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, default=HERE.parent / "penguins/data/penguins.csv")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    parser.add_argument("--id", default="birds")
    parser.add_argument("--pace", type=float, default=0.0)
    given = parser.parse_args()
    print(run(import_birds.options(execution_id=given.id), given.source, given.out, pace=given.pace))

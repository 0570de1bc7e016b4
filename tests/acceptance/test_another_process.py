"""What one process began, another goes on with: classes of the handlers' modules, modules that are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.acceptance.cli_session import as_json, orchestrator

HANDLERS = """
import datetime as dt, enum, os
from dataclasses import dataclass
from pathlib import Path

class Colour(enum.Enum):
    RED = 1

@dataclass
class Row:
    x: int
    day: dt.date
    colour: Colour = Colour.RED

def rows() -> list[Row]:
    return [Row(n, dt.date(2026, 1, 1 + n)) for n in range(3)]

def double(row: Row) -> Row:
    if not Path(__file__).with_name("go").exists():
        os._exit(9)
    assert isinstance(row, Row)
    return Row(row.x * 2, row.day)
"""
PIPELINE = """
pipeline: classes
steps:
  - {id: rows, call: "work:rows"}
  - {id: doubled, for_each: "${rows}", as: row, call: "work:double", with: {row: "${row}"}}
outputs: {last: "${doubled[2].x}", colour: "${rows[0].colour.name}", rows: "${doubled}"}
"""


def begun(folder: Path) -> None:
    """A folder in which an execution `one` was killed by its own handler."""
    (folder / "work.py").write_text(HANDLERS)
    (folder / "p.yaml").write_text(PIPELINE)
    orchestrator(folder, "run", "p.yaml", "--id", "one", exits=9)


def test_values_of_the_handlers_classes_survive_the_process(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "go").touch()
    outputs: dict[str, Any] = {}
    for _ in range(2):  # the second time it has completed already
        outputs = as_json(tmp_path, "resume", "one")["outputs"]
        assert (outputs["last"], outputs["colour"], outputs["rows"][1]["x"]) == (4, "RED", 2)
    assert as_json(tmp_path, "show", "one")["outputs"] == outputs


def test_a_handler_that_is_gone_leaves_the_execution_as_it_is(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "work.py").rename(tmp_path / "away.py")
    refused = orchestrator(tmp_path, "resume", "one", exits=2)
    assert "no module 'work'" in refused.stderr
    assert "Traceback" not in refused.stderr
    (tmp_path / "away.py").rename(tmp_path / "work.py")
    (tmp_path / "go").touch()
    orchestrator(tmp_path, "resume", "one")

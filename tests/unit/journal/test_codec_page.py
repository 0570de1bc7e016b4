"""The page about values says what the table says, and its code runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from orchestrator.journal.codec.parts import FACTORIES
from orchestrator.journal.codec.table import ROWS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "values.md").read_text()


def test_every_type_of_the_table_stands_on_the_page() -> None:
    assert [row.word for row in ROWS if f'"${row.word}"' not in PAGE] == []
    assert [word for word in re.findall(r'"\$(\w+)"', PAGE) if word not in {row.word for row in ROWS}] == [
        "float",
        "bytes",
        "odd",
    ]
    assert ", ".join(f"`{name}`" for name in sorted(FACTORIES)[:-1]) in PAGE


def test_the_code_runs(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

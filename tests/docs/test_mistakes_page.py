"""The page of mistakes: each program gets the sentence that stands below it.

After a change: `ORCHESTRATOR_WRITE_REFERENCE=1 pytest tests/docs/test_mistakes_page.py`.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "mistakes.md"
_PART = re.compile(r"^```(python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """The module that the programs of the page stand in; what they leave open is closed."""
    opened: list[IO[str]] = []

    def remembered(file: str, mode: str) -> IO[str]:
        opened.append(Path(file).open(mode))  # noqa: SIM115 - closed below
        return opened[-1]

    module = types.ModuleType("report")
    module.__dict__.update({"__file__": str(tmp_path / "report.py"), "open": remembered})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "report", module)
    yield module
    for file in opened:
        file.close()


def test_each_mistake_gets_its_sentence(tmp_path: Path, report: types.ModuleType) -> None:
    page, told, asked = PAGE.read_text(encoding="utf-8"), "", 0

    def run(part: re.Match[str]) -> str:
        nonlocal told, asked
        if part[1] == "text":
            asked += 1
            return f"```text\n{textwrap.fill(told, 116, break_on_hyphens=False, break_long_words=False)}\n```"
        printed = io.StringIO()
        (tmp_path / "report.py").write_text(part[2], encoding="utf-8")  # where the source of its functions is read
        linecache.clearcache()
        with contextlib.redirect_stdout(printed):
            exec(compile(part[2], "report.py", "exec", dont_inherit=True), report.__dict__)
        told = printed.getvalue().strip()
        return part[0]

    written = _PART.sub(run, page)
    if os.environ.get("ORCHESTRATOR_WRITE_REFERENCE"):
        PAGE.write_text(written, encoding="utf-8")
        pytest.skip("written")
    assert asked == len(re.findall(r"^## ", page, re.MULTILINE))
    assert written.splitlines() == page.splitlines()

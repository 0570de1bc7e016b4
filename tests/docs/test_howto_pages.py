"""Every Python block of a how-to page runs as it stands: all blocks of a page in order, in one namespace."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

#: The page of mistakes has files left open, among others: `test_mistakes_page` runs it.
PAGES = sorted(p for p in (Path(__file__).parents[2] / "docs" / "howto").glob("*.md") if p.stem != "mistakes")


def blocks(page: Path) -> str:
    """The page with everything but its Python blocks as empty lines, so that a fault has the page's line number."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        first = text.count("\n", 0, match.start(1))
        for number, line in enumerate(match[1].splitlines()):
            lines[first + number] = line
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = blocks(page)
    assert code.strip(), "the page has no Python block"
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType(f"howto_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # classes of the page can be found again
    module.__dict__["__file__"] = str(page.parents[2] / "examples" / "by_hand" / "page.py")  # as the example's own
    exec(compile(code, str(page), "exec"), module.__dict__)


def test_the_page_shows_the_example_as_it_is() -> None:
    root = PAGES[0].parents[2]
    example = (root / "examples" / "by_hand" / "penguins.py").read_text(encoding="utf-8")
    assert f"```python\n{example}```" in (root / "docs" / "howto" / "by-hand.md").read_text(encoding="utf-8")

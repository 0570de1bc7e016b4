"""The page of promises: each names the tests that hold it, these exist, and the page can be found."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
#: Sections whose points are no promises.
_NO_PROMISES = ("Who is trusted with what", "What we do not protect against")


@lru_cache
def names_in(path: str) -> frozenset[str]:
    """The names of the test functions of a file, those in classes included."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, kinds) and n.name.startswith("test_"))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_that_the_page_names_exists(path: str, name: str) -> None:
    assert name in names_in(path)


def test_every_promise_names_a_test_and_every_security_test_is_named() -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    points = [
        point.split("\n\n")[0]
        for section in sections
        if not section.startswith(_NO_PROMISES)
        for point in section.split("\n- ")[1:]
    ]
    assert len(points) > 30
    assert [point[:60] for point in points if "::" not in point] == []
    files = [f"tests/security/{file.name}" for file in Path(__file__).parent.glob("test_*.py")]
    assert {(file, name) for file in files for name in names_in(file)} - set(NAMED) == set()


def test_the_page_is_found() -> None:
    assert "](docs/security.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/security.md)" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")

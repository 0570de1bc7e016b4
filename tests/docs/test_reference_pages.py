"""The reference pages say what the docstrings say.

After a change: `ORCHESTRATOR_WRITE_REFERENCE=1 pytest tests/docs/test_reference_pages.py`.
"""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path

import pytest
from tests.docs.reference import PAGES, page

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_docstrings_make(name: str) -> None:
    path, text = FOLDER / f"{name}.md", page(PAGES[name])
    if os.environ.get("ORCHESTRATOR_WRITE_REFERENCE"):
        path.write_text(text, encoding="utf-8")
        pytest.skip("written")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", PAGES)
def test_every_public_thing_has_a_docstring(name: str) -> None:
    module = importlib.import_module(PAGES[name])
    for public in module.__all__:
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), public

"""The list of mutants is up to date: each names text that stands in the code just once, and tests that exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.mutants.__main__ import ROOT, Mutant, mutants

PACKAGE = ROOT / "src" / "orchestrator"


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.why)
def test_a_mutant_still_applies(mutant: Mutant, tmp_path: Path) -> None:
    (tmp_path / mutant.file).parent.mkdir(parents=True, exist_ok=True)
    text = (PACKAGE / mutant.file).read_text()
    (tmp_path / mutant.file).write_text(text)
    mutant.apply(tmp_path)
    assert (tmp_path / mutant.file).read_text() != text
    for test in mutant.tests:
        assert (ROOT / test.partition("::")[0]).exists()

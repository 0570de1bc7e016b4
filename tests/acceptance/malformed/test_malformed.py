"""Every malformed file gives one clear message with its place, at once, and no traceback."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.acceptance.cli_session import orchestrator
from tests.acceptance.malformed.cases import CASES, Case

from orchestrator.errors import PipelineFileError
from orchestrator.pipelines.model import Pipeline


def test_there_are_a_hundred() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_told_what_is_wrong(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
    started = time.process_time()
    with pytest.raises(PipelineFileError) as caught:
        Pipeline.load(file)
    assert time.process_time() - started < 1
    (fault,) = caught.value.faults
    shown = str(caught.value)
    assert (fault.line, fault.column) == (case.line, case.column)
    assert case.message in shown
    assert shown.startswith(f"{file}:{case.line}:{case.column}: " if case.line else f"{file}: ")
    assert len(shown.split("\n")[0]) < 400 + len(str(file))
    if fault.source_line:
        _, line, caret = shown.split("\n")
        under = line[caret.index("^") : caret.index("^") + 1]
        assert under == fault.source_line[fault.column - 1 : fault.column].replace("\t", " ")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PipelineFileError, match="there is no such file"):
        Pipeline.load(tmp_path / "pipeline.yaml")


@pytest.mark.parametrize("case", CASES[::12], ids=lambda case: case.name)
def test_the_command_line_says_so_and_leaves_nothing_behind(case: Case, tmp_path: Path) -> None:
    """A sample, since each is a process of its own."""
    (tmp_path / "pipeline.yaml").write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
    done = orchestrator(tmp_path, "run", "pipeline.yaml", exits=2)
    assert case.message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]

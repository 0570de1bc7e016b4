"""The page on testing: its files, beside each other in a folder, do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "testing.md"


def write_files(folder: Path) -> None:
    """Write each block that begins with the name of a file."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^```(?:yaml|python)\n# ([\w.]+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert {name for name, _ in found} >= {"trip.yaml", "tasks.py", "trip.tests.yaml", "test_trip.py"}
    for name, content in found:
        (folder / name).write_text(content, encoding="utf-8")


def test_its_tests_in_python_pass(tmp_path: Path) -> None:
    write_files(tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "step_waiting ok" in (tmp_path / "golden" / "trip-held.txt").read_text()


def test_its_tests_in_a_file_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestrator.cli import main

    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    code, printed = main(["test", "trip.yaml"]), capsys.readouterr().out
    shown = re.search(r"^\$ orchestrator test .*?\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert shown is not None
    assert code == 0, printed
    names = re.compile(r"^(\w+ +.*?)  [\d.]+ s", re.MULTILINE)
    assert names.findall(printed) == names.findall(shown[1])

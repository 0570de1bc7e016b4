"""Commands to type next work as they stand."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from orchestrator.cli.hints import Hints, program


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An installed script, and a folder to stand in."""
    script = tmp_path / "venv/bin/orc"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    return script


def called(monkeypatch: pytest.MonkeyPatch, argv0: object, folder: Path, path: object = "/nowhere") -> str:
    monkeypatch.setattr(sys, "argv", [str(argv0)])
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.chdir(folder)
    return program()


def test_the_name_under_which_the_shell_finds_it(monkeypatch: pytest.MonkeyPatch, script: Path, tmp_path: Path) -> None:
    assert called(monkeypatch, script, tmp_path, path=script.parent) == "orc"
    other = tmp_path / "other"
    other.mkdir()
    (other / "orc").touch(mode=0o755)
    assert called(monkeypatch, script, tmp_path, path=other) == "venv/bin/orc"


def test_else_the_path_to_it(monkeypatch: pytest.MonkeyPatch, script: Path, tmp_path: Path) -> None:
    assert called(monkeypatch, script, tmp_path) == "venv/bin/orc"
    assert called(monkeypatch, "venv/bin/orc", tmp_path) == "venv/bin/orc"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert called(monkeypatch, script, elsewhere) == str(script)
    here = called(monkeypatch, script, script.parent)
    assert os.access(script.parent / here, os.X_OK) and "/" in here  # a bare name would be sought in PATH


def test_a_module_and_a_launcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = Path(sys.executable).name
    assert called(monkeypatch, "/x/orchestrator/__main__.py", tmp_path) == f"{python} -m orchestrator"
    assert called(monkeypatch, "/x/launch", tmp_path) == "launch"
    assert called(monkeypatch, "", tmp_path) == "orchestrator"


def test_what_is_typed_arrives_as_it_was_meant() -> None:
    typed = Hints("orc", "my runs.db").command("retry", "it's")
    assert shlex.split(typed) == ["orc", "retry", "it's", "--store", "my runs.db"]
    assert Hints("orc").command("list") == "orc list"

"""The code of the Python page and of the README runs as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples" / "weather", tmp_path / "examples" / "weather")
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_page(folder: Path) -> None:
    page = blocks(ROOT / "docs/reference/python.md", "python")
    run_file, handlers, built, resumed, look, people, failing, handler = page
    (folder / "handlers.py").write_text(handlers)
    (folder / "run_file.py").write_text(run_file.replace('{"hot": 30}', '{"hot": 30, "pace": 0}'))
    assert run(folder, "run_file.py").splitlines()[-1].isdigit()
    (folder / "built.py").write_text(built)
    assert "{'sum': 30}" in run(folder, "built.py")
    (folder / "pipeline.yaml").write_text("pipeline: p\nsteps:\n  - {id: a, set: {x: 1}}\n")
    (folder / "look.py").write_text(look)
    assert "monday completed 1 of 1" in run(folder, "look.py")
    asks = 'pipeline: p\nsteps:\n  - {id: paid, signal: paid}\n  - {id: ask, approve: "Ship ${paid.amount}?"}\n'
    (folder / "pipeline.yaml").write_text(asks + 'outputs: {by: "${ask.by}", choice: "${ask.choice}"}\n')
    (folder / "people.py").write_text(people + "    print(result.outputs)\n")
    assert run(folder, "people.py").splitlines() == [
        "ask Ship 12? ('approve', 'reject')",
        "{'by': 'ann', 'choice': 'approve'}",
    ]
    (folder / "pipeline.yaml").write_text("pipeline: p\nsteps:\n  - {id: a, set: {x: 1}}\n")
    (folder / "failing.py").write_text(failing)
    assert run(folder, "failing.py") == ""
    (folder / "resumed.py").write_text(resumed.replace('resume("monday")', 'resume("monday", store="journal.db")'))
    run(folder, "resumed.py")
    (folder / "handler.py").write_text(handler + '\nassert book("x").startswith("booked x")\n')
    run(folder, "handler.py")


def test_the_first_pipeline_of_the_readme(folder: Path) -> None:
    (yaml,) = blocks(ROOT / "README.md", "yaml")
    python, plain = blocks(ROOT / "README.md", "python")
    (folder / "pipeline.yaml").write_text(yaml)
    (folder / "words.py").write_text(python)
    (folder / "plain.py").write_text(plain)
    assert int(run(folder, "plain.py")) == len(f"{yaml} {python}".split())
    for line in re.findall(r"^\$ orchestrator (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE):
        done = subprocess.run(
            f"{sys.executable} -m orchestrator {line}", cwd=folder, shell=True, capture_output=True, text=True
        )
        assert done.returncode == 0, (line, done.stderr)
        assert ("result" if "wednesday" in line else "total") in done.stdout

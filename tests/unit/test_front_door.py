"""The front door: short, lazy, and true to what it lists."""

from __future__ import annotations

import subprocess
import sys

import pytest

import orchestrator

HEAVY = ["asyncio", "pydantic", "jinja2", "rich", "click", "apsw", "yaml", "ormsgpack", "numpy", "logging", "threading"]


def loaded_by(code: str) -> set[str]:
    """The heavy modules that a fresh interpreter has after running this."""
    script = f"{code}\nimport sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_the_import_loads_nothing_heavy() -> None:
    before = loaded_by("pass")
    assert loaded_by("import orchestrator") == before
    assert "asyncio" in loaded_by("import orchestrator; orchestrator.run")  # the probe sees what is there


def test_a_handler_that_reports_progress_loads_little() -> None:
    assert not loaded_by("from orchestrator import progress") & {"asyncio", "pydantic", "jinja2", "rich", "apsw"}


def test_importing_starts_no_thread_and_configures_no_logging() -> None:
    code = (
        "import pkgutil, importlib, threading, logging, orchestrator\n"
        "for m in pkgutil.walk_packages(orchestrator.__path__, 'orchestrator.'):\n"
        "    if '__main__' not in m.name and '.testing.' not in m.name: importlib.import_module(m.name)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert not logging.getLogger().handlers\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", orchestrator.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    assert (getattr(orchestrator, name).__doc__ or "").strip()


def test_the_list_is_the_table() -> None:
    assert set(orchestrator.__all__) == set(orchestrator._HOMES)
    assert len(orchestrator.__all__) <= 42  # what a durable function may say stands here too
    with pytest.raises(AttributeError, match="nobody"):
        _ = orchestrator.nobody  # type: ignore[attr-defined]

"""Addresses of stores, and what is said of those that are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.storage import DEFAULT_STORE, open_store
from orchestrator.testing.store_contract.given import living


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:a.db", "a.db"),
        ("SQLite:a.db", "a.db"),
        ("a.db", "a.db"),
        ("./a b.db", "a b.db"),
        ("new/a.db", "new/a.db"),
        ("sqlite:odd:name?x=%20.db", "odd:name?x=%20.db"),
        (DEFAULT_STORE, ".orchestrator/journal.db"),
        (None, ".orchestrator/journal.db"),
    ],
)
def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, file: str) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(url)
    try:
        assert (tmp_path / file).is_file()
        assert store.location == file
        assert store.survives_process
        monkeypatch.chdir("/")
        store.extend(living())
        assert store.feed() == []  # by a connection that is opened now: the working folder does not matter
    finally:
        store.close()


@pytest.mark.parametrize("form", ["sqlite:{}", "sqlite://{}", "{}"])
def test_absolute_files(tmp_path: Path, form: str) -> None:
    store = open_store(form.format(tmp_path / "a.db"))
    store.close()
    assert (tmp_path / "a.db").is_file()


@pytest.mark.parametrize("url", ["memory:", "memory:anything"])
def test_memory(url: str) -> None:
    assert open_store(url).location == "memory:"


def test_no_durability_is_memory_whatever_the_address(tmp_path: Path) -> None:
    assert not open_store(str(tmp_path / "a.db"), durability="none").survives_process
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "durability", "words"),
    [
        ("postgres://host/db", "disk", "'postgres'"),
        ("sqlite:", "disk", "names no file"),
        ("", "disk", "names no file"),
        ("sqlite://host/file", "disk", "names no file"),
        ("a.db", "sometimes", "choose disk, process or none"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(url: str, durability: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_store(url, durability=durability)


def test_importing_the_room_loads_neither_database_nor_codec() -> None:
    heavy = ("apsw", "ormsgpack", "backports.zstd")
    code = f"import sys, orchestrator.storage; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"

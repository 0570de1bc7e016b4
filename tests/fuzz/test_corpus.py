"""Every committed input, those that were findings once included, keeps each target's promises; no fuzzer is needed.

`found-` inputs are read one by one, so that a failure says which.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz import planted
from tests.fuzz.source import Source
from tests.fuzz.target import CORPUS, MODULES, load

FOUND = sorted(CORPUS.glob("*/found-*"))


@pytest.mark.parametrize("name", MODULES)
def test_the_corpus_is_clean(name: str) -> None:
    target = load(name)
    files = sorted(target.corpus.iterdir())
    assert 10 <= len(files) <= 60
    for file in files:
        assert file.stat().st_size <= 1024, file
        try:
            target.check(file.read_bytes())
        except Exception as error:
            error.add_note(f"python -m tests.fuzz {name} --replay {file}")
            raise


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_was_found_stays_away(file: Path) -> None:
    load(file.parent.name).check(file.read_bytes())


def test_the_planted_bug_needs_its_whole_token() -> None:
    for text in ("", "q7z", "q7zx", "xq7zk", None):
        planted.rare(text)
    with pytest.raises(KeyError):
        planted.rare(f"{planted.TOKEN} and more")


def test_choices_come_to_an_end() -> None:
    source = Source(b"\x05\xff")
    assert (source.below(4), source.whole(), source.text(), source.chance(256), source.one_of("abc")) == (
        1,
        0,
        "",
        False,
        "a",
    )
    assert source.list_of(Source.byte) == [] and source.left == 0


#: For each target an input that comes to where its bug is planted, with the token in it.
MEETS_THE_BUG = {
    "yaml": b"\xffa: q7zk",
    "templates": b"\0q7zk",
    "codec": b'\2"q7zk"',
    "journal": b"\3\0\0\4q7zk\0\0\x10\0",
    "cli": b"\xff\0\1\5\4q7zk",
}


@pytest.mark.parametrize("name", MODULES)
def test_a_target_notices_its_planted_bug(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, data = load(name), MEETS_THE_BUG[name]
    target.check(data)
    monkeypatch.setattr(target.plant.module, target.plant.function, target.plant.broken())
    with pytest.raises((KeyError, AssertionError)):  # the latter where the reader turns it into an error of its own
        target.check(data)

"""A step's key says where the step stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.journal import keys
from orchestrator.journal.keys import Place
from orchestrator.types import StepKey

names = st.text(st.characters(categories=("Ll", "Lu", "Nd")), min_size=1, max_size=4)


@given(names, st.lists(st.integers(0, 99) | st.tuples(st.sampled_from("./"), names), max_size=6))
def test_a_key_is_taken_apart_as_it_was_put_together(top: str, path: list[int | tuple[str, str]]) -> None:
    key = StepKey(top)
    owners: list[StepKey] = []
    for part in path:
        owners.insert(0, key)
        if isinstance(part, int):
            place, key = Place(key, "[", str(part)), keys.item_key(key, part)
        else:
            place, key = Place(key, *part), (keys.block_key if part[0] == "." else keys.part_key)(key, part[1])
        assert keys.place_of(key) == place
    assert keys.owners_of(key) == owners
    assert all(keys.is_inside(key, owner) for owner in owners)
    assert not keys.is_inside(key, key)
    assert keys.is_step(key) is (not owners)


@pytest.mark.parametrize("key", ["a", "", ".", "/", "a.", "a/", ".a", "/a", "[0]", "a[]", "a[x]", "a]", "a[-1]"])
def test_what_only_looks_like_a_path(key: str) -> None:
    assert keys.place_of(StepKey(key)) is None


def test_a_name_that_another_begins_with_does_not_hold_it() -> None:
    assert not keys.is_inside(StepKey("months2.x"), StepKey("months"))


@pytest.mark.parametrize(
    ("key", "name", "pipeline"),
    [
        ("load", "load", ""),
        ("months[3]", "months", ""),
        ("months[3].parse[0].x", "months.parse.x", ""),
        ("months[2].child/load[1]", "months.child/load", "months[2].child/"),
        ("file[x]", "file[x]", ""),
        ("[0]", "[0]", ""),
    ],
)
def test_what_a_person_calls_it(key: str, name: str, pipeline: str) -> None:
    assert keys.without_numbers(StepKey(key)) == name
    assert keys.pipeline_of(StepKey(key)) == pipeline

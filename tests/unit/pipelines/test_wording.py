"""The words of messages: short, and the nearest name even among very many."""

from __future__ import annotations

import time

from orchestrator.pipelines.wording import did_you_mean, kind_of, nearest, path_text


def test_what_stands_there() -> None:
    assert [kind_of(value) for value in (None, True, 3, 1.5, "x", [], [1], {}, {"a": 1})] == [
        "null",
        "true",
        "the number 3",
        "the number 1.5",
        "the text 'x'",
        "an empty list",
        "a list of 1",
        "an empty mapping",
        "a mapping of 1",
    ]
    assert kind_of(10**5000) == "a number of about 4983 digits"
    assert kind_of("x" * 1000) == f"the text {'x' * 39 + '…'!r}"
    assert kind_of(object()) == "a object"


def test_the_nearest_name() -> None:
    assert nearest("Timeout", ["timeout", "retry"]) == ["timeout"]
    assert nearest("lod", ["load", "xyz", 3]) == ["load"]
    assert did_you_mean("zzz", ["load"]) == ""
    assert nearest("x" * 1000, ["x" * 999]) == []


def test_among_very_many() -> None:
    many = [f"step_{number:05}" for number in range(50_000)]
    started = time.process_time()
    assert nearest("step_04242x", many)[0] == "step_04242"
    assert time.process_time() - started < 1


def test_a_place_as_text() -> None:
    assert path_text(("steps", 1, "with", "rows", 2, "x"), ["a", "load"]) == "steps.load.with.rows[2].x"
    assert path_text(("steps", 1), ["a", None]) == "steps[1]"
    assert path_text(()) == ""

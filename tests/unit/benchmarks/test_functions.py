"""The page of durable functions, made from fixed figures, and one real measurement in the smallest size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks import functions
from benchmarks.functions import FORMS, STORES, Form, Found, Sizes

FACTS = dict.fromkeys(("processor", "cores", "system", "filesystem", "python", "sqlite"), "x")
SMALL = Sizes(steps=10, resumed=3, weighed=10, calls=10)


def round_of(value: float, forms: Sequence[Form] = FORMS) -> Found:
    """A round in which everything took as long."""
    keys = {f"{form.key}_{store}_{what}" for form in forms for store in STORES for what in ("wall", "cpu")}
    keys |= {f"{form.key}_commits" for form in forms} | {"raw_commit", *functions.STARTED}
    keys |= {f"{verb}_{what}" for verb in ("call", "await") for what in ("bare", "step")}
    keys |= {f"resume_{what}" for what in functions.STOPPED} | {"replay_function", "replay_plain"}
    return dict.fromkeys({*keys, "held_function", "held_declared"}, value)


def test_the_page_has_a_row_for_each_form_and_the_median_of_the_rounds() -> None:
    rounds = [round_of(1e-6), round_of(2e-6) | {"awaited_none_wall": 5e-6}, round_of(9e-6)]
    for later in rounds[1:]:
        del later["held_function"], later["held_declared"]
    text = functions.page(rounds, SMALL, "0.1 to 0.2", FACTS)
    assert "medians of 3 rounds" in text
    assert "load average of the machine 0.1 to 0.2" in text
    assert "| `def`, called | 2,000 ns | 2,000 ns | 1.00 | 0 ns |" in text
    assert "| `await` of an async step, again and again | 5 (1) | 2 (1) | 1.00 | 2 (1) | 2 (1) | 2e-06 | 1.00 |" in text
    assert all(f"| {form.words} |" in text for form in FORMS)


def test_what_a_form_is_compared_with_stands_above_it() -> None:
    seen: list[str] = []
    for form in FORMS:
        assert form.beside in seen if form.beside else form.declared
        seen.append(form.key)


def test_each_form_runs() -> None:
    found = functions.in_memory(FORMS, SMALL.steps)
    assert set(found) == {f"{form.key}_none_{what}" for form in FORMS for what in ("wall", "cpu")}


def test_a_measurement_gives_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "FORMS", FORMS[:2])
    monkeypatch.setattr(functions, "STARTED", {"start_python": ["-c", "pass"]})
    monkeypatch.setattr(functions, "COMMITS", 2)
    found = functions.measure(tmp_path, SMALL)
    assert set(found) == set(round_of(0, FORMS[:2]))
    assert [*tmp_path.iterdir()] == []

"""An Orchestrator keeps the plans that it has made, by what they were made of."""

from __future__ import annotations

from pathlib import Path

from orchestrator import Orchestrator, Pipeline, Step
from orchestrator.pipelines import checks


def counting(folder: Path, number: int) -> Pipeline:
    folder.mkdir(exist_ok=True)
    (folder / "kept_handlers.py").write_text(f"def give(): return {number}\n")
    pipeline = Pipeline(pipeline="p", steps=[Step(id="a", call="kept_handlers:give")], outputs={"a": "${a}"})
    return Pipeline.from_canonical(pipeline.canonical(), folder)


def test_the_same_pipeline_is_examined_once(tmp_path: Path, monkeypatch: object) -> None:
    examined: list[object] = []
    examine = checks._knots
    checks._knots = lambda analysis: examined.append(analysis) or examine(analysis)  # type: ignore[assignment, func-returns-value]
    try:
        with Orchestrator(tmp_path / "j.db") as app:
            for _ in range(3):
                assert app.run(counting(tmp_path / "one", 1)).outputs == {"a": 1}
            assert len(examined) == 1
            assert app.run(counting(tmp_path / "two", 2)).outputs == {"a": 2}
            assert len(examined) == 2
    finally:
        checks._knots = examine


def test_what_a_caller_has_changed_since_is_seen(tmp_path: Path) -> None:
    rows = [1]
    pipeline = Pipeline(pipeline="p", steps=[Step(id="a", set_={"x": rows})], outputs={"x": "${x}"})
    with Orchestrator(tmp_path / "j.db") as app:
        assert app.run(pipeline).outputs == {"x": [1]}
        pipeline.steps[0].set_["x"].append(2)  # type: ignore[index]
        assert app.run(pipeline).outputs == {"x": [1, 2]}


def test_the_plans_that_are_kept_are_bounded(tmp_path: Path) -> None:
    with Orchestrator(tmp_path / "j.db", durability="process") as app:
        for number in range(40):
            app.run(Pipeline(pipeline="p", steps=[Step(id="a", set_={"x": number})]))
        assert len(app._plans) == 32

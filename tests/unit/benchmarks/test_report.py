"""The page and the charts, made from a fixed sample of results: nothing is timed here."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.charts import chart, write_charts
from benchmarks.contenders import CONTENDERS, LIMIT, ORCHESTRATOR
from benchmarks.page import dashes, page, section, summary
from benchmarks.results import Results, Sample, Spread
from benchmarks.workloads import WORKLOADS, Workload

CHAIN, CARRY, COLD = (next(w for w in WORKLOADS if w.key == key) for key in ("chain", "carry", "import"))


def measured(milliseconds_per_step: float, cpu_milliseconds: float = 1.0) -> dict[str, float]:
    """500 steps, while a raw commit takes 1 ms."""
    return {
        "steps": 500,
        "seconds": 500 * milliseconds_per_step / 1000,
        "cpu_seconds": 500 * cpu_milliseconds / 1000,
        "raw_commit_seconds": 0.001,
        "rows": 1000,
        "load": 0.5,
    }


@pytest.fixture
def results() -> Results:
    """Five rounds of the chain: Orchestrator, the limit and Burr; DBOS fails, LangGraph is not installed."""
    machine = {"cores": "2", "processor": "P", "system": "S", "filesystem": "ext4", "python": "3.11", "sqlite": "3.5"}
    found = Results("make bench", machine, versions={"Burr": {"apache-burr": "0.42.0"}})
    found.reasons["LangGraph"] = "it is not installed in .venv-peers"
    for number, cost in enumerate((1.5, 1.2, 1.4, 9.0, 1.3)):
        found.samples += [
            Sample(ORCHESTRATOR, "chain", number, 500, measured(cost, cpu_milliseconds=1.0 + number)),
            Sample(LIMIT, "chain", number, 500, measured(1.0, cpu_milliseconds=0.9 + number)),
            Sample("Burr", "chain", number, 500, measured(7.0)),
        ]
    found.samples.append(Sample("DBOS", "chain", 0, 500, {}, "it ended with 1: boom"))
    return found


def row_of(table: str, name: str) -> list[str]:
    """The cells of the row that begins with a name."""
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_cell_is_the_median_with_the_least_and_the_most(results: Results) -> None:
    assert results.spread(ORCHESTRATOR, "chain", "commits_per_step") == pytest.approx(Spread(1.4, 1.2, 9.0))
    assert row_of(section(results, CHAIN, set()), "**Orchestrator**")[1] == "1.4 (1.2–9)"


def test_a_figure_above_the_limit_is_taken_within_a_round(results: Results) -> None:
    spread = results.spread(ORCHESTRATOR, "chain", "cpu_us_above_limit")
    assert spread == pytest.approx(Spread(100, 100, 100))


def test_the_summary_says_which_targets_are_reached(results: Results) -> None:
    rows = [line for line in summary(results).splitlines() if "W1 durable chain" in line]
    assert [row.split("|")[5].strip() for row in rows] == ["yes"] * 3
    results.samples = [s for s in results.samples if s.round in (1, 3)]  # 1.2 and 9: the median counts
    assert "| ≤ 1.6 | 5.1 (1.2–9) | **no** |" in summary(results)


def test_the_best_durable_peer_stands_beside_it(results: Results) -> None:
    results.samples.append(Sample("pydantic-graph", "chain", 0, 200, measured(0.1)))  # faster, and never synced
    row = next(line for line in summary(results).splitlines() if "raw commits" in line)
    assert row.endswith("| Burr: 7 | 5 |")


def test_a_peer_without_a_result_is_a_dash_with_its_reason(results: Results) -> None:
    table = section(results, CHAIN, set())
    for name in ("LangGraph", "DBOS"):
        assert set(row_of(table, name)[1:]) == {"–"}
    assert "- LangGraph: it is not installed in .venv-peers." in dashes(results)
    assert "- DBOS, W1 durable chain: it ended with 1: boom." in dashes(results)


def test_another_size_stands_beside_the_name(results: Results) -> None:
    results.samples.append(Sample("pydantic-graph", "chain", 0, 200, measured(3.0)))
    assert row_of(section(results, CHAIN, set()), "pydantic-graph (200 steps)")


def test_a_workload_that_nobody_has_run_is_left_out(results: Results) -> None:
    text = page(results)
    assert CHAIN.title in text
    assert f"## {CARRY.title}" not in text and CARRY.title not in summary(results)


def test_the_page_says_how_it_was_made(results: Results) -> None:
    text = page(results, ["chain"])
    assert "Made by `make bench`: 5 rounds" in text
    assert "2 cores" in text and "ext4" in text and "1,000 (1,000–1,000) µs" in text
    assert "(charts/chain.svg)" in text
    assert all("  " not in line.strip() for line in text.splitlines())


def test_cold_starts_are_above_bare_python(results: Results) -> None:
    results.samples.append(Sample(ORCHESTRATOR, "import", 0, 1, {"seconds": 0.05, "bare_seconds": 0.02, "load": 1}))
    assert row_of(section(results, COLD, set()), "**Orchestrator**")[1] == "0.03 (0.03–0.03)"


def test_results_come_back_from_their_file(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "samples.jsonl")
    assert Results.load(tmp_path / "samples.jsonl") == results


def test_a_chart_has_a_bar_for_each_system_that_was_measured(results: Results, tmp_path: Path) -> None:
    (file,) = write_charts(results, tmp_path / "charts")
    text = " ".join(ElementTree.parse(file).getroot().itertext())
    assert file.name == "chain.svg"
    assert all(name in text for name in (ORCHESTRATOR, LIMIT, "Burr", "1.4"))
    assert "DBOS" not in text and "LangGraph" not in text


def test_a_chart_is_the_same_for_the_same_figures_and_runs_no_script(results: Results) -> None:
    drawn = chart(results, CHAIN, [ORCHESTRATOR, "Burr"])
    assert drawn == chart(results, CHAIN, [ORCHESTRATOR, "Burr"])
    assert "<script" not in drawn and "http" not in drawn.replace("http://www.w3.org/", "")


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.key)
def test_every_system_runs_a_workload_or_says_why_not(workload: Workload) -> None:
    entrants = [c for c in CONTENDERS if workload.key in {**c.runs, **c.cold, **c.lacks}]
    assert entrants
    assert all((workload.key in {**c.runs, **c.cold}) != (workload.key in c.lacks) for c in entrants)

"""The three drawings of one graph."""

from __future__ import annotations

from orchestrator.pipelines.graph import graph_dot, graph_mermaid, graph_text
from orchestrator.pipelines.model import Pipeline, Step

PIPELINE = Pipeline(
    pipeline="weather",
    steps=[
        Step(id="chart", run=["python", "chart.py", "a b"], when='${months | map("upper") | length > 0}'),
        Step(id="load", call="weather:load"),
        Step(id="months", call="weather:mean", for_each="${load.months}", as_="month"),
        Step(id="end", set_={"n": 1, "m": "<x>"}, needs=["load"]),
        Step(id="say", run="echo hello |\n  cat"),
    ],
)


def test_text() -> None:
    assert graph_text(PIPELINE).split("\n") == [
        "weather",
        "  load    call weather:load",
        "  months  call weather:mean  for each month of ${load.months}  <- load",
        '  chart   run python chart.py a b  when ${months | map("upper") | length > 0}  <- months',
        "  end     set n, m  <- load",
        "  say     run echo hello | cat",
    ]


def test_mermaid() -> None:
    assert graph_mermaid(PIPELINE).split("\n") == [
        "flowchart TD",
        '  s0["chart<br/>run python chart.py a b  when ${months | map(#quot;upper#quot;) | length &gt; 0}"]',
        '  s1["load<br/>call weather:load"]',
        '  s2["months<br/>call weather:mean  for each month of ${load.months}"]',
        '  s3["end<br/>set n, m"]',
        '  s4["say<br/>run echo hello | cat"]',
        "  s2 --> s0",
        "  s1 --> s2",
        "  s1 --> s3",
    ]


def test_dot() -> None:
    lines = graph_dot(PIPELINE).split("\n")
    assert lines[:2] == ['digraph "weather" {', "  node [shape=box];"]
    assert '  s0 [label="chart\\nrun python chart.py a b  when ${months | map(\\"upper\\") | length > 0}"];' in lines
    assert lines[-4:] == ["  s2 -> s0;", "  s1 -> s2;", "  s1 -> s3;", "}"]

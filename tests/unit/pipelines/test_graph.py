"""The three drawings of one graph."""

from __future__ import annotations

from typing import Any, cast

import pytest

from orchestrator.pipelines.definition import PipelineDef, StepDef
from orchestrator.pipelines.graph import graph_dot, graph_mermaid, graph_text
from orchestrator.pipelines.graph_labels import label_of
from orchestrator.pipelines.model import Pipeline, Step
from orchestrator.pipelines.plan import Recorded

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


NESTED = Recorded(
    cast(
        PipelineDef,
        {
            "pipeline": "nested",
            "steps": [
                {
                    "id": "months",
                    "for_each": "${load}",
                    "as": "month",
                    "steps": [
                        {"id": "draw", "run": ["draw", "${parse}"]},
                        {"id": "parse", "call": "m:parse", "with": {"x": "${month}"}},
                    ],
                },
                {"id": "load", "call": "m:load"},
                {
                    "id": "route",
                    "switch": [
                        {"when": "${load > 1}", "steps": [{"id": "big", "fail": "too big"}]},
                        {"steps": [{"id": "both", "parallel": [{"id": "a", "wait": 90.0}], "join": 1}]},
                    ],
                },
            ],
            "finally": [{"id": "clean", "run": "rm -f x"}],
        },
    )
)


def test_text_of_steps_inside_of_steps() -> None:
    assert graph_text(NESTED).split("\n") == [
        "nested",
        "  load    call m:load",
        "  months  steps  for each month of ${load}  <- load",
        "    parse  call m:parse",
        "    draw   run draw ${parse}  <- parse",
        "  route   switch  <- load",
        "    when ${load > 1}",
        "      big  fail too big",
        "    otherwise",
        "      both  parallel  join 1",
        "        a  wait 90 s",
        "finally",
        "  clean  run rm -f x",
    ]


def test_mermaid_of_steps_inside_of_steps() -> None:
    assert graph_mermaid(NESTED).split("\n") == [
        "flowchart TD",
        '  subgraph s0["months<br/>steps  for each month of ${load}"]',
        '    s0_0["draw<br/>run draw ${parse}"]',
        '    s0_1["parse<br/>call m:parse"]',
        "    s0_1 --> s0_0",
        "  end",
        '  s1["load<br/>call m:load"]',
        '  subgraph s2["route<br/>switch"]',
        '    subgraph s2_0["when ${load &gt; 1}"]',
        '      s2_0_0["big<br/>fail too big"]',
        "    end",
        '    subgraph s2_1["otherwise"]',
        '      subgraph s2_1_0["both<br/>parallel  join 1"]',
        '        s2_1_0_0["a<br/>wait 90 s"]',
        "      end",
        "    end",
        "  end",
        "  s1 --> s0",
        "  s1 --> s2",
        '  subgraph f["finally"]',
        '    f0["clean<br/>run rm -f x"]',
        "  end",
    ]


def test_dot_of_steps_inside_of_steps() -> None:
    lines = graph_dot(NESTED).split("\n")
    assert lines[2:9] == [
        "  subgraph cluster_s0 {",
        '    label="";',
        '    s0 [label="months\\nsteps  for each month of ${load}"];',
        '    s0_0 [label="draw\\nrun draw ${parse}"];',
        '    s0_1 [label="parse\\ncall m:parse"];',
        "    s0_1 -> s0_0;",
        "  }",
    ]
    assert lines[-8:] == [
        "  }",
        "  s1 -> s0;",
        "  s1 -> s2;",
        "  subgraph cluster_f {",
        '    label="finally";',
        '    f0 [label="clean\\nrun rm -f x"];',
        "  }",
        "}",
    ]


@pytest.mark.parametrize(
    ("step", "label"),
    [
        ({"steps": []}, "steps"),
        ({"parallel": []}, "parallel"),
        ({"parallel": [], "join": "any"}, "parallel  join any"),
        ({"switch": []}, "switch"),
        ({"pipeline": "child.yaml", "with": {}}, "pipeline child.yaml"),
        ({"wait": 7200.0}, "wait 7200 s"),
        ({"wait": "${day}"}, "wait ${day}"),
        ({"signal": "paid"}, "signal paid"),
        ({"approve": "Release?"}, "approve Release?"),
        ({"return": {}}, "return"),
        ({"return": {"a": 1, "b": 2}}, "return a, b"),
        ({"fail": "no"}, "fail no"),
        ({"call": "m:f", "while": "${n < 3}", "when": False}, "call m:f  while ${n < 3}  when false"),
    ],
)
def test_every_kind_has_a_label(step: dict[str, Any], label: str) -> None:
    assert label_of(cast(StepDef, {"id": "a", **step})) == label

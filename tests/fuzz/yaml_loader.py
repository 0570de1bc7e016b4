"""Pipeline files: a text is a pipeline, or a PipelineFileError whose faults lie within the text.

What is loaded has a canonical form that is the same pipeline again, can be planned, drawn and given inputs; each of
these refuses with the project's own errors only. The first byte says whether the rest is a text, or choices of which a
definition with all the format's keys is built.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from tests.fuzz.planted import Plant
from tests.fuzz.source import Source
from tests.fuzz.target import Target

from orchestrator.errors import InputError, PipelineFileError, TemplateError
from orchestrator.pipelines import yaml_builder
from orchestrator.pipelines.graph import graph_dot, graph_mermaid, graph_text
from orchestrator.pipelines.inputs import bind_inputs
from orchestrator.pipelines.model import Pipeline
from orchestrator.pipelines.plan import Plan, Recorded, make_plan
from orchestrator.pipelines.positions import MOST_FAULTS

_LINES = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_FOLDER = Path("/nowhere")


def check(data: bytes) -> None:
    """Raises where a promise of the loader does not hold."""
    source = Source(data)
    built = source.chance(96)
    text = _yaml(_definition(source)) if built else source.rest().decode("utf-8", "replace")
    try:
        pipeline = Pipeline.loads(text, "f.yaml")
    except PipelineFileError as error:
        _check_faults(error, text)
        return
    _check_pipeline(pipeline)
    _check_uses(pipeline, source)


def _check_faults(error: PipelineFileError, text: str) -> None:
    lines = _LINES.split(text)
    assert 0 < len(error.faults) <= MOST_FAULTS + 1
    for fault in error.faults:
        assert fault.message
        assert 0 <= fault.line <= len(lines), (fault, len(lines))
        if fault.line:
            line = lines[fault.line - 1]
            assert 1 <= fault.column <= len(line) + 1, (fault, line)
            assert fault.source_line in ("", line), (fault, line)
        else:
            assert fault.column == 0, fault
    assert "f.yaml" in str(error)


def _check_pipeline(pipeline: Pipeline) -> None:
    canonical = pipeline.canonical()
    again = Pipeline.from_canonical(canonical)
    assert again.canonical() == canonical or _has_nan(canonical)
    assert again.fingerprint == pipeline.fingerprint
    if _can_be_text(canonical):
        text = _yaml(canonical)
        assert Pipeline.loads(text).fingerprint == pipeline.fingerprint, text


def _check_uses(pipeline: Pipeline, source: Source) -> None:
    plan = make_plan(pipeline)
    assert sorted(plan.steps) == sorted(step.id for step in pipeline.steps)
    assert make_plan(Recorded(pipeline.canonical())).fingerprint == plan.fingerprint == pipeline.fingerprint
    assert source.one_of((graph_text, graph_mermaid, graph_dot))(pipeline)
    values = {name: source.text() for name in pipeline.inputs if source.chance(200)}
    try:
        bound = bind_inputs(pipeline, values, base_dir=None, working_dir=_FOLDER, as_text=source.chance(200))
    except InputError as error:
        assert str(error)
    else:
        assert bound.keys() == pipeline.inputs.keys()
        _resolve(plan, bound)


def _resolve(plan: Plan, bound: dict[str, Any]) -> None:
    for output in plan.outputs.values():
        try:
            output.resolve(bound)
        except TemplateError as error:
            assert str(error)


# -- texts -------------------------------------------------------------------------------------------------------------


def _yaml(value: Any) -> str:
    """A value as JSON, in the form that YAML reads as well: what YAML takes for the end of a line is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(
        "[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text
    )


def _can_be_text(value: Any) -> bool:
    """Whether JSON has words for it: neither infinite nor longer than a file may say."""
    match value:
        case float():
            return math.isfinite(value)
        case int():
            return value.bit_length() < 3_000
        case list():
            return all(map(_can_be_text, value))
        case dict():
            return all(map(_can_be_text, value.values()))
        case _:
            return True


def _has_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nan, value.values()))
    return any(map(_has_nan, value)) if isinstance(value, list) else value != value


# -- definitions -------------------------------------------------------------------------------------------------------

_IDS = ("a", "b", "c", "load", "months", "item")
_TEXTS = ("", "x", "${a}", "${b.x[0]}", "${item}", "${a | length > 0}", "m:f", "2s", "text ${c}", "$${", "${")
_WORDS = ("network", "timeout", "high", "retry", "skip", "rollback", "process", "json", "number", "path", "list")
_WAYS = ("fail_fast", "retry", "retry_with_backoff", "skip", "rollback", "manual_intervention", "alternative_path")


def _any_value(source: Source, depth: int = 0) -> Any:
    match source.below(10 if depth < 3 else 7):
        case 0:
            return source.one_of(_TEXTS)
        case 1:
            return source.one_of(_IDS)
        case 2:
            return source.one_of((None, True, False, 0, 1, -1, 0.5, 1e300))
        case 3:
            return source.one_of(_WORDS)
        case 4:
            return source.text()
        case 5:
            return source.whole()
        case 6:
            return "${" + source.text(24) + "}"
        case 7:
            return source.list_of(lambda s: _any_value(s, depth + 1))
        case _:
            return {source.one_of(_IDS): _any_value(source, depth + 1) for _ in range(source.below(4))}


def _either(source: Source, right: Any) -> Any:
    """Mostly what fits, at times anything."""
    return _any_value(source) if source.chance(24) else right


def _retry(source: Source) -> Any:
    keys = ("max_attempts", "initial_delay", "max_delay", "backoff_factor", "exponential_backoff", "jitter", "on")
    values = (3, "2s", 5, 1.5, True, 0.5, ["network"])
    return _some(source, dict(zip(keys, values, strict=True)))


def _some(source: Source, options: dict[str, Any], of_256: int = 90) -> dict[str, Any]:
    """Some of the keys; at times with another value, or another name."""
    chosen = {key: _either(source, value) for key, value in options.items() if source.chance(of_256)}
    if source.chance(8):
        chosen[source.text()] = _any_value(source)
    return chosen


def _rule(source: Source) -> Any:
    matches = {"category": "network", "severity": ["high"], "exception": "ValueError", "status": 503, "message": "x"}
    options = {
        "max_attempts": 2,
        "initial_delay": 1,
        "max_delay": "1m",
        "backoff_factor": 2,
        "jitter": 0.1,
        "output": None,
        "checkpoint": "c",
        "instructions": "look",
        "steps": [source.one_of(_IDS)],
        "timeout": "1h",
    }
    strategy = {"strategy": source.one_of(_WAYS)}
    return {**_some(source, matches), **strategy, **_some(source, options, 30)}


def _step(source: Source) -> Any:
    kind = source.one_of(("call", "run", "set"))
    kinds = {"call": "m:f", "run": ["echo", "${a}"], "set": {"v": "${a}"}}
    options = {
        "with": {"x": "${a}"},
        "env": {"X": "1"},
        "cwd": "sub",
        "parse": "json",
        "needs": [source.one_of(_IDS)],
        "when": "${a}",
        "for_each": "${b}",
        "as": "it",
        "max_parallel": 2,
        "timeout": "5s",
        "retry": _retry(source),
        "on_error": source.list_of(_rule, 3),
        "checkpoint": "c",
        "important": True,
        "runner": "process",
        "returns": ["x"],
    }
    return {
        "id": _either(source, source.one_of(_IDS)),
        kind: _either(source, kinds[kind]),
        **_some(source, options, 40),
    }


def _input(source: Source) -> Any:
    kinds = ("any", "string", "number", "integer", "boolean", "list", "mapping", "path")
    return _some(source, {"type": source.one_of(kinds), "default": _any_value(source), "description": "x"})


def _definition(source: Source) -> Any:
    steps = [_step(source) for _ in range(1 + source.below(4))]
    inputs = {source.one_of(_IDS): _input(source) for _ in range(source.below(4))}
    defaults = {"timeout": "1m", "retry": _retry(source)}
    rest = {"description": "x", "inputs": inputs, "defaults": defaults, "outputs": {"o": _any_value(source)}}
    whole = {"pipeline": _either(source, "p"), "steps": _either(source, steps), **_some(source, rest, 160)}
    if source.chance(160):  # last, so that older inputs mean what they meant
        whole["steps"] = [*steps[:1], *source.list_of(_other, 4)]
        whole |= _ends(source)
    return whole


def _other(source: Source, depth: int = 0) -> Any:
    """A step of one of the kinds that are made of steps, wait for somebody, or end the pipeline; or of any kind."""
    inner = [_other(source, depth + 1) for _ in range(1 + source.below(2))] if depth < 3 else [{"id": "z", "run": "ls"}]
    kinds: dict[str, Any] = {
        "steps": inner,
        "switch": [{"when": True, "steps": inner, "output": "${a}"}, {"steps": inner}],
        "parallel": inner,
        "pipeline": source.one_of((".", "sub", "sub", "gone", "gone.yaml")),
        "wait": source.one_of(("2h", 5, "2026-12-01", "2026-12-01T08:00", "${a}")),
        "signal": "go ${a}",
        "approve": "Go?",
        "return": {"o": 1},
        "fail": "no ${a}",
        "run": ["ls", "${n}"],
    }
    kind = source.one_of(tuple(kinds))
    options = {
        "join": source.one_of(("any", "all", 1, 2)),
        "output": {"x": "${a}"},
        "who": "ann",
        "choices": ["yes", "no"],
        "form": {"f": {"type": "number", "default": 5, "choices": [5]}},
        "deadline": "2d",
        "default": "yes",
        "while": "${a}",
        "max_iterations": 3,
        "for_each": [1, 2],
        "as": "n",
        "on_item_failure": source.one_of(("collect", "stop", "10%", 0.5)),
        "effect": {"in_doubt": "verify", "verify": "m:f"},
        "with": {"a": "${a}"},
        "when": True,
        "on_error": source.list_of(_rule, 2),
        "retry": {"timeout": 5},
    }
    name = source.one_of(_IDS) + source.one_of(("", "1", "2", "3", "4", "5"))
    return {"id": name, kind: _either(source, kinds[kind]), **_some(source, options, 24)}


def _ends(source: Source) -> dict[str, Any]:
    sub = {"inputs": {"a": {"default": 1}}, "steps": [_other(source, 2)], "outputs": {"o": "${a}"}}
    options = {
        "finally": [_other(source, 2)],
        "returns": {"o": "number"},
        "concurrency": {"key": "${a}", "when_busy": "refuse"},
        "pipelines": {"sub": sub},
        "outputs": {"o": 1},
    }
    return _some(source, options, 128)


TARGET = Target(
    name="yaml",
    check=check,
    plant=Plant(yaml_builder, "plain"),
    most_bytes=512,
    words=(
        *("pipeline: p\n", "inputs:\n", "steps:\n", "outputs:\n", "defaults:\n", "  - id: a\n", "    call: m:f\n"),
        *("    run: [x]\n", "    set: {v: 1}\n", "    with: {x: ", "    needs: [a]\n", "    when: ", "    for_each: "),
        *(
            "    on_error:\n",
            "strategy: ",
            "category: ",
            "timeout: 1s",
            "retry: {",
            "type: ",
            "default: ",
            "${a}",
            "${",
        ),
        *(
            "&a",
            "*a",
            "!!",
            "? ",
            "- ",
            ": ",
            "|\n",
            ">-\n",
            "<<: ",
            "---\n",
            "...\n",
            "#",
            "'",
            '"',
            "{",
            "}",
            "[",
            "]",
        ),
        *("\u2028", "\ufeff", "\\u", "0x1f", "0o7", ".inf", ".nan", "~", "%YAML 1.2\n"),
    ),
)

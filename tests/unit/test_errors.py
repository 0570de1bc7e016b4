"""The tree that errors.py draws is the tree that it defines."""

from __future__ import annotations

import inspect
import re

from orchestrator import errors


def test_the_drawing_is_true() -> None:
    drawn: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─ ]*)([A-Z]\w+(?:Error|Execution))\b", line)
        if found:
            depth = len(found[1]) // 4
            above[depth] = found[2]
            drawn[found[2]] = above[depth - 1] if depth else "Exception"
    defined = {
        name: next(base.__name__ for base in cls.__bases__ if issubclass(base, Exception))
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, Exception)
    }
    assert drawn == defined


def test_a_fault_shows_its_line_and_a_caret_also_where_the_line_is_long() -> None:
    fault = errors.Fault("wrong", 3, 201, "x" * 200 + "HERE" + "y" * 200)
    shown = str(errors.PipelineFileError("a.yaml", [fault])).splitlines()
    assert shown[0] == "a.yaml:3:201: wrong"
    assert shown[1][shown[2].index("^") :].startswith("HERE")
    assert len(shown[1]) < 130

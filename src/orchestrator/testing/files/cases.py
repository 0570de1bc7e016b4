"""One test of a file, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.pipelines.wording import Path
from orchestrator.status import ExecutionStatus

#: What a test expects of one step: a word of its status, or some of these.
STEP_KEYS = ("status", "output", "attempts")


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected: of outputs and variables each that is named, of steps what is said of them.

    `error` is a part of the message of the error that it ends with.
    """

    status: ExecutionStatus = ExecutionStatus.COMPLETED
    outputs: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A test: what is given, what handlers come to (`script.Script`), what is expected.

    `path` is its place in the file, at `line`.
    """

    name: str
    path: Path
    line: int
    inputs: Mapping[str, Any]
    outcomes: Mapping[str, Any]
    only: bool
    signals: Mapping[str, Any]
    answers: Mapping[str, tuple[str, Any]]
    by: str | None
    expected: Expected

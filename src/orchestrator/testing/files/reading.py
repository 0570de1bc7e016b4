"""The file of a pipeline's tests: read, checked against the pipeline, every fault told with its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import Fault, PipelineFileError
from orchestrator.pipelines import accept, wording
from orchestrator.pipelines.positions import Finding, Positions, report
from orchestrator.pipelines.unfit import Unfit
from orchestrator.pipelines.wording import kind_of
from orchestrator.pipelines.yaml_source import parse_yaml, read_text
from orchestrator.status import ExecutionStatus, StepStatus
from orchestrator.testing.files.cases import STEP_KEYS, Case, Expected
from orchestrator.testing.files.outcomes import outcome_of
from orchestrator.testing.files.subjects import Subject
from orchestrator.testing.script import names_of

_TEST_KEYS = ("name", "inputs", "steps", "only", "signals", "answers", "by", "expect")
_EXPECT_KEYS = ("status", "outputs", "steps", "variables", "error")
_ANSWER_KEYS = ("choice", "form", "value", "by")
_STATUSES = tuple(str(status) for status in ExecutionStatus)
_STEP_STATUSES = tuple(str(status) for status in StepStatus)


def read_cases(path: str | Path, subject: Subject) -> list[Case]:
    """The tests of a file, in order. Raises PipelineFileError with every fault of it."""
    data, positions = parse_yaml(read_text(path), str(path))
    reader = _Reader(subject, positions)
    cases = reader.cases(data)
    if reader.findings:
        raise report(reader.findings, str(path), positions)
    if not cases:
        raise PipelineFileError(str(path), [Fault("there is no test in it", 1, 1, hint="each begins with `- name:`")])
    return cases


@dataclass
class _Reader:
    """Makes cases of plain data, and notes what is wrong with it."""

    subject: Subject
    positions: Positions
    findings: list[Finding] = field(default_factory=list)

    def cases(self, data: Any) -> list[Case]:
        tests = self._mapping(data, (), ("tests",)).get("tests", [])
        if not isinstance(tests, list):
            self._find(("tests",), f"expected a list of tests, got {kind_of(tests)}", hint="each begins with `- name:`")
            return []
        return [self._case(test, ("tests", index)) for index, test in enumerate(tests)]

    def _case(self, data: Any, path: wording.Path) -> Case:
        test = self._mapping(data, path, _TEST_KEYS)
        if "name" not in test and isinstance(data, dict):
            self._find(path, "a test needs the key 'name'")
        inputs = self._named(test, path, "inputs", self.subject.inputs, "input")
        steps = self._named(test, path, "steps", self.subject.steps, "step")
        outcomes = {
            name: self._checked(outcome_of, value, (*path, "steps", name), None) for name, value in steps.items()
        }
        answers = self._named(test, path, "answers", self.subject.steps, "step")
        return Case(
            self._checked(accept.wording, test.get("name", "?"), (*path, "name"), "?"),
            path,
            self.positions.of(path)[0],
            inputs,
            outcomes,
            self._checked(accept.boolean, test.get("only", False), (*path, "only"), False),
            self._named(test, path, "signals", self.subject.signals, "signal"),
            {name: self._answer(value, (*path, "answers", name)) for name, value in answers.items()},
            self._checked(accept.text, test["by"], (*path, "by"), None) if "by" in test else None,
            self._expected(test.get("expect", {}), (*path, "expect")),
        )

    def _answer(self, data: Any, path: wording.Path) -> tuple[str, Any]:
        """A decision and its value: `approve`, or `{choice: approve, form: {…}}`."""
        if isinstance(data, str):
            return data, None
        answer = self._mapping(data, path, _ANSWER_KEYS)
        if "choice" not in answer and isinstance(data, dict):
            self._find(path, "an answer needs the key 'choice'", hint="for example `{choice: approve}`")
        value = answer.get("value", answer.get("form"))
        return self._checked(accept.text, answer.get("choice", ""), (*path, "choice"), ""), value

    def _expected(self, data: Any, path: wording.Path) -> Expected:
        expect = self._mapping(data, path, _EXPECT_KEYS)
        status = self._status(expect.get("status", "completed"), (*path, "status"), _STATUSES) or "completed"
        steps = self._named(expect, path, "steps", self.subject.steps, "step")
        error = self._checked(accept.text, expect["error"], (*path, "error"), None) if "error" in expect else None
        return Expected(
            ExecutionStatus(status),
            self._mapping(expect.get("outputs", {}), (*path, "outputs"), None),
            self._mapping(expect.get("variables", {}), (*path, "variables"), None),
            {name: self._step(value, (*path, "steps", name)) for name, value in steps.items()},
            error,
        )

    def _step(self, data: Any, path: wording.Path) -> Mapping[str, Any]:
        """What is expected of a step: a status, or more."""
        if not isinstance(data, dict):
            return {"status": self._status(data, path, _STEP_STATUSES)}
        said = dict(self._mapping(data, path, STEP_KEYS))
        if "status" in said:
            said["status"] = self._status(said["status"], (*path, "status"), _STEP_STATUSES)
        return said

    # -- what is wrong -----------------------------------------------------------------------------------------------

    def _status(self, value: Any, path: wording.Path, words: Collection[str]) -> str | None:
        found: str | None = self._checked(accept.word(tuple(words), "status"), value, path, None)
        return found

    def _mapping(self, value: Any, path: wording.Path, known: Collection[str] | None) -> Mapping[str, Any]:
        """A mapping with these keys alone; empty where it is none."""
        if not isinstance(value, dict):
            self._find(path, f"expected a mapping, got {kind_of(value)}")
            return {}
        for key in value if known is not None else ():
            if key not in (known or ()):
                self._find((*path, key), f"unknown key {str(key)!r}", at_key=True, name=str(key), known=known or ())
        return value

    def _named(
        self, owner: Mapping[str, Any], path: wording.Path, key: str, known: frozenset[str] | None, what: str
    ) -> Mapping[str, Any]:
        """A mapping whose keys are names that the subject has."""
        found = self._mapping(owner.get(key, {}), (*path, key), None)
        for name in found if known is not None else ():
            if not any(one in (known or ()) for one in names_of(str(name))):
                message = f"the pipeline has no {what} {str(name)!r}"
                self._find((*path, key, name), message, at_key=True, name=str(name), known=known or ())
        return found

    def _checked(self, check: Callable[[Any], Any], value: Any, path: wording.Path, otherwise: Any) -> Any:
        try:
            return check(value)
        except Unfit as unfit:
            for fault in unfit.faults:
                self.findings.append(
                    Finding(
                        (*path, *fault.place),
                        str(fault),
                        fault.at_key,
                        name=fault.name,
                        known=fault.known,
                        hint=fault.hint,
                    )
                )
            return otherwise

    def _find(
        self,
        path: wording.Path,
        message: str,
        *,
        at_key: bool = False,
        name: str = "",
        known: Collection[str] = (),
        hint: str = "",
    ) -> None:
        self.findings.append(Finding(path, message, at_key, name=name, known=sorted(known), hint=hint))

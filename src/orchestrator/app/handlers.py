"""The code behind a plan: imported when an execution is opened, hashed to be shown."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.errors import HandlerNotFoundError
from orchestrator.execution.engine import steps_of
from orchestrator.functions import PipelineFunction
from orchestrator.pipelines.plan import Plan
from orchestrator.runners.handlers import resolve_handler, source_hash

#: Plans whose hashes are kept.
_PLANS_KEPT = 32


class DurableFunctions:
    """The durable functions that were given, or found by their names. Two threads that ask at once find the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], PipelineFunction[..., object] | None] = {}

    def take(self, function: PipelineFunction[..., object]) -> None:
        """Know this one by its name from now on: it may be none that can be imported."""
        self._known[function.target, function.folder] = function

    def given(self, target: str, folder: str) -> PipelineFunction[..., object] | None:
        """One that was given, or found before."""
        return self._known.get((target, folder))

    def find(self, target: str, folder: str) -> PipelineFunction[..., object] | None:
        """The durable function that `module:function` is; None where it is another handler, or cannot be imported."""
        key = (target, folder)
        if key not in self._known:
            try:
                found = resolve_handler(target, folder)
            except HandlerNotFoundError:
                return None
            function: object = found
            self._known[key] = function if isinstance(function, PipelineFunction) else None
        return self._known[key]


def import_handlers(plan: Plan, functions: DurableFunctions) -> Mapping[str, HandlerNotFoundError]:
    """Import what the steps call, which recorded values may be of.

    Gives which steps of the pipeline itself cannot have theirs; what a step inside of another lacks, it tells when it
    runs.
    """
    if plan.function is not None:
        return _import_function(plan.function, str(plan.base_dir or ""), functions)
    faults: dict[tuple[str, str], HandlerNotFoundError] = {}
    for member in (plan, *plan.pipelines.values()):
        folder = str(member.base_dir or "")
        for target in {step.target for step in steps_of(member) if step.target is not None}:
            try:
                resolve_handler(target, folder)
            except HandlerNotFoundError as error:
                faults[target, folder] = error
    folder = str(plan.base_dir or "")
    return {
        step.id: faults[step.target, folder]
        for step in plan.steps.values()
        if step.target is not None and (step.target, folder) in faults
    }


def _import_function(target: str, folder: str, functions: DurableFunctions) -> Mapping[str, HandlerNotFoundError]:
    if functions.given(target, folder) is not None:
        return {}
    if "<locals>" in target:
        what = "stands inside of another function, where no other process can find it"
        hint = "move it to the top of its module, or go on with it by `resume(id, function)`"
        return {"": HandlerNotFoundError(f"pipeline {target.partition(':')[2]!r} {what}; {hint}", target)}
    try:
        resolve_handler(target, folder)
    except HandlerNotFoundError as error:
        return {"": error}
    return {}


class HandlerCode:
    """Short hashes of the handlers' source, each read once. Two threads that ask at once read the same."""

    def __init__(self, functions: DurableFunctions) -> None:
        self._functions = functions
        self._known: dict[tuple[str, str], str] = {}
        #: Of the plans that were asked for last: a pipeline is often run many times.
        self._of_plans: dict[tuple[str, Path | None], Mapping[str, str]] = {}

    def hashes_of(self, plan: Plan) -> Mapping[str, str]:
        """`module:function` -> hash, for every handler whose source can be had."""
        key = (plan.fingerprint, plan.base_dir)
        found = self._of_plans.get(key)
        if found is None:
            found = self._of_plans[key] = self._read(plan)
            if len(self._of_plans) > _PLANS_KEPT:
                self._of_plans.pop(next(iter(self._of_plans)), None)
        return found

    def _read(self, plan: Plan) -> Mapping[str, str]:
        found: dict[str, str] = {}
        if plan.function is not None:
            given = self._functions.given(plan.function, str(plan.base_dir or ""))
            value = (
                _hash_of(given.function) if given is not None else self._hash(plan.function, str(plan.base_dir or ""))
            )
            return {plan.function: value} if value else {}
        for member in {id(member): member for member in (plan, *plan.pipelines.values())}.values():
            folder = str(member.base_dir or "")
            for step in steps_of(member):
                if step.target is not None and (value := self._hash(step.target, folder)):
                    found[step.target] = value
        return found

    def _hash(self, target: str, folder: str) -> str:
        known = self._known.get((target, folder))
        if known is None:
            known = self._known[target, folder] = source_hash(target, folder)
        return known


def _hash_of(function: Callable[..., object]) -> str:
    """A short hash of a function's source text; empty where that cannot be had."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:12]

"""The outline of a pipeline: which steps stand inside of which, as it was written.

What has begun is known from the journal; what has not is known from here alone. It is read from the canonical form that
is recorded with an execution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.keys import place_of
from orchestrator.journal.step_record import StepRecord
from orchestrator.pipelines.definition import COMPOUND, SELF, blocks_of
from orchestrator.types import StepKey


@dataclass(frozen=True, slots=True)
class Outline:
    """The steps of one pipeline; without a definition there are none."""

    definition: Mapping[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> Sequence[str]:
        """The steps of the pipeline itself, those of `finally` last."""
        return [step["id"] for step in _steps(self.definition)]

    @property
    def function(self) -> str | None:
        """The durable function (`module:function`) that says what the steps are; None for a pipeline that has them."""
        found: str | None = self.definition.get("function")
        return found

    def step(self, key: StepKey) -> Mapping[str, Any] | None:
        """How a step is written; None where it is not, as what a recovery runs."""
        found = next((step for step in _steps(self.definition) if step["id"] == key), None)
        place = place_of(key)
        if found is not None or place is None:
            return found
        owner = self.step(place.owner)
        if owner is None or place.mark == "[":
            return owner
        return next((step for step in self._below(owner, place.mark) if step["id"] == place.name), None)

    def _below(self, owner: Mapping[str, Any], mark: str) -> Sequence[Mapping[str, Any]]:
        if mark == "/":
            return _steps(self._member(str(owner.get("pipeline", ""))))
        return [step for _, block in blocks_of(owner) for step in block]

    def _member(self, ref: str) -> Mapping[str, Any]:
        if ref == SELF:
            return self.definition
        found: Mapping[str, Any] = self.definition.get("pipelines", {}).get(ref, {})
        return found

    def inside(self, step: StepRecord) -> Sequence[StepKey]:
        """The steps of the block, or of the sub-pipeline, that a step holds now, in the order in which they stand."""
        written, block = self.step(step.key), step.block
        if written is None or block is None:
            return ()
        if "pipeline" in written:
            return [StepKey(f"{step.key}/{inner['id']}") for inner in _steps(self._member(str(written["pipeline"])))]
        blocks = [steps for _, steps in blocks_of(written)]
        chosen = blocks[block.case or 0] if (block.case or 0) < len(blocks) else []
        return [StepKey(f"{step.key}.{inner['id']}") for inner in chosen]

    def holds_others(self, key: StepKey) -> bool:
        """Whether a step is made of steps, or each item or round of it is."""
        written = self.step(key)
        return written is not None and any(kind in written for kind in COMPOUND)

    def returned_by(self, record: ExecutionRecord) -> StepKey | None:
        """The step that ended the pipeline early, where one did."""
        for key, step in record.steps.items():
            if "/" not in key and step.status == "completed" and "return" in (self.step(key) or {}):
                return key
        return None


def _steps(pipeline: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [*pipeline.get("steps", ()), *pipeline.get("finally", ())]

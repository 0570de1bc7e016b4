"""The pipeline as objects: what a file says, and what Python builds.

One model for both. The classes check each field on its own; what holds between fields and between steps (a name that
nothing has, a cycle) is checked by `checks`, at once for a file and before the plan for a pipeline built in Python. The
form that is recorded, compared and planned is `canonical()`: plain data, see `definition`.

pydantic is imported by the modules of the model only, so that a recorded pipeline can be resumed without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from orchestrator.errors import PipelineFileError
from orchestrator.pipelines import accept, checks, fields
from orchestrator.pipelines.base import Model
from orchestrator.pipelines.definition import PipelineDef, fingerprint_of, steps_of
from orchestrator.pipelines.inputs import bind_inputs
from orchestrator.pipelines.invalid import findings_of
from orchestrator.pipelines.linking import Linked, link, no_file
from orchestrator.pipelines.parts import Concurrency, Effect, FormField, InputSpec
from orchestrator.pipelines.policies import Defaults, OnError, Retry
from orchestrator.pipelines.positions import Finding, Positions, report
from orchestrator.pipelines.step_model import Case, Step
from orchestrator.pipelines.valid_parts import valid_parts
from orchestrator.pipelines.yaml_source import parse_yaml, read_text

if TYPE_CHECKING:
    from orchestrator.pipelines.input_types import TypeWord

    _NOTHING: Mapping[str, Any] = {}


def _named(value: Any) -> Any:
    """A pipeline within another's file has its key as its name, unless it has one."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: {"pipeline": name, **entry} if isinstance(entry, Mapping) and "pipeline" not in entry else entry
        for name, entry in value.items()
    }


def _member(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """An entry of `pipelines`: the path of a file, or a pipeline."""
    return accept.pipeline_file(value) if isinstance(value, str) else validate(value)


class Pipeline(Model):
    """A pipeline. Equal pipelines have equal canonical forms."""

    _as_given = frozenset({"pipelines"})

    pipeline: fields.Name = Field(description="Its name.")
    description: fields.Text = Field("", description="What it is for.")
    inputs: dict[fields.Identifier, InputSpec] = Field({}, description="What whoever runs it may give.")
    defaults: Defaults = Field(Defaults(), description="What holds for the steps that do not say otherwise.")
    steps: list[Step] = Field(min_length=1, description="What is done. The order follows from who uses whose output.")
    finally_: Annotated[list[Step], Field(min_length=1)] | None = Field(
        None,
        validation_alias="finally",
        serialization_alias="finally",
        description="What is done at the end, whatever happened.",
    )
    outputs: fields.Outputs = Field({}, description="What comes out: names and values.")
    returns: fields.OutputTypes = Field({}, description="The types of outputs, checked at the end.")
    concurrency: Concurrency | None = Field(None, description="Which executions run one at a time.")
    pipelines: Annotated[
        dict[fields.PipelineName, Annotated[Pipeline, WrapValidator(_member), WithJsonSchema(fields.PIPELINE_FILE)]],
        BeforeValidator(_named),
    ] = Field({}, description="Names for other pipelines: files, or pipelines written here.")

    _base_dir: Path | None = PrivateAttr(None)
    _positions: Positions | None = PrivateAttr(None)
    _folders: Mapping[str, str] = PrivateAttr({})
    _linked: Linked | None = PrivateAttr(None)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            pipeline: str,
            steps: Sequence[Step | Mapping[str, Any]],
            description: str = "",
            inputs: Mapping[str, InputSpec | Mapping[str, Any]] = _NOTHING,
            defaults: Defaults | Mapping[str, Any] = _NOTHING,
            finally_: Sequence[Step | Mapping[str, Any]] | None = None,
            outputs: Mapping[str, Any] = _NOTHING,
            returns: Mapping[str, TypeWord] = _NOTHING,
            concurrency: Concurrency | Mapping[str, Any] | None = None,
            pipelines: Mapping[str, Pipeline | str | Mapping[str, Any]] = _NOTHING,
        ) -> None: ...

    else:

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            self._link()

        __init__.__pydantic_base_init__ = True

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file, and those to which it refers.

        Raises PipelineFileError with every fault that can be seen without running it.
        """
        return cls._read(read_text(path), str(path), Path(path).absolute())

    @classmethod
    def loads(cls, text: str, file: str = "<text>") -> Self:
        """Read a text; `file` is its name in messages. Raises PipelineFileError."""
        return cls._read(text, file, None)

    @classmethod
    def _read(cls, text: str, file: str, path: Path | None) -> Self:
        data, positions = parse_yaml(text, file)
        pipeline, found = cls._validate(data)
        written, folder = (pipeline.written() if pipeline else cls._sound(data)), path.parent if path else None
        linked = Linked()
        if _refers(written):
            linked = link(written, folder, cls._read_member, file=path, positions=positions)
        found += linked.findings
        positions = positions.with_members(linked.places)
        if pipeline is None or found:
            raise _all_faults(data, found, linked, positions)
        pipeline._base_dir, pipeline._positions, pipeline._linked = folder, positions, linked
        checks.check(pipeline)
        return pipeline

    @classmethod
    def _read_member(cls, path: Path, label: str) -> tuple[Self, int]:
        """Read a file to which another refers; its own references are resolved by the root."""
        text = read_text(path)
        data, positions = parse_yaml(text, label)
        pipeline, found = cls._validate(data)
        if pipeline is None:
            raise _all_faults(data, found, Linked(), positions)
        pipeline._base_dir, pipeline._positions = path.parent, positions
        return pipeline, len(text)

    @classmethod
    def _validate(cls, data: Any) -> tuple[Self | None, list[Finding]]:
        try:
            return cls.model_validate(data, by_name=False), []
        except ValidationError as error:
            return None, findings_of(error, cls)

    @classmethod
    def _sound(cls, data: Any) -> Any:
        """A definition with faults, with those pipelines in it as such that have none."""
        entries = _named(data.get("pipelines")) if isinstance(data, Mapping) else None
        if not isinstance(entries, Mapping):
            return data
        inner = {name: entry for name, entry in entries.items() if isinstance(entry, Mapping)}
        return {**data, "pipelines": {**entries, **{name: cls._validate(inner[name])[0] for name in inner}}}

    @classmethod
    def from_canonical(cls, canonical: Mapping[str, Any], base_dir: str | Path | None = None) -> Self:
        """The pipeline that `canonical()` was taken of. Raises PipelineFileError where it is none."""
        folders, bare = _without_folders(canonical.get("pipelines"))
        pipeline = cls(**{**canonical, "pipelines": bare} if folders else canonical)
        pipeline._base_dir, pipeline._folders = Path(base_dir) if base_dir else None, folders
        if folders:
            pipeline._link()
        return pipeline

    def _link(self) -> None:
        """Resolve what it refers to; for one that comes from no file."""
        linked = Linked()
        written: Any = ()
        if self.pipelines or any(step.refers for step in [*self.steps, *(self.finally_ or ())]):
            written = self.written()
            linked = link(written, self._base_dir, no_file, folders=self._folders)
        label = f"<pipeline {self.pipeline}>"
        if linked.places:
            self._positions = Positions(label, ()).with_members(linked.places)
        if linked.findings:
            raise report(linked.findings, label, self._positions, written, linked.faults)
        self._linked = linked

    def canonical(self) -> PipelineDef:
        """Plain data, ready for JSON: what was set, keys as in a file, durations in seconds."""
        plain = cast(PipelineDef, self.written())
        linked = self._linked or Linked()
        plain.pop("pipelines", None)
        if linked.members:
            plain["pipelines"] = deepcopy(linked.members)
        if linked.refs:
            for place, step in steps_of(plain):
                if place in linked.refs:
                    step["pipeline"] = linked.refs[place]
        return plain

    @property
    def base_dir(self) -> Path | None:
        """The folder of its file; None where it has none."""
        return self._base_dir

    @property
    def positions(self) -> Positions | None:
        """Where its nodes stand in its file; None where it has none."""
        return self._positions

    @property
    def stands_alone(self) -> bool:
        """Whether it is no part of another's file."""
        return self._linked is not None

    @property
    def fingerprint(self) -> str:
        """A short hash of the canonical form."""
        return fingerprint_of(self.canonical())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self.canonical() == other.canonical()

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def _without_folders(members: Any) -> tuple[dict[str, str], Any]:
    """The folders of recorded members, and the members without."""
    if not isinstance(members, Mapping):
        return {}, members
    found = {ref: member.get("folder") for ref, member in members.items() if isinstance(member, Mapping)}
    folders = {ref: folder for ref, folder in found.items() if isinstance(folder, str)}
    bare = {ref: {key: part for key, part in members[ref].items() if key != "folder"} for ref in folders}
    return folders, {**members, **bare}


def _refers(definition: Any) -> bool:
    """Whether a definition, which may have faults, refers to pipelines."""
    if not isinstance(definition, Mapping):
        return False
    given = cast(PipelineDef, definition)
    return bool(given.get("pipelines")) or any("pipeline" in step for _, step in steps_of(given))


def _all_faults(data: Any, found: list[Finding], linked: Linked, positions: Positions) -> PipelineFileError:
    """The error for a file with faults; what is sound of it is checked as a whole one would be."""
    rest = valid_parts(data, found, linked) if linked.is_complete else None
    if rest is not None:
        told = {finding.path for finding in found}
        more = checks.examine(rest.definition, keys=rest.keys, names=rest.names).all_findings()
        found = found + [finding for finding in more if finding.path not in told]
    return report(found, positions.file, positions, data, linked.faults)


__all__ = [
    "Case",
    "Concurrency",
    "Defaults",
    "Effect",
    "FormField",
    "InputSpec",
    "OnError",
    "Pipeline",
    "Retry",
    "Step",
    "bind_inputs",
]

"""The pipeline as objects: what a file says, and what Python builds.

One model for both. The classes check each field on its own; what holds between fields and between steps (a name that
nothing has, a cycle) is checked by `checks`, at once for a file and before the plan for a pipeline built in Python. The
form that is recorded, compared and planned is `canonical()`: plain data, see `definition`.

pydantic is imported by the modules of the model only, so that a recorded pipeline can be resumed without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import Field, PrivateAttr, ValidationError

from orchestrator.pipelines import checks, fields
from orchestrator.pipelines.base import Model
from orchestrator.pipelines.definition import PipelineDef, StepDef, fingerprint_of
from orchestrator.pipelines.inputs import bind_inputs
from orchestrator.pipelines.invalid import findings_of, valid_parts
from orchestrator.pipelines.policies import Defaults, OnError, Retry
from orchestrator.pipelines.positions import Finding, Positions, report
from orchestrator.pipelines.rules import step_rules
from orchestrator.pipelines.yaml_source import parse_yaml, read_text

if TYPE_CHECKING:
    from orchestrator.pipelines.input_types import TypeWord
    from orchestrator.pipelines.policies import Span

    _NOTHING: Mapping[str, Any] = {}


class InputSpec(Model):
    """An input: its type and, unless it must be given, its default."""

    _what = "input"
    _kept = frozenset({"default"})

    type: fields.Type = Field("any", description="What the value must be. A path is a file or folder.")
    default: fields.Plain = Field(
        None, description="The value where none is given; without it the input is required. A path is beside the file."
    )
    description: fields.Text = Field("", description="One line for whoever runs the pipeline.")

    if TYPE_CHECKING:

        def __init__(self, *, type: TypeWord = "any", default: Any = ..., description: str = "") -> None: ...

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return "default" not in self.model_fields_set


class Step(Model):
    """A step: exactly one of `call`, `run` and `set`, and what modifies it."""

    _what = "step"

    id: fields.Identifier = Field(description="Its name; also the variable that holds its output.")
    call: fields.Target | None = Field(
        None, description="A Python function: module:function, beside the file or installed."
    )
    with_: fields.Arguments | None = Field(
        None, validation_alias="with", serialization_alias="with", description="call: the keyword arguments."
    )
    run: fields.Command | None = Field(None, description="A program with its arguments as a list, or a text for sh.")
    env: fields.Environment | None = Field(None, description="run: additions to the environment.")
    cwd: fields.Text | None = Field(None, description="run: the working folder, seen from the file's folder.")
    parse: fields.Parse = Field("text", description="run: json reads what the program printed into the field json.")
    set_: fields.Variables | None = Field(
        None, validation_alias="set", serialization_alias="set", description="Variables of the whole execution to set."
    )
    needs: fields.Identifiers | None = Field(
        None, description="Steps to wait for, added to those that its ${…} mention."
    )
    when: fields.Condition | None = Field(
        None, description="The step is skipped where this is false; its output is null then."
    )
    for_each: fields.Items | None = Field(None, description="Do the step once for each item of a list or a mapping.")
    as_: fields.Identifier | None = Field(
        None, validation_alias="as", serialization_alias="as", description="for_each: the name of the item (item)."
    )
    max_parallel: fields.Count | None = Field(None, description="for_each: how many items at a time.")
    timeout: fields.TimeLimit | None = Field(None, description="How long one attempt may take.")
    retry: Retry | None = Field(None, description="When a failed attempt is tried again; without it, never.")
    on_error: Annotated[list[OnError], Field(min_length=1)] | None = Field(
        None, description="What follows a failed attempt: the first rule that matches its error; else retry decides."
    )
    checkpoint: fields.Name | None = Field(
        None, description="Name of a checkpoint that is made when the step has ended."
    )
    important: fields.Boolean = Field(False, description="True: a checkpoint is made when the step has ended.")
    runner: fields.Runner | None = Field(None, description="call: process runs the function in a process of its own.")
    returns: fields.ResultFields | None = Field(
        None, description="call: the fields of the output, to check ${step.field} before the run."
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            id: str,
            call: str | Callable[..., Any] | None = None,
            with_: Mapping[str, Any] | None = None,
            run: str | Sequence[str | int | float] | None = None,
            env: Mapping[str, str | int | float | bool] | None = None,
            cwd: str | None = None,
            parse: Literal["text", "json"] = "text",
            set_: Mapping[str, Any] | None = None,
            needs: Sequence[str] | None = None,
            when: str | bool | None = None,
            for_each: str | Sequence[Any] | Mapping[str, Any] | None = None,
            as_: str | None = None,
            max_parallel: int | None = None,
            timeout: Span | None = None,
            retry: Retry | Mapping[str, Any] | None = None,
            on_error: Sequence[OnError | Mapping[str, Any]] | None = None,
            checkpoint: str | None = None,
            important: bool = False,
            runner: Literal["process"] | None = None,
            returns: Sequence[str] | Mapping[str, str] | None = None,
        ) -> None: ...

    def _rules(self) -> Iterable[Finding]:
        step: StepDef = self.canonical()
        return step_rules(step, (), step.keys())


class Pipeline(Model):
    """A pipeline. Equal pipelines have equal canonical forms."""

    pipeline: fields.Name = Field(description="Its name.")
    description: fields.Text = Field("", description="What it is for.")
    inputs: dict[fields.Identifier, InputSpec] = Field({}, description="What whoever runs it may give.")
    defaults: Defaults = Field(Defaults(), description="What holds for every step that does not say otherwise.")
    steps: list[Step] = Field(min_length=1, description="What is done. The order follows from who uses whose output.")
    outputs: fields.Outputs = Field({}, description="What comes out: names and values.")

    _base_dir: Path | None = PrivateAttr(None)
    _positions: Positions | None = PrivateAttr(None)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            pipeline: str,
            steps: Sequence[Step],
            description: str = "",
            inputs: Mapping[str, InputSpec | Mapping[str, Any]] = _NOTHING,
            defaults: Defaults | Mapping[str, Any] = _NOTHING,
            outputs: Mapping[str, Any] = _NOTHING,
        ) -> None: ...

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file. Raises PipelineFileError with every fault that can be seen without running it."""
        return cls._read(read_text(path), str(path), Path(path).absolute().parent)

    @classmethod
    def loads(cls, text: str, file: str = "<text>") -> Self:
        """Read a text; `file` is its name in messages. Raises PipelineFileError."""
        return cls._read(text, file, None)

    @classmethod
    def _read(cls, text: str, file: str, base_dir: Path | None) -> Self:
        data, positions = parse_yaml(text, file)
        try:
            pipeline = cls.model_validate(data, by_name=False)
        except ValidationError as error:
            found = findings_of(error, cls)
            if (rest := valid_parts(data, found)) is not None:
                found += checks.examine(rest.definition, keys=rest.keys, names=rest.names).findings
            raise report(found, file, positions, _ids(data)) from None
        pipeline._base_dir, pipeline._positions = base_dir, positions
        checks.check(pipeline)
        return pipeline

    @classmethod
    def from_canonical(cls, canonical: Mapping[str, Any], base_dir: str | Path | None = None) -> Self:
        """The pipeline that `canonical()` was taken of. Raises PipelineFileError where it is none."""
        pipeline = cls(**canonical)
        pipeline._base_dir = Path(base_dir) if base_dir else None
        return pipeline

    def canonical(self) -> PipelineDef:
        """Plain data, ready for JSON: what was set, keys as in a file, durations in seconds."""
        return cast(PipelineDef, super().canonical())

    @property
    def base_dir(self) -> Path | None:
        """The folder of its file; None where it has none."""
        return self._base_dir

    @property
    def positions(self) -> Positions | None:
        """Where its nodes stand in its file; None where it has none."""
        return self._positions

    @property
    def fingerprint(self) -> str:
        """A short hash of the canonical form."""
        return fingerprint_of(self.canonical())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self.canonical() == other.canonical()

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def _ids(data: Any) -> list[Any]:
    steps = data.get("steps") if isinstance(data, dict) else None
    return [step.get("id") if isinstance(step, dict) else None for step in steps] if isinstance(steps, list) else []


__all__ = ["Defaults", "InputSpec", "OnError", "Pipeline", "Retry", "Step", "bind_inputs"]

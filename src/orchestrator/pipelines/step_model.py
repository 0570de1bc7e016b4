"""A step as an object: its kind, and everything that modifies it.

The kinds that are made of steps hold them as objects of the same class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from orchestrator.pipelines import accept, fields
from orchestrator.pipelines.base import Model
from orchestrator.pipelines.definition import CHOICES, Definition, StepDef, steps_below
from orchestrator.pipelines.parts import Effect, FormField
from orchestrator.pipelines.policies import OnError, Retry
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.rules import step_rules

if TYPE_CHECKING:
    from orchestrator.pipelines.policies import Span


def _reference(value: Any) -> Any:
    """The name or the file of a pipeline, or the pipeline itself."""
    return value if isinstance(value, Model) and value.is_pipeline else accept.name(value)


Reference = Annotated[Any, PlainValidator(_reference), WithJsonSchema({"type": "string", "minLength": 1})]


class Case(Model):
    """A case of a `switch`; the last one may be without `when`, and is done where no other is."""

    _what = "case"

    when: fields.Condition | None = Field(
        None, description="The case is done where this is true and no case before it."
    )
    steps: list[Step] = Field(min_length=1, description="What is done then.")
    output: fields.Plain = Field(None, description="What the output is, with `${…}`, in place of the steps' outputs.")

    if TYPE_CHECKING:

        def __init__(
            self, *, steps: Sequence[Step | Mapping[str, Any]], when: str | bool | None = None, output: Any = None
        ) -> None: ...


class Step(Model):
    """A step: exactly one of the kinds, and what modifies it."""

    _what = "step"
    _kept = frozenset({"default"})
    _as_given = frozenset({"pipeline"})

    id: fields.Identifier = Field(description="Its name; also the variable that holds its output.")
    call: fields.Target | None = Field(
        None, description="A Python function: module:function, beside the file or installed."
    )
    with_: fields.Arguments | None = Field(
        None,
        validation_alias="with",
        serialization_alias="with",
        description="call: the keyword arguments; pipeline: its inputs.",
    )
    run: fields.Command | None = Field(None, description="A program with its arguments as a list, or a text for sh.")
    env: fields.Environment | None = Field(None, description="run: additions to the environment.")
    cwd: fields.Text | None = Field(None, description="run: the working folder, seen from the file's folder.")
    parse: fields.Parse = Field("text", description="run: json reads what the program printed into the field json.")
    set_: fields.Variables | None = Field(
        None, validation_alias="set", serialization_alias="set", description="Variables of the whole execution to set."
    )
    steps: Annotated[list[Step], Field(min_length=1)] | None = Field(
        None, description="A block: steps of its own, whose outputs by their ids are the output."
    )
    switch: Annotated[list[Case], Field(min_length=1)] | None = Field(
        None, description="Cases: the first whose `when` holds is done; without one the step is skipped."
    )
    parallel: Annotated[list[Step], Field(min_length=1)] | None = Field(
        None, description="Branches, none of which may use another's output."
    )
    join: fields.Join = Field("all", description="parallel: how many branches must end well; the others are cancelled.")
    output: fields.Plain = Field(None, description="steps and parallel: what the output is instead, with `${…}`.")
    pipeline: Reference | None = Field(
        None, description="Another pipeline: a name of `pipelines`, a file beside this one, or . for this one."
    )
    wait: fields.Wait | None = Field(None, description="Wait for a duration, or until a moment: 2h, 2026-12-01T08:00.")
    signal: fields.Wording | None = Field(
        None, description="Wait for a message of this name; its payload is the output."
    )
    approve: fields.Wording | None = Field(None, description="What a person is asked.")
    who: fields.People | None = Field(None, description="approve: who may answer; without it everybody.")
    choices: fields.Choices = Field(
        CHOICES,  # type: ignore[arg-type]  # a tuple, which is not copied for each step
        description="approve: what can be answered.",
    )
    form: dict[fields.Identifier, FormField] | None = Field(None, description="approve: what else is to be filled in.")
    deadline: fields.TimeLimit | None = Field(None, description="signal and approve: how long an answer may take.")
    default: fields.Plain = Field(
        None, description="signal and approve: what is answered after the deadline; without it the step fails then."
    )
    return_: fields.Outputs | None = Field(
        None,
        validation_alias="return",
        serialization_alias="return",
        description="End the pipeline here, well, with these outputs.",
    )
    fail: fields.Wording | None = Field(None, description="Fail with this message.")
    needs: fields.Identifiers | None = Field(
        None, description="Steps to wait for, added to those that its ${…} mention."
    )
    when: fields.Condition | None = Field(
        None, description="The step is skipped where this is false; its output is null then."
    )
    for_each: fields.Items | None = Field(None, description="Do the step once for each item of a list or a mapping.")
    as_: fields.Identifier | None = Field(
        None,
        validation_alias="as",
        serialization_alias="as",
        description="for_each: the name of the item (item); while: of the round's number.",
    )
    max_parallel: fields.Count | None = Field(None, description="for_each: how many items at a time.")
    on_item_failure: fields.ItemFailure = Field(
        "stop", description="for_each: stop at a failed item, collect all outcomes, or bear a share such as 10%."
    )
    while_: fields.Condition | None = Field(
        None,
        validation_alias="while",
        serialization_alias="while",
        description="Do the step again as long as this is true; judged before each round.",
    )
    max_iterations: fields.Count = Field(1000, description="while: the step fails where more rounds are needed.")
    timeout: fields.TimeLimit | None = Field(None, description="How long one attempt may take.")
    retry: Retry | None = Field(None, description="When a failed attempt is tried again; without it, never.")
    on_error: Annotated[list[OnError], Field(min_length=1)] | None = Field(
        None, description="What follows a failed attempt: the first rule that matches its error; else retry decides."
    )
    effect: Effect | None = Field(
        None, description="call and run: what is done where a crash leaves in doubt whether it has happened."
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
            steps: Sequence[Step | Mapping[str, Any]] | None = None,
            switch: Sequence[Case | Mapping[str, Any]] | None = None,
            parallel: Sequence[Step | Mapping[str, Any]] | None = None,
            join: int | Literal["all", "any"] = "all",
            output: Any = None,
            pipeline: str | Definition | None = None,
            wait: Span | date | None = None,
            signal: str | None = None,
            approve: str | None = None,
            who: str | Sequence[str] | None = None,
            choices: Sequence[str] = CHOICES,
            form: Mapping[str, FormField | Mapping[str, Any]] | None = None,
            deadline: Span | None = None,
            default: Any = ...,
            return_: Mapping[str, Any] | None = None,
            fail: str | None = None,
            needs: Sequence[str] | None = None,
            when: str | bool | None = None,
            for_each: str | Sequence[Any] | Mapping[str, Any] | None = None,
            as_: str | None = None,
            max_parallel: int | None = None,
            on_item_failure: str | float = "stop",
            while_: str | bool | None = None,
            max_iterations: int = 1000,
            timeout: Span | None = None,
            retry: Retry | Mapping[str, Any] | None = None,
            on_error: Sequence[OnError | Mapping[str, Any]] | None = None,
            effect: Effect | Mapping[str, Any] | None = None,
            checkpoint: str | None = None,
            important: bool = False,
            runner: Literal["process"] | None = None,
            returns: Sequence[str] | Mapping[str, str] | None = None,
        ) -> None: ...

    @property
    def refers(self) -> bool:
        """Whether it, or a step inside of it, runs another pipeline."""
        inner = [
            *(self.steps or ()),
            *(self.parallel or ()),
            *(step for case in self.switch or () for step in case.steps),
        ]
        return self.pipeline is not None or any(step.refers for step in inner)

    def canonical(self) -> StepDef:
        """Plain data; a pipeline that was given as such is known by its name."""
        plain: StepDef = self.written()
        for _, step in steps_below([plain], ()):
            if "pipeline" in step:
                step["pipeline"] = str(getattr(step["pipeline"], "pipeline", step["pipeline"]))
        return plain

    def _rules(self) -> Iterable[Finding]:
        return step_rules(self.written(), ())


Case.model_rebuild()  # it stands before the class that it holds

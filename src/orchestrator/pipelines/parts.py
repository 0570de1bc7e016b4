"""The small parts of the model: an input, a field of a form, what an effect in doubt asks for, who waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from orchestrator.pipelines import fields
from orchestrator.pipelines.base import Model
from orchestrator.pipelines.modifier_rules import effect_rules, field_rules
from orchestrator.pipelines.positions import Finding

if TYPE_CHECKING:
    from orchestrator.pipelines.input_types import TypeWord


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


class FormField(Model):
    """A field of the form of an `approve` step: its type and, unless it must be filled in, its default."""

    _what = "field"
    _kept = frozenset({"default"})

    type: fields.FieldType = Field("any", description="What the answer must be.")
    default: fields.Plain = Field(None, description="The answer where none is given; without it the field is required.")
    description: fields.Text = Field("", description="One line for whoever fills it in.")
    choices: fields.FieldChoices | None = Field(None, description="The values that can be chosen; without it any.")

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            type: Literal["any", "string", "number", "integer", "boolean", "list", "mapping"] = "any",
            default: Any = ...,
            description: str = "",
            choices: Sequence[Any] | None = None,
        ) -> None: ...

    def _rules(self) -> Iterable[Finding]:
        return field_rules(self.canonical(), ())

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return "default" not in self.model_fields_set


class Effect(Model):
    """What is done where a crash leaves in doubt whether a step has had its effect on the world."""

    _what = "effect"

    in_doubt: fields.InDoubt = Field(
        description="retry: do it again; verify: ask a function; skip: take it as done; ask: a person decides."
    )
    verify: fields.Target | None = Field(None, description="verify: the function that looks, as module:function.")

    if TYPE_CHECKING:

        def __init__(
            self, *, in_doubt: Literal["retry", "verify", "skip", "ask"], verify: str | Callable[..., Any] | None = None
        ) -> None: ...

    def _rules(self) -> Iterable[Finding]:
        return effect_rules(self.canonical(), ())


class Concurrency(Model):
    """Of executions with an equal key, over all processes that share the store, one runs at a time."""

    _what = "concurrency"

    key: fields.Wording = Field(description="What must not run twice at a time; made of inputs.")
    when_busy: fields.WhenBusy = Field(
        "queue", description="queue: wait for the other; cancel_older: cancel it; refuse: do not start."
    )

    if TYPE_CHECKING:

        def __init__(self, *, key: str, when_busy: Literal["queue", "cancel_older", "refuse"] = "queue") -> None: ...

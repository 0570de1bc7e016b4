"""Arguments of a durable function, from the texts of a command line and the values of a file.

Each is read by the annotation of its parameter. A text is taken as such where the annotation has a form of it (a
number, a date, a member of an enum); else as JSON or YAML, which a list, a mapping, a dataclass or a model is made of.
Without an annotation, or with one that says nothing, it is YAML: as an input without a type is read.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any

from orchestrator.cli.typed import typed
from orchestrator.cli.words import in_brief, plain_data
from orchestrator.errors import InputError
from orchestrator.pipelines.wording import did_you_mean, one_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

#: Of a value that does not fit, so many characters are shown; of an enum, so many members.
_SHOWN, _MEMBERS = 80, 12
_MODULES = re.compile(r"\b(?:\w+\.)+(?=\w)")


def bind_arguments(function: Callable[..., Any], texts: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name: `values` are data of a file, `texts` come from the command line and override those.

    Paths are seen from the working folder. Raises InputError with every fault: what does not fit, what is not known,
    what is missing.
    """
    parameters = parameters_of(function)
    bound: dict[str, Any] = {}
    faults: list[str] = []
    for name in dict.fromkeys([*values, *texts]):
        parameter = parameters.get(name) or next((p for p in parameters.values() if p.takes_any_name), None)
        if parameter is None:
            faults.append(_unknown(name, parameters))
            continue
        try:
            bound[name] = parameter.read(name, texts[name]) if name in texts else parameter.take(name, values[name])
        except InputError as error:
            faults.append(str(error))
    faults += [_missing(name, p) for name, p in parameters.items() if p.required and name not in {*values, *texts}]
    if faults:
        raise InputError("\n".join(faults))
    return bound


def parameters_of(function: Callable[..., Any]) -> Mapping[str, Parameter]:
    """The parameters of a function by name, in order."""
    signature = inspect.signature(function)
    return {name: Parameter(function, parameter) for name, parameter in signature.parameters.items()}


class Parameter:
    """A parameter of a durable function, and what it takes."""

    def __init__(self, function: Callable[..., Any], parameter: inspect.Parameter) -> None:
        hint = _hint(function, parameter.annotation)
        star = parameter.kind is parameter.VAR_POSITIONAL
        self._hint = list[hint] if star else hint  # type: ignore[valid-type]  # as good a type as any at run time
        self.takes_any_name = parameter.kind is parameter.VAR_KEYWORD
        self.default = parameter.default
        self.shown = "*" * star + "**" * self.takes_any_name + parameter.name
        self.required = parameter.default is parameter.empty and not star and not self.takes_any_name

    @property
    def expects(self) -> str:
        """What it takes, in words: `int`, `'red' or 'blue'`; `any` where that is not said."""
        hint = _bare(self._hint)
        if hint is Any:
            return "any"
        if typing.get_origin(hint) is typing.Literal:
            return one_of([repr(value) for value in typing.get_args(hint)])
        if isinstance(hint, type) and issubclass(hint, Enum) and 0 < len(hint) <= _MEMBERS:
            return one_of([repr(plain_data(member.value)) for member in hint])
        text = inspect.formatannotation(hint)
        return text if "'" in text else _MODULES.sub("", text)

    def about(self) -> Iterator[str]:
        """What there is to say of its default."""
        if self.required:
            yield "required"
        elif self.default is not inspect.Parameter.empty:
            default = self.default.value if isinstance(self.default, Enum) else self.default
            yield f"default {in_brief(default, _SHOWN)}"

    def read(self, name: str, text: str) -> Any:
        """The value that a text of the command line stands for. Raises InputError."""
        if self._hint is str:
            return text
        adapter = _adapter(self._hint)
        if adapter is None:
            return typed(f"input {name!r}", text, "any")
        for form in (lambda: adapter.validate_strings(text), lambda: _duration(self._hint, text)):
            try:
                return _seen(form())
            except ValueError:
                pass
        try:
            return self._checked(name, adapter, _data(name, text), text)
        except InputError:
            if (member := _member(self._hint, text)) is not None:
                return member
            raise

    def take(self, name: str, value: Any) -> Any:
        """The value that data of a file stand for. Raises InputError."""
        adapter = _adapter(self._hint)
        if adapter is None:
            return value
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                return _duration(self._hint, value)
            except ValueError:
                pass
        return self._checked(name, adapter, value, value)

    def _checked(self, name: str, adapter: TypeAdapter[Any], data: Any, given: Any) -> Any:
        from pydantic import ValidationError

        try:
            return _seen(adapter.validate_json(json.dumps(data, default=str), strict=True))
        except ValidationError as error:
            told = f"input {name!r} expects {self.expects}, got {_shown(given)}"
            raise InputError(told + _inside(error, self._hint)) from None


def _bare(hint: Any) -> Any:
    """A type without what Annotated adds to it."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _hint(function: Callable[..., Any], annotation: Any) -> Any:
    """An annotation as a type; Any where there is none, or it names what cannot be found."""
    if annotation is inspect.Parameter.empty or annotation is object:
        return Any
    holder: Any = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, getattr(inspect.unwrap(function), "__globals__", {}), None, True)["it"]
    except Exception:  # noqa: BLE001 - whatever evaluating it raises: it is not ours
        return Any


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    """What checks values of a type; None where everything fits, or nothing is known of the type."""
    if hint is Any:
        return None
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(hint)
    except (PydanticUserError, TypeError):
        return None


def _duration(hint: Any, value: object) -> timedelta:
    """A length of time as a pipeline's file has it: `90s`, `1h30m`. Raises ValueError."""
    from orchestrator.pipelines.durations import seconds

    if timedelta not in _members(_bare(hint)):
        raise ValueError
    return timedelta(seconds=seconds(float(value) if isinstance(value, str) and value.isdigit() else value))


def _members(hint: Any) -> tuple[Any, ...]:
    """The types of a union; of another type itself alone."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, UnionType) else (hint,)


def _member(hint: Any, text: str) -> Enum | None:
    """The member of an enum that has this name, for those whose values are no text."""
    kinds = (kind for kind in _members(_bare(hint)) if isinstance(kind, type) and issubclass(kind, Enum))
    return next((kind.__members__[text] for kind in kinds if text in kind.__members__), None)


def _seen(value: Any) -> Any:
    """A path as it is seen from the working folder: a later life of the execution may have another one."""
    return value.absolute() if isinstance(value, Path) else value


def _data(name: str, text: str) -> Any:
    """The data that a text stands for; nothing stands for null."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return typed(f"input {name!r}", text, "any")


def _shown(value: Any) -> str:
    return repr(value)[:_SHOWN] if isinstance(value, str) else in_brief(value, _SHOWN)


def _inside(error: ValidationError, hint: Any) -> str:
    """What is wrong, where that is not the type of the value as a whole: `; at [1].age: …`."""
    bare = _bare(hint)
    if len([kind for kind in _members(bare) if kind is not NoneType]) > 1:  # the fault of which of them?
        return ""
    fault = error.errors(include_url=False, include_context=False)[0]
    message = fault["msg"][:1].lower() + fault["msg"][1:]
    if not fault["loc"]:
        return f"; {message}" if bare is not hint else ""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    got = "" if fault["type"] == "missing" else f", got {_shown(fault['input'])}"
    return f"; at {place}: {message}{got}"


def _unknown(name: str, parameters: Mapping[str, Parameter]) -> str:
    known = f"it has {one_of([*parameters])}".replace(" or ", " and ") if parameters else "it has none"
    return f"the pipeline has no input {name!r}; {did_you_mean(name, parameters) or known}"


def _missing(name: str, parameter: Parameter) -> str:
    about = "" if parameter.expects == "any" else f" ({parameter.expects})"
    return f"input {name!r}{about} is required; give it with -i {name}=…"

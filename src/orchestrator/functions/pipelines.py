"""`@pipeline`: a function whose calls of steps are recorded, so that it goes on where it stopped.

Run by `run`, `arun` or `start` it is an execution; called in another one it is a part of that; called elsewhere it is
the function that it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from orchestrator.errors import InputError
from orchestrator.execution.driver import PythonCall
from orchestrator.execution.flow import Asked, Here, here, keyed, planned
from orchestrator.functions.lint import warn_of_chance
from orchestrator.functions.options import Retry, Span, definition_of
from orchestrator.functions.source import (
    check_defaults,
    check_function,
    named,
    place_of_function,
    signature_of,
    where_called,
)
from orchestrator.functions.steps import PACKAGE, _async_flow, _own, _plain_flow, take_key
from orchestrator.journal.codec import IMMUTABLE
from orchestrator.pipelines.definition import FunctionDef
from orchestrator.pipelines.plan import Plan, function_plan
from orchestrator.pipelines.planned import PlannedStep

P = ParamSpec("P")
T = TypeVar("T")

_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", list: "list", dict: "mapping"}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How an execution of a function is run: see `PipelineFunction.options`."""

    execution_id: str | None = None
    store: Any = None
    durability: str = "disk"
    wait: bool = False


class PipelineFunction(Generic[P, T]):
    """What both kinds of durable functions have. `function` is the function itself."""

    def __init__(self, function: Callable[P, Any], name: str | None, retry: Retry | None, timeout: Span | None) -> None:
        check_function(function, "pipeline")
        update_wrapper(self, function)  # type: ignore[arg-type]  # what is called is a subclass
        self.function, self.name = function, named(function, name, "pipeline")
        check_defaults(function)
        self.target, self.folder = place_of_function(function)
        self.run_options = RunOptions()
        self._key: str | None = None
        self._definition, _, _ = definition_of(
            self.name,
            self.target,
            retry=retry,
            timeout=timeout,
            runner=None,
            effect=None,
            important=False,
            on_error=None,
        )

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @cached_property
    def signature(self) -> inspect.Signature:
        """That of the function."""
        return signature_of(self.function)

    @cached_property
    def planned(self) -> PlannedStep:
        """The step that runs it in another function."""
        return planned(self._definition)

    @cached_property
    def plan(self) -> Plan:
        """What an execution of it is recorded with. Warns, once, of what may come out otherwise in a later life."""
        warn_of_chance(self.function, self.name)
        inputs: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            entry: dict[str, Any] = {}
            if (word := _WORDS.get(parameter.annotation) or _WORDS_BY_NAME.get(str(parameter.annotation))) is not None:
                entry["type"] = word
            if parameter.default is not parameter.empty and _is_plain(parameter.default):
                entry["default"] = parameter.default
            inputs[name] = entry
        definition: FunctionDef = {"pipeline": self.name, "function": self.target, "inputs": inputs, "steps": []}
        if self.__doc__:
            definition["description"] = inspect.cleandoc(self.__doc__).partition("\n")[0]
        if "timeout" in self._definition or "retry" in self._definition:
            kept = {key: self._definition[key] for key in ("timeout", "retry") if key in self._definition}
            definition["defaults"] = kept  # type: ignore[typeddict-item]  # those two of a step
        return function_plan(definition, Path(self.folder) if self.folder else None)

    def options(
        self,
        *,
        execution_id: str | None = None,
        store: Any = None,
        durability: str | None = None,
        wait: bool | None = None,
    ) -> Self:
        """The same function, to be run with these options: `run(book.options(execution_id="trip-7"), "Oslo")`.

        `execution_id` is of your choice; where there is one of that id already, with the same inputs, it is gone on
        with. `store` is a path, a URL or an open Store, `durability` is disk, process or none. With `wait` the run
        lasts until the end, however long that waits.
        """
        given = {"execution_id": execution_id, "store": store, "durability": durability, "wait": wait}
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.run_options = replace(self.run_options, **{k: v for k, v in given.items() if v is not None})
        return other

    def with_key(self, key: object) -> Self:
        """The function under a key of its own, where another one calls it."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._key = str(key)
        return other

    # -- calls ---------------------------------------------------------------------------------------------------------

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Mapping[str, Any]:
        """The arguments by name, defaults included. Raises InputError where they do not fit."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise InputError(f"pipeline {self.name!r}: {exc}; it takes {self._shown()}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def bind_named(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `bind`, of arguments by name."""
        positional, named_ = self._split(given)
        return self.bind(*positional, **named_)

    def _split(self, given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as a call has them: those before `*more` have no names where there is more."""
        positional: list[Any] = []
        left = dict(given)
        parameters = self.signature.parameters
        more = any(p.kind is p.VAR_POSITIONAL and left.get(name) for name, p in parameters.items())
        for name, parameter in parameters.items():
            nameless = parameter.kind is parameter.POSITIONAL_ONLY or (
                more and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            )
            if nameless and name not in left and parameter.default is not parameter.empty:
                left[name] = parameter.default
            if name not in left:
                if nameless:
                    break
            elif parameter.kind is parameter.VAR_POSITIONAL:
                positional += left.pop(name)
            elif parameter.kind is parameter.VAR_KEYWORD:
                left |= left.pop(name)
            elif nameless:
                positional.append(left.pop(name))
        return positional, left

    def call(self, target: str, given: Mapping[str, Any]) -> PythonCall:
        """The call with these arguments, which were recorded. Raises InputError where they do not fit any more."""
        positional, named_ = self._split(given)
        try:
            self.signature.bind(*positional, **named_)
        except TypeError as exc:
            raise InputError(
                f"pipeline {self.name!r} was begun with ({', '.join(given)}), and takes {self._shown()} now: {exc}; "
                "give what is new a default, and leave what was there"
            ) from None
        return PythonCall(target, named_, function=self.function, positional=tuple(positional), folder=self.folder)

    def _shown(self) -> str:
        return str(self.signature.replace(return_annotation=inspect.Signature.empty))

    def _ask(self, place: Here, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
        where = where_called(PACKAGE)
        self.bind(*args, **kwargs)
        name = self.name if self._key is None else keyed(self.name, self._key)
        key = take_key(place, name, where)

        def make(_item: Any) -> PythonCall:
            positional = tuple(arg if isinstance(arg, IMMUTABLE) else _own(arg) for arg in args)
            named_ = {name: arg if isinstance(arg, IMMUTABLE) else _own(arg) for name, arg in kwargs.items()}
            return PythonCall(self.target, named_, function=self.function, positional=positional, folder=self.folder)

        return Asked(self.name, key, self.planned, make, where, is_function=True)


class SyncPipeline(PipelineFunction[P, T]):
    """A durable function that is a plain function: it runs in a thread, and its calls hold that up."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it: as a part of the durable function that this is called in, or else as the function itself."""
        place = here()
        if place is None:
            return self.function(*args, **kwargs)  # type: ignore[no-any-return]  # of the caller's function
        _plain_flow(place, self.name, f"await {self.name}.aio(...)")
        return place.flow.wait(self._ask(place, args, kwargs))  # type: ignore[no-any-return]  # as recorded

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, T]:
        """Call it in an async pipeline."""
        place = here()
        if place is None:
            raise InputError(f"{self.name}.aio is for async pipelines; outside of them call {self.name}(...)")
        return _async_flow(place, self.name).later(self._ask(place, args, kwargs))


class AsyncPipeline(PipelineFunction[P, T]):
    """A durable function that is an async function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, T]:
        """Call it: as a part of the durable function that this is called in, or else as the function itself."""
        place = here()
        if place is None:
            return self.function(*args, **kwargs)  # type: ignore[no-any-return]  # of the caller's function
        return _async_flow(place, self.name).later(self._ask(place, args, kwargs))

    def wait(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a plain pipeline and wait for it."""
        place = here()
        if place is None:
            raise InputError(f"{self.name}.wait is for plain pipelines; outside of them use run({self.name}, ...)")
        _plain_flow(place, f"{self.name}.wait", f"await {self.name}(...)")
        return place.flow.wait(self._ask(place, args, kwargs))  # type: ignore[no-any-return]  # as recorded


class PipelineDecorator(Protocol):
    """What `pipeline(...)` with options gives."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> AsyncPipeline[P, T]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[P, T], /) -> SyncPipeline[P, T]: ...


@overload
def pipeline(function: Callable[P, Coroutine[Any, Any, T]], /) -> AsyncPipeline[P, T]: ...  # type: ignore[overload-overlap]
@overload
def pipeline(function: Callable[P, T], /) -> SyncPipeline[P, T]: ...
@overload
def pipeline(
    *, name: str | None = None, retry: Retry | None = None, timeout: Span | None = None
) -> PipelineDecorator: ...
def pipeline(
    function: Any = None, /, *, name: str | None = None, retry: Retry | None = None, timeout: Span | None = None
) -> Any:
    """Make a function durable: what its steps gave is recorded, and after a crash it goes on from there.

    `name` is what executions of it are listed under. `retry` and `timeout` hold where another durable function, or a
    step of a pipeline's file, runs it.

    In a later life the function runs again from its first line, and its calls give what is recorded. So everything else
    in it must come out the same again: what reads the clock, draws lots or asks the world belongs into a step (or see
    `now`, `random`, `uuid`). Raises InputError for what cannot be one.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        kind = AsyncPipeline if inspect.iscoroutinefunction(function) else SyncPipeline
        return kind(function, name, retry, timeout)

    return decorate if function is None else decorate(function)


_WORDS_BY_NAME = {kind.__name__: word for kind, word in _WORDS.items()}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)

"""`@step`: a function whose result is recorded.

Called in a durable function it is a step of the execution; anywhere else, and inside of another step, it is the
function that it was.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cached_property, update_wrapper
from pathlib import Path
from types import MethodType
from typing import Any, Generic, Literal, ParamSpec, Protocol, Self, TypeVar, overload

from orchestrator.errors import CodecError, InputError, WrongPlaceError
from orchestrator.execution.driver import PythonCall
from orchestrator.execution.flow import Asked, Flow, Here, Make, here, keyed, planned
from orchestrator.execution.variables.cells import own
from orchestrator.functions.options import EffectPolicy, Key, Retry, Rules, Span, definition_of, planned_map
from orchestrator.functions.source import check_function, named, place_of_function, signature_of, where_called
from orchestrator.journal.codec import IMMUTABLE
from orchestrator.pipelines.planned import PlannedStep
from orchestrator.types import StepKey

P = ParamSpec("P")
T = TypeVar("T")
#: Frames of this folder, and of what it stands on, are no callers.
PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"

OnItemFailure = Literal["stop", "collect"]


class StepFunction(Generic[P, T]):
    """What both kinds of steps have. `function` is the function itself, `name` what it is called in keys."""

    def __init__(
        self, function: Callable[P, Any], name: str | None, key: Key | None, options: Mapping[str, Any]
    ) -> None:
        check_function(function, "step")
        update_wrapper(self, function)  # type: ignore[arg-type]  # what is called is a subclass
        self.function, self.name = function, named(function, name, "step")
        self._key = key
        self._called_by: str | None = None
        self._target, self._folder = place_of_function(function)
        self._definition, self._verify, self._others = definition_of(self.name, self._target, **options)

    @cached_property
    def planned(self) -> PlannedStep:
        """The step as the engine carries it."""
        return planned(self._definition)

    @cached_property
    def signature(self) -> inspect.Signature:
        """That of the function."""
        return signature_of(self.function)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)  # type: ignore[arg-type]  # likewise

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def with_key(self, key: object) -> Self:
        """The step under a key of its own, for one call: `await fetch.with_key(city)(city)`."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._called_by = str(key)
        return other

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _ask(self, place: Here, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
        where = where_called(PACKAGE)
        key = take_key(place, self._name_for(args, kwargs), where)
        asked = Asked(self.name, key, self.planned, self.make(args, kwargs), where, verify=self._verify)
        if self._others:
            asked.alternatives = {n: (other.planned, other.make(args, kwargs)) for n, other in self._others.items()}
        return asked

    def _ask_map(
        self, place: Here, items: Iterable[Any], max_parallel: int | None, on_item_failure: OnItemFailure
    ) -> Asked:
        if max_parallel is not None and (isinstance(max_parallel, bool) or max_parallel < 1):
            raise InputError(f"step {self.name!r}: max_parallel is at least 1, not {max_parallel!r}")
        if on_item_failure not in ("stop", "collect"):
            raise InputError(f"step {self.name!r}: on_item_failure is 'stop' or 'collect', not {on_item_failure!r}")
        where = where_called(PACKAGE)
        name = self.name if self._called_by is None else keyed(self.name, self._called_by)
        key = take_key(place, name, where)
        step = planned_map(self._definition, list(items), max_parallel, on_item_failure)
        return Asked(self.name, key, step, lambda item: self._call((item,), {}), where, verify=self._verify)

    def _name_for(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        if self._called_by is not None:
            return keyed(self.name, self._called_by)
        if self._key is None:
            return self.name
        if callable(self._key):
            return keyed(self.name, self._key(*args, **kwargs))
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        try:
            return keyed(self.name, self._key.format(**bound.arguments))
        except (KeyError, IndexError, AttributeError, ValueError) as exc:
            raise InputError(
                f"step {self.name!r}: its key {self._key!r} does not fit its parameters ({type(exc).__name__}: {exc}); "
                "write {parameter}"
            ) from None

    def make(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Make:
        """Makes its work with these arguments, afresh for each attempt."""
        return lambda _item: self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> PythonCall:
        """The work of one attempt, with arguments of its own: what it changes of them nobody else sees."""
        positional = tuple(arg if isinstance(arg, IMMUTABLE) else _own(arg) for arg in args)
        named_ = {name: arg if isinstance(arg, IMMUTABLE) else _own(arg) for name, arg in kwargs.items()}
        if self._definition.get("runner") == "process":  # there arguments go by name
            bound = self.signature.bind(*positional, **named_)
            return PythonCall(self._target, dict(bound.arguments), True)
        return PythonCall(self._target, named_, False, self.function, positional)


def _own(value: Any) -> Any:
    """A copy, of what can be copied: a connection or a client is passed as it is."""
    try:
        return own(value)
    except CodecError:
        return value


class SyncStep(StepFunction[P, T]):
    """A step that is a plain function. In an async pipeline `await step.aio(...)` leaves the loop free meanwhile."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it: a step of the durable function that this is called in, or else the function itself."""
        place = here()
        if place is None:
            return self.function(*args, **kwargs)  # type: ignore[no-any-return]  # of the caller's function
        return place.flow.wait(self._ask(place, args, kwargs))  # type: ignore[no-any-return]  # as recorded

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, T]:
        """Call it in an async pipeline without holding up the loop."""
        place = here()
        if place is None:
            return _in_thread(self.function, args, kwargs)
        return _async_flow(place, self.name).later(self._ask(place, args, kwargs))

    def map(
        self, items: Iterable[Any], *, max_parallel: int | None = None, on_item_failure: OnItemFailure = "stop"
    ) -> list[T]:
        """Call it for each item, at most `max_parallel` at a time; gives the results in the items' order.

        The first item that fails fails the call; with "collect" each result is `{"ok", "value", "error"}`.
        """
        place = here()
        if place is None:
            return [self.function(item) for item in items]  # type: ignore[call-arg]  # a function of one argument
        _plain_flow(place, f"{self.name}.map", f"await {self.name}.amap(...)")
        return place.flow.wait(self._ask_map(place, items, max_parallel, on_item_failure))  # type: ignore[no-any-return]

    def amap(
        self, items: Iterable[Any], *, max_parallel: int | None = None, on_item_failure: OnItemFailure = "stop"
    ) -> Coroutine[object, None, list[T]]:
        """`map` in an async pipeline."""
        place = here()
        if place is None:
            return _in_thread(lambda: [self.function(item) for item in items], (), {})  # type: ignore[call-arg]
        return _async_flow(place, self.name).later(self._ask_map(place, items, max_parallel, on_item_failure))


class AsyncStep(StepFunction[P, T]):
    """A step that is an async function. In a plain pipeline `step.wait(...)` waits for it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, T]:
        """Call it: a step of the durable function that this is called in, or else the function itself."""
        place = here()
        if place is None:
            return self.function(*args, **kwargs)  # type: ignore[no-any-return]  # of the caller's function
        return _async_flow(place, self.name).later(self._ask(place, args, kwargs))

    def wait(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a plain pipeline and wait for it."""
        place = here()
        if place is None:
            raise WrongPlaceError(
                f"{self.name}.wait is for pipelines that are no `async def`; write `await {self.name}(...)`"
            )
        _plain_flow(place, f"{self.name}.wait", f"await {self.name}(...)")
        return place.flow.wait(self._ask(place, args, kwargs))  # type: ignore[no-any-return]  # as recorded

    def map(
        self, items: Iterable[Any], *, max_parallel: int | None = None, on_item_failure: OnItemFailure = "stop"
    ) -> Coroutine[object, None, list[T]]:
        """Call it for each item, at most `max_parallel` at a time; gives the results in the items' order.

        The first item that fails fails the call; with "collect" each result is `{"ok", "value", "error"}`.
        """
        place = here()
        if place is None:
            return _one_by_one(self.function, items)
        return _async_flow(place, self.name).later(self._ask_map(place, items, max_parallel, on_item_failure))


async def _one_by_one(function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
    return [await function(item) for item in items]


async def _in_thread(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    import asyncio

    return await asyncio.to_thread(function, *args, **kwargs)


def take_key(place: Here, name: str, where: str) -> StepKey:
    """The key of the next call of this name."""
    return place.flow.take_key(place.prefix + name, where)


def _async_flow(place: Here, name: str) -> Flow:
    if not place.flow.is_async:
        raise WrongPlaceError(
            f"{where_called(PACKAGE)}: {place.flow.function} is no `async def`, and nobody would await this call of "
            f"{name!r}; write `{name}.wait(...)` for an async step, call a plain one as it is, or make it `async def`"
        )
    return place.flow


def _plain_flow(place: Here, what: str, instead: str) -> None:
    if place.flow.is_async:
        raise WrongPlaceError(
            f"{where_called(PACKAGE)}: {what} would hold up the loop of {place.flow.function}; write `{instead}`"
        )


class StepDecorator(Protocol):
    """What `step(...)` with options gives."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> AsyncStep[P, T]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[P, T], /) -> SyncStep[P, T]: ...


@overload
def step(function: Callable[P, Coroutine[Any, Any, T]], /) -> AsyncStep[P, T]: ...  # type: ignore[overload-overlap]
@overload
def step(function: Callable[P, T], /) -> SyncStep[P, T]: ...
@overload
def step(
    *,
    name: str | None = None,
    key: Key | None = None,
    retry: Retry | None = None,
    timeout: Span | None = None,
    runner: str | None = None,
    effect: EffectPolicy | None = None,
    important: bool = False,
    on_error: Rules | None = None,
) -> StepDecorator: ...
def step(function: Any = None, /, *, name: str | None = None, key: Key | None = None, **options: Any) -> Any:
    """Make a function a step of the durable functions that call it.

    `name` is what it is called in keys, in place of the function's own. `key` tells one call from another where several
    tasks call the step: a text with `{parameter}` in it, or a callable that makes it of the arguments. `retry` is the
    number of attempts in all, a RetryConfig, or a mapping as in a pipeline's file; `timeout` (seconds, "30s", a
    timedelta) is for each attempt. `runner="process"` runs it in a process of its own. `effect` says what is done where
    nobody knows whether it has happened: "retry", "skip", "ask", or {"verify": function}. `important` makes a
    checkpoint after it. `on_error` is one rule or more, as in a pipeline's file; its `steps` are step functions.

    Raises InputError, and PipelineFileError where a rule or a retry is malformed.
    """
    full = {
        "retry": None,
        "timeout": None,
        "runner": None,
        "effect": None,
        "important": False,
        "on_error": None,
    }
    for option in options:
        if option not in full:
            raise TypeError(f"step() got an unexpected keyword argument {option!r}")
    full |= options

    def decorate(function: Callable[..., Any]) -> Any:
        kind = AsyncStep if inspect.iscoroutinefunction(function) else SyncStep
        return kind(function, name, key, full)

    return decorate if function is None else decorate(function)

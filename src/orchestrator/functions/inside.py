"""What a durable function may do beside calling steps: wait, ask, mark, draw, look at the time.

In an async function what takes time is awaited; in a plain one the same call waits. So these are typed `Any`.
"""

from __future__ import annotations

import asyncio
import hashlib
import random as chance
import re
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import Token
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID

from orchestrator.clock import utc
from orchestrator.errors import FailStepError, InputError, WrongPlaceError
from orchestrator.execution.driver import Assign, PythonCall
from orchestrator.execution.flow import Asked, Given, Here, Make, here, keyed, planned
from orchestrator.execution.flow.current import enter, exit_
from orchestrator.execution.variables import VariableManager
from orchestrator.functions.options import Span
from orchestrator.functions.source import is_name, where_called
from orchestrator.functions.steps import PACKAGE, take_key
from orchestrator.pipelines.definition import CHOICES, ErrorRuleDef, StepDef
from orchestrator.pipelines.durations import seconds
from orchestrator.pipelines.moments import is_like_one, moment
from orchestrator.pipelines.plan import ApproveSpec, PlannedStep, SignalSpec, WaitSpec

T = TypeVar("T")
_UNSET: Any = object()
#: Ids of executions have so many characters at most.
_LONGEST_ID = 120


def place_for(what: str) -> Here:
    """Where the running code is. Raises WrongPlaceError outside of durable functions."""
    place = here()
    if place is None:
        raise WrongPlaceError(f"{what}() belongs into a function with @pipeline, while that runs")
    return place


def _wait_for(name: str, step: PlannedStep, make: Make = lambda _: Assign({}), key_name: str = "") -> Any:
    """Ask for a step that has no function: something to await, or its outcome in a plain function."""
    place = place_for(name)
    where = where_called(PACKAGE)
    asked = Asked(name, take_key(place, key_name or name, where), step, make, where)
    return place.flow.later(asked) if place.flow.is_async else place.flow.wait(asked)


def sleep(until: float | str | timedelta | datetime | date) -> Any:
    """Wait for so long (seconds, "2h", a timedelta), or until a moment. Awaited in an async function.

    It survives restarts and needs no process meanwhile. Gives the time at which it was over.
    """
    try:
        if isinstance(until, date) or (isinstance(until, str) and is_like_one(until)):
            time: Any = moment(until)
        else:
            time = seconds(until)
    except ValueError as exc:
        raise InputError(f"sleep: {exc}") from None
    step = _step({"id": "sleep", "wait": 0.0}, WaitSpec(Given(time)))
    return _wait_for("sleep", step)


def wait_for_signal(name: str, *, timeout: Span | None = None, default: Any = _UNSET) -> Any:
    """Wait for a signal of this name; gives its payload. Awaited in an async function.

    One that came before is taken at once. After `timeout` it gives `default`, or raises DeadlineError without one.
    """
    if not name:
        raise InputError(f"the name of a signal is a text, not {name!r:.60}")
    deadline = _seconds("wait_for_signal", timeout)
    has_default = default is not _UNSET
    spec = SignalSpec(Given(name), deadline, has_default, default if has_default else None)
    return _wait_for(
        "wait_for_signal", _step({"id": "wait_for_signal", "signal": name}, spec), key_name=keyed("signal", name)
    )


def approve(
    prompt: str,
    *,
    name: str = "approve",
    who: str | Iterable[str] = (),
    choices: Iterable[str] = CHOICES,
    form: Mapping[str, Mapping[str, Any]] | None = None,
    timeout: Span | None = None,
    default: str | None = None,
) -> Any:
    """Ask a person; gives {"choice", "form", "by", "at"}. Awaited in an async function.

    `name` is what the question is called in keys (`orchestrator answer ID NAME CHOICE`), `who` may answer it (nobody
    named: everybody), `form` has fields as in a pipeline's file. After `timeout` the choice is `default`, or
    DeadlineError is raised without one.
    """
    from orchestrator.pipelines.step_model import Step

    options = tuple(choices)
    if not is_name(name):
        raise InputError(f"{name!r} cannot be the name of a question; use letters, digits, _ and -, no digit first")
    given: dict[str, Any] = {"id": "approve", "approve": str(prompt).replace("${", "$${"), "choices": list(options)}
    if form:
        given["form"] = dict(form)
    if default is not None:
        given["default"], given["deadline"] = default, timeout
    checked = Step(**given).written()
    names = [who] if isinstance(who, str) else list(who)
    spec = ApproveSpec(
        Given(str(prompt)),
        Given(names),
        options,
        checked.get("form", {}),
        _seconds("approve", timeout),
        default,
    )
    return _wait_for("approve", _step({"id": name, "approve": ""}, spec), key_name=name)


def checkpoint(name: str) -> Any:
    """Give this place a name, to come back to by `rollback` or `orchestrator restore`. Awaited in an async function."""
    if not name:
        raise InputError(f"the name of a checkpoint is a text, not {name!r:.60}")
    step = planned({"id": "checkpoint", "set": {}, "checkpoint": name})
    return _wait_for("checkpoint", step, key_name=keyed("checkpoint", name))


def rollback(name: str | None = None) -> Any:
    """Set the execution back to a checkpoint (the latest), and run the function again from there. Never returns.

    What has ended since then runs again. After three times it raises RollbackError instead. Awaited in an async
    function.
    """
    rule: ErrorRuleDef = {"strategy": "rollback"}
    if name is not None:
        rule["checkpoint"] = name
    definition: StepDef = {"id": "rollback", "call": "orchestrator:rollback", "on_error": [rule]}
    return _wait_for("rollback", planned(definition), lambda _: PythonCall("rollback", {}, function=_set_back))


async def _set_back() -> None:
    raise FailStepError("the function asked to be set back")


def patched(name: str) -> bool:
    """Whether this execution takes the new way of a change in the code: it does unless it was past this place before.

    `if patched("new-fetch"): ... else: ...` lets executions that are under way finish on the old way.
    """
    place = place_for("patched")
    flow, where = place.flow, where_called(PACKAGE)
    wanted = keyed("patched", name)
    key = take_key(place, wanted, where)
    if not flow.tree.knows(key) and flow.tree.old:
        return False
    step = planned({"id": "patched", "set": {}})
    return flow.wait(Asked("patched", key, step, lambda _: Assign({}), where)) is not None


def now() -> datetime:
    """The time (UTC) at which the last thing happened that this function was told, the same in every life.

    In a step, and outside of pipelines, read the clock.
    """
    return utc(place_for("now").flow.time)


def random() -> chance.Random:
    """A generator of chance that gives the same in every life. Not for secrets."""
    return place_for("random").flow.random()


def uuid() -> UUID:
    """A new id, the same in every life."""
    return place_for("uuid").flow.uuid()


class Variables:
    """The GLOBAL variables of the execution as this function sees them: its inputs, and what steps and itself have set.

    `variables.get_variable("name")`, and all else that a VariableManager has; `variables()` is that manager. What the
    function sets is recorded at once.
    """

    def __call__(self) -> VariableManager:
        """The manager of the running function. Raises WrongPlaceError outside of durable functions."""
        flow = place_for("variables").flow
        return flow.services.variables(flow)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self(), name)


variables = Variables()


async def as_completed(calls: Iterable[Awaitable[T]]) -> AsyncIterator[asyncio.Future[T]]:
    """The calls as they end, in an order that is the same in every life: `async for done in as_completed([...])`.

    Each is a future that has ended: `await done` gives its result, or raises what it failed with.
    """
    place_for("as_completed")
    tasks = [asyncio.ensure_future(call) for call in calls]
    ended: asyncio.Queue[asyncio.Future[T]] = asyncio.Queue()
    for task in tasks:
        task.add_done_callback(ended.put_nowait)
    try:
        for _ in tasks:
            yield await ended.get()
    finally:
        for task in tasks:
            task.cancel()


class flow(AbstractContextManager[None], AbstractAsyncContextManager[None]):
    """A part of a durable function with names of its own: in the block keys begin with `name:`.

    For tasks that call the same steps side by side: each opens one.
    """

    def __init__(self, name: str) -> None:
        if not name:
            raise InputError(f"the name of a flow is a text, not {name!r:.60}")
        self._name = keyed("", name)[1:]
        self._token: Token[Here | None] | None = None

    def __enter__(self) -> None:
        place = place_for("flow")
        self._token = enter(Here(place.flow, f"{place.prefix}{self._name}:"))

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        assert self._token is not None
        exit_(self._token)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, exc, tb)


async def start_child(function: Any, /, *args: Any, **kwargs: Any) -> str:
    """Start a durable function as an execution of its own, and go on; gives its id.

    It runs in this process as long as that lives; then a scheduler, or `orchestrator resume`, goes on with it.
    """
    place = place_for("start_child")
    given = function.bind(*args, **kwargs)
    parent = place.flow

    async def spawn() -> str:
        from orchestrator.execution.progress import current_attempt

        attempt = current_attempt()
        assert attempt is not None
        return await parent.services.spawn(function, given, _id_of_child(attempt.idempotency_key))

    from orchestrator.functions.steps import AsyncStep

    starter: AsyncStep[..., str] = AsyncStep(spawn, f"start_{function.name}", None, _NO_OPTIONS)
    return await starter()


def _id_of_child(exact: str) -> str:
    """The id of the execution that a step starts, the same on every attempt: readable, and as ids may be."""
    plain = exact.replace("/", ".").replace("#", ".")
    told = re.sub(r"[^\w.:-]", "-", plain, flags=re.ASCII)
    if told == plain and len(told) <= _LONGEST_ID:
        return told
    return f"{told[: _LONGEST_ID - 17]}-{hashlib.sha256(exact.encode()).hexdigest()[:16]}"


_NO_OPTIONS = {"retry": None, "timeout": None, "runner": None, "effect": None, "important": False, "on_error": None}


def _step(definition: Mapping[str, Any], spec: Any) -> PlannedStep:
    step = planned(definition)  # type: ignore[arg-type]  # a mapping of a step's keys
    step.spec = spec
    return step


def _seconds(what: str, value: Span | None) -> float | None:
    if value is None:
        return None
    try:
        return seconds(value)
    except ValueError as exc:
        raise InputError(f"{what}: timeout: {exc}") from None

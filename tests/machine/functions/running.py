"""The two interpreters: a program as an `async def` pipeline, and as a `def` pipeline.

What a statement gave is put into `out` when it begins and filled in as it goes on, so that what was done of a part that
failed can be seen. `Returned` is no exception: a statement says whether the function is to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

from tests.machine.functions.steps import (
    each,
    generation,
    hangs,
    quick,
    quick_each,
    quick_generation,
    quick_retried,
    retried,
    skipped,
    work,
)
from tests.machine.functions.world import Boom, the_world

from orchestrator import (
    approve,
    as_completed,
    checkpoint,
    flow,
    now,
    patched,
    pipeline,
    random,
    rollback,
    sleep,
    uuid,
    variables,
    wait_for_signal,
)

#: How long an `asyncio.timeout` is around a step that does not end, in real seconds.
LATE_SECONDS = 0.002
_UNSET: Any = object()
Program = list[dict[str, Any]]
Seen = list[dict[str, Any]]


@pipeline
async def program(body: Program) -> Seen:
    """Interprets a program."""
    out: Seen = []
    await _run(body, out)
    return out


@pipeline
def plain(body: Program) -> Seen:
    """Interprets a program, as a plain function."""
    out: Seen = []
    _run_plainly(body, out)
    return out


def numbers(body: Program) -> Iterator[int]:
    """The numbers of all statements of a program, at every depth."""
    for statement in body:
        yield statement["id"]
        for part in ("body", "catch", "tidy"):
            yield from numbers(statement.get(part) or [])
        yield from numbers(statement.get("calls", []))
        for branch in statement.get("branches", []):
            yield from numbers(branch["body"])


def failure(exc: BaseException) -> list[Any]:
    """What is remembered of an exception: its type, and the texts of what is in it."""
    if isinstance(exc, BaseExceptionGroup):
        leaves = [text for inner in exc.exceptions for text in failure(inner)[1]]
        return [type(exc).__name__, sorted(leaves)]
    return [type(exc).__name__, [str(exc) if isinstance(exc, Boom) else type(exc).__name__]]


# -- async -------------------------------------------------------------------------------------------------------------


async def _run(body: Program, out: Seen) -> bool:
    for statement in body:
        seen: dict[str, Any] = {}
        out.append(seen)
        if await _one(statement, seen):
            return True
    return False


async def _one(statement: dict[str, Any], seen: dict[str, Any]) -> bool:
    world, number = the_world(), statement["id"]
    match statement["do"]:
        case "step":
            seen["value"] = world.tell(number, await _step(statement))
        case "map":
            seen["value"] = world.tell(number, _mapped(statement, await _map(statement)))
        case "child":
            target: Any = program if statement["how"] == "program" else plain
            keyed = target.with_key(number) if statement["keyed"] else target
            called = keyed(statement["body"]) if target is program else keyed.aio(statement["body"])
            seen["value"] = await called
        case "all":
            await _all(statement, seen)
        case "completed":
            await _completed(statement, seen)
        case "try":
            return await _try(statement, seen)
        case "late":
            try:
                async with asyncio.timeout(LATE_SECONDS):
                    await hangs()
            except TimeoutError:
                seen["value"] = "late"
        case "sleep":
            await sleep(statement["seconds"])
        case "signal":
            default = statement.get("default", _UNSET)
            more = {} if default is _UNSET else {"default": default}
            value = await wait_for_signal(statement["name"], timeout=statement["timeout"], **more)
            seen["value"] = world.tell(number, value)
        case "approve":
            answer = await approve("well?", timeout=statement["timeout"], default=statement["default"])
            seen["value"] = world.tell(number, [answer["choice"], answer["by"]])
        case "back":
            await checkpoint(f"c{number}")
            inside: Seen = []
            await _run(statement["body"], inside)
            seen["body"] = inside
            seen["generation"] = await generation.with_key(number)()
            if seen["generation"] < statement["until"]:
                world.forget(numbers(statement["body"]))
                await rollback(f"c{number}")
        case _:
            return _at_once(statement, seen)
    return False


async def _step(statement: dict[str, Any]) -> Any:
    number, fail, delay = statement["id"], statement["fail"], statement["delay"]
    how = statement["how"]
    target: Any = _STEPS[how.removesuffix("_aio")]
    if statement["keyed"]:
        target = target.with_key(number)
    if how.endswith("_aio"):
        return await target.aio(number, fail)
    if how.startswith("quick"):
        return target(number, fail)
    return await target(number, fail, delay)


async def _map(statement: dict[str, Any]) -> list[Any]:
    window = statement["window"] or None
    if statement["how"] == "each":
        return await each.with_key(statement["id"]).map(
            _items(statement), max_parallel=window, on_item_failure=statement["failures"]
        )
    return await quick_each.with_key(statement["id"]).amap(
        _items(statement), max_parallel=window, on_item_failure=statement["failures"]
    )


async def _all(statement: dict[str, Any], seen: dict[str, Any]) -> None:
    branches = [(f"b{branch['id']}", branch["body"]) for branch in statement["branches"]]
    outs: list[Seen] = [[] for _ in branches]
    coroutines = [_branch(name, body, out) for (name, body), out in zip(branches, outs, strict=True)]
    if statement["how"] == "gather":
        await asyncio.gather(*coroutines)
        seen["value"] = outs
    elif statement["how"] == "collect":
        results = await asyncio.gather(*coroutines, return_exceptions=True)
        seen["failed"] = [failure(result) if isinstance(result, Exception) else None for result in results]
        seen["value"] = outs
    else:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
        seen["value"] = outs


async def _branch(name: str, body: Program, out: Seen) -> None:
    async with flow(name):
        await _run(body, out)


async def _completed(statement: dict[str, Any], seen: dict[str, Any]) -> None:
    seen["value"] = []
    calls: list[Coroutine[Any, Any, Any]] = [
        work.with_key(call["id"])(call["id"], call["fail"], call["delay"]) for call in statement["calls"]
    ]
    async for done in as_completed(calls):
        try:
            seen["value"].append(await done)
        except Boom as exc:
            seen["value"].append(failure(exc))
    the_world().tell(statement["id"], list(seen["value"]))


async def _try(statement: dict[str, Any], seen: dict[str, Any]) -> bool:
    world, number, tidy = the_world(), statement["id"], statement["tidy"]
    seen["body"] = []
    try:
        if tidy is not None:
            world.begun.add(number)
        return await _run(statement["body"], seen["body"])
    except Exception as exc:
        if statement["catch"] is None:
            raise
        seen["caught"] = world.tell(number, failure(exc))
        seen["catch"] = []
        return await _run(statement["catch"], seen["catch"])
    finally:
        if tidy is not None:
            seen["tidy"] = []
            try:
                await _run(tidy, seen["tidy"])
            except asyncio.CancelledError:
                world.cut_short.add(number)
                raise
            world.tidied.add(number)
            world.ever_tidied.add(number)


# -- plain -------------------------------------------------------------------------------------------------------------


def _run_plainly(body: Program, out: Seen) -> bool:
    for statement in body:
        seen: dict[str, Any] = {}
        out.append(seen)
        if _one_plainly(statement, seen):
            return True
    return False


def _one_plainly(statement: dict[str, Any], seen: dict[str, Any]) -> bool:
    world, number = the_world(), statement["id"]
    match statement["do"]:
        case "step":
            seen["value"] = world.tell(number, _step_plainly(statement))
        case "map":
            found = quick_each.with_key(number).map(
                _items(statement), max_parallel=statement["window"] or None, on_item_failure=statement["failures"]
            )
            seen["value"] = world.tell(number, _mapped(statement, found))
        case "child":
            target: Any = program if statement["how"] == "program" else plain
            keyed = target.with_key(number) if statement["keyed"] else target
            seen["value"] = keyed.wait(statement["body"]) if target is program else keyed(statement["body"])
        case "try":
            return _try_plainly(statement, seen)
        case "sleep":
            sleep(statement["seconds"])
        case "signal":
            default = statement.get("default", _UNSET)
            more = {} if default is _UNSET else {"default": default}
            seen["value"] = world.tell(number, wait_for_signal(statement["name"], timeout=statement["timeout"], **more))
        case "approve":
            answer = approve("well?", timeout=statement["timeout"], default=statement["default"])
            seen["value"] = world.tell(number, [answer["choice"], answer["by"]])
        case "back":
            checkpoint(f"c{number}")
            inside: Seen = []
            _run_plainly(statement["body"], inside)
            seen["body"] = inside
            seen["generation"] = quick_generation.with_key(number)()
            if seen["generation"] < statement["until"]:
                world.forget(numbers(statement["body"]))
                rollback(f"c{number}")
        case _:
            return _at_once(statement, seen)
    return False


def _step_plainly(statement: dict[str, Any]) -> Any:
    number, how = statement["id"], statement["how"].removesuffix("_aio")
    target: Any = _STEPS[how]
    if statement["keyed"]:
        target = target.with_key(number)
    if how.startswith("quick"):
        return target(number, statement["fail"])
    return target.wait(number, statement["fail"], statement["delay"])


def _try_plainly(statement: dict[str, Any], seen: dict[str, Any]) -> bool:
    world, number, tidy = the_world(), statement["id"], statement["tidy"]
    seen["body"] = []
    try:
        if tidy is not None:
            world.begun.add(number)
        return _run_plainly(statement["body"], seen["body"])
    except Exception as exc:
        if statement["catch"] is None:
            raise
        seen["caught"] = world.tell(number, failure(exc))
        seen["catch"] = []
        return _run_plainly(statement["catch"], seen["catch"])
    finally:
        if tidy is not None:
            seen["tidy"] = []
            try:
                _run_plainly(tidy, seen["tidy"])
            except asyncio.CancelledError:
                world.cut_short.add(number)
                raise
            world.tidied.add(number)
            world.ever_tidied.add(number)


# -- both --------------------------------------------------------------------------------------------------------------

_STEPS = {"work": work, "retried": retried, "skipped": skipped, "quick": quick, "quick_retried": quick_retried}


def _at_once(statement: dict[str, Any], seen: dict[str, Any]) -> bool:
    """What is awaited in neither; whether the function is to end."""
    world, number = the_world(), statement["id"]
    match statement["do"]:
        case "set":
            variables().set_variable(statement["name"], statement["value"])
        case "get":
            seen["value"] = world.tell(number, variables().get_variable(statement["name"], None))
        case "patched":
            seen["value"] = world.tell(number, patched(f"p{number}"))
        case "draw":
            seen["value"] = world.tell(number, [str(uuid()), str(uuid()), random().random(), now().isoformat()])
        case "raise":
            raise Boom(f"boom {number}")
        case "return":
            return True
        case unknown:
            raise AssertionError(unknown)
    return False


def _items(statement: dict[str, Any]) -> list[list[int]]:
    number, window = statement["id"], statement["window"]
    return [[number, index, window, index in statement["fails"]] for index in range(statement["items"])]


def _mapped(statement: dict[str, Any], found: list[Any]) -> list[Any]:
    if statement["failures"] == "stop":
        return found
    return [[item["ok"], item["value"] if item["ok"] else None] for item in found]

"""The pipelines that are tortured, as data; what their steps do is in `handlers`."""

from __future__ import annotations

from typing import Any

Model = dict[str, Any]

_CALL = "orchestrator.testing.torture.handlers:"
_RETRY = {"max_attempts": 5, "initial_delay": 0.01, "on": ["network", "resource"]}


def chain(steps: int, *, seconds: float, size: int = 100) -> Model:
    """Steps in a row, each of which keeps `size` bytes that do not shrink. They run in threads."""
    return _pipeline([_link(number, seconds, size) for number in range(steps)], last=f"s{steps - 1}")


def mixed(*, seconds: float) -> Model:
    """A loop with a first attempt that fails, a worker process, a command, and a join."""
    items: Model = {
        "id": "items",
        "for_each": [1, 2, 3],
        "needs": ["s0"],
        "call": f"{_CALL}steady",
        "with": {"number": "${item}", "seconds": seconds, "flaky": "${item == 2}"},
        "retry": _RETRY,
    }
    worker = {**_link(7, seconds, 100), "id": "worker", "with": {"number": 7, "seconds": seconds, "after": "${s0}"}}
    worker |= {"runner": "process", "retry": _RETRY}
    shell = {"id": "shell", "needs": ["s0"], "run": "printf 'shell 1 0\\n' >> witness; echo done"}
    after = "${[items, worker.value, shell.stdout]}"
    joined = {"id": "joined", "call": f"{_CALL}steady", "with": {"number": 9, "seconds": seconds, "after": after}}
    return _pipeline([_link(0, seconds, 100), items, worker, shell, joined], last="joined")


def beside(name: str, *, process: bool, timeout: str | None = None, **arguments: Any) -> Model:
    """A step whose handler misbehaves, between others that have nothing to do with it and one that waits for it."""
    bad: Model = {"id": "bad", "needs": ["s0"], "call": f"{_CALL}{name}", "with": arguments}
    bad |= {"runner": "process"} if process else {}
    bad |= {"timeout": timeout} if timeout else {}
    joined = {"id": "joined", "call": f"{_CALL}steady", "with": {"number": 9, "seconds": 0, "after": "${[bad, s2]}"}}
    return _pipeline([*(_link(number, 0.02, 100) for number in range(3)), bad, joined], last="joined")


def talkative(*, process: bool) -> Model:
    """Ten steps that print more than a pipe of one page holds."""
    loop = {"id": "items", "for_each": list(range(10)), "call": f"{_CALL}talks", "with": {"number": "${item}"}}
    loop |= {"runner": "process"} if process else {}
    joined = {"id": "joined", "call": f"{_CALL}steady", "with": {"number": 9, "seconds": 0, "after": "${items}"}}
    return _pipeline([loop, joined], last="joined")


def workers(count: int, *, seconds: float) -> Model:
    """Steps in worker processes, tried again where the process was lost."""
    loop = {
        "id": "items",
        "for_each": list(range(count)),
        "max_parallel": 2,
        "needs": ["s0"],
        "call": f"{_CALL}steady",
        "with": {"number": "${item}", "seconds": seconds},
        "runner": "process",
        "retry": _RETRY,
    }
    joined = {"id": "joined", "call": f"{_CALL}steady", "with": {"number": 9, "seconds": 0, "after": "${items}"}}
    return _pipeline([_link(0, 0.0, 100), loop, joined], last="joined")


def _link(number: int, seconds: float, size: int) -> Model:
    """A step of a chain: it is given what the one before it gave."""
    given: Model = {"number": number, "seconds": seconds, "size": size}
    if number:
        given["after"] = f"${{s{number - 1}}}"
    return {"id": f"s{number}", "call": f"{_CALL}steady", "with": given}


def _pipeline(steps: list[Model], last: str) -> Model:
    return {"pipeline": "tortured", "steps": steps, "outputs": {"sum": f"${{{last}.value}}"}}

"""The rooms on their own: variables, templates, contexts, events, checkpoints; each as a ratio to something plain.

python -m benchmarks.rooms [--quick]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

from jinja2 import Environment

from orchestrator.execution.progress import ProgressTracker
from orchestrator.execution.state import ExecutionContext
from orchestrator.execution.variables import VariableManager

HERE = Path(__file__).parent
CONTEXTS = 10_000
VARIABLES = 10_000
CHANGED = 10


def seconds_each(work: Callable[[], object], times: int, repeat: int = 7) -> list[float]:
    """How long one call takes, in seconds, in each of `repeat` rounds of `times` calls."""
    rounds = []
    for _ in range(repeat):
        gc.collect()
        started = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - started) / times)
    return rounds


def spread(values: list[float], unit: float, digits: int = 3) -> str:
    """Median (least-most) in a unit."""
    scaled = [value / unit for value in values]
    return f"{statistics.median(scaled):,.{digits}g} ({min(scaled):,.{digits}g}–{max(scaled):,.{digits}g})"


def ratio(values: list[float], to: list[float]) -> str:
    """Of the medians."""
    return f"{statistics.median(values) / statistics.median(to):,.2f}"


Row = tuple[str, str, str, str]


def against(what: str, mine: list[float], plain: str, theirs: list[float]) -> Row:
    """A row: what was measured, how long it takes in microseconds, against what, the ratio."""
    return what, spread(mine, 1e-6), f"{plain}: {spread(theirs, 1e-6)}", ratio(mine, theirs)


# -- variables and templates -------------------------------------------------------------------------------------------


def access(times: int) -> Iterator[Row]:
    """Set and get, against a plain dict under a lock of the same kind."""
    manager, lock, plain = VariableManager(), threading.RLock(), {"n": 1}
    manager.set_variable("n", 1)

    def plain_set() -> None:
        with lock:
            plain["n"] = 2

    def plain_get() -> int:
        with lock:
            return plain["n"]

    theirs = seconds_each(plain_set, times)
    yield against("set_variable, a number", seconds_each(lambda: manager.set_variable("n", 2), times), "dict", theirs)
    theirs = seconds_each(plain_get, times)
    yield against("get_variable, a number", seconds_each(lambda: manager.get_variable("n"), times), "dict", theirs)


def templates(times: int) -> Iterator[Row]:
    """A plain path against `str.format`, an expression against precompiled Jinja2; both cached and not."""
    manager = VariableManager()
    manager.set_variable("user", {"name": "Ada", "langs": ["en", "fr"]})
    manager.set_variable("n", 3)
    manager.set_variable("unrelated", 0)
    values = {"user": {"name": "Ada", "langs": ["en", "fr"]}, "n": 3}
    path, expression = "Dear ${user.name}", "${n * 2 if user.langs | length > 1 else n}"
    format_text = "Dear {user[name]}".format
    compiled = Environment().compile_expression("n * 2 if user.langs | length > 1 else n")
    plain_path = seconds_each(lambda: format_text(**values), times)
    jinja = seconds_each(lambda: compiled(**values), times)

    def renewed(name: str, text: str) -> Callable[[], object]:
        def work() -> object:
            manager.set_variable(name, manager.get_variable(name))
            return manager.resolve_template(text)

        return work

    def only_renewed(name: str) -> list[float]:
        return seconds_each(lambda: manager.set_variable(name, manager.get_variable(name)), times)

    yield against(
        "plain path, cached", seconds_each(lambda: manager.resolve_template(path), times), "format", plain_path
    )
    for name, kind in (("unrelated", "an unrelated change before"), ("user", "its variable changed before")):
        spent = [a - statistics.median(only_renewed(name)) for a in seconds_each(renewed(name, path), times)]
        yield against(f"plain path, {kind}", spent, "format", plain_path)
    yield against(
        "expression, cached", seconds_each(lambda: manager.resolve_template(expression), times), "Jinja2", jinja
    )
    spent = [a - statistics.median(only_renewed("n")) for a in seconds_each(renewed("n", expression), times)]
    yield against("expression, its variable changed before", spent, "Jinja2", jinja)
    manager.resolve_template(path)
    before = manager.cache_info()
    manager.set_variable("unrelated", 1)
    manager.resolve_template(path)
    after = manager.cache_info()
    hit = after.hits == before.hits + 1 and after.misses == before.misses
    yield "resolving again after an unrelated change", "a cache hit" if hit else "NO CACHE HIT", "", ""


# -- events ------------------------------------------------------------------------------------------------------------


def events(times: int) -> Iterator[Row]:
    """Events per second through 1, 10 and 100 handlers."""
    alone: list[float] = []
    for count in (0, 1, 10, 100):
        manager = VariableManager()
        manager.set_variable("n", 0)
        for _ in range(count):
            manager.on_variable_changed(_changed)
        rounds = seconds_each(lambda m=manager: m.set_variable("n", 1), max(100, times // max(1, count)))  # type: ignore[misc]
        alone = alone or rounds
        yield _per_second(f"set_variable, {count} handlers", rounds, alone)
    alone = []
    for count in (0, 1, 10, 100):
        tracker = ProgressTracker()
        for _ in range(count):
            tracker.add_event_handler(_progressed)
        tracker.start_execution("e", 1)
        tracker.start_step("e", "s", "S")
        rounds = seconds_each(
            lambda t=tracker: t.update_step_progress("e", "s", 50.0),  # type: ignore[misc]
            max(100, times // (10 * max(1, count))),
        )
        tracker.shutdown()
        alone = alone or rounds
        yield _per_second(f"update_step_progress, {count} handlers", rounds, alone)


def _changed(name: str, old: object, new: object) -> None:
    """A handler that does nothing."""


def _progressed(event: object) -> None:
    """A handler that does nothing."""


def _per_second(what: str, rounds: list[float], alone: list[float]) -> Row:
    rate = [1 / seconds for seconds in rounds]
    return what, f"{spread(rate, 1)} events/s", f"without: {spread(alone, 1e-6)}", ratio(rounds, alone)


# -- contexts and checkpoints ------------------------------------------------------------------------------------------


def open_contexts(count: int) -> Iterator[Row]:
    """Bytes of one open context, alone and with a variable and two steps."""
    for what, fill in (("started", False), ("one variable, two steps", True)):
        gc.collect()
        tracemalloc.start()
        contexts = []
        for number in range(count):
            context = ExecutionContext(f"e{number}", "p")
            context.start()
            if fill:
                context.variable_manager.set_variable("n", number)
                context.start_step("a")
                context.complete_step("a")
                context.start_step("b")
            contexts.append(context)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        yield f"{count:,} open contexts, {what}", f"{size / count:,.0f} bytes each", "", ""


def checkpoints(variables: int, times: int) -> Iterator[Row]:
    """A checkpoint of many variables of which few changed, against one of those few alone; and the way back."""
    made: dict[str, dict[int, list[float]]] = {"checkpoint": {}, "restore": {}}
    for size in (CHANGED, variables):
        context = ExecutionContext("e", "p")
        context.start()
        manager = context.variable_manager
        for number in range(size):
            manager.set_variable(f"v{number}", number)
        context.create_checkpoint()

        def change(manager: VariableManager = manager) -> None:
            for number in range(CHANGED):
                manager.set_variable(f"v{number}", number)

        only = statistics.median(seconds_each(change, times))

        def marked(context: ExecutionContext = context, change: Callable[[], None] = change) -> None:
            change()
            context.create_checkpoint()

        made["checkpoint"][size] = [a - only for a in seconds_each(marked, times)]
        point = context.create_checkpoint().id

        def back(context: ExecutionContext = context, change: Callable[[], None] = change, point: str = point) -> None:
            change()
            context.restore_checkpoint(point)

        made["restore"][size] = [a - only for a in seconds_each(back, times)]
    for what, found in made.items():
        mine, theirs = found[variables], found[CHANGED]
        yield against(f"{what}, {variables:,} variables, {CHANGED} changed", mine, f"{CHANGED} variables", theirs)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rooms", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, printed only")
    quick = parser.parse_known_args()[0].quick
    times, contexts, variables = (2_000, 1_000, 1_000) if quick else (20_000, CONTEXTS, VARIABLES)
    rows = [
        *access(times * 5),
        *templates(times),
        *events(times),
        *checkpoints(variables, times // 40),
        *open_contexts(contexts),
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    text = TEXT.format(rows="\n".join(lines))
    print(text)
    if not quick:
        (HERE / "ROOMS.md").write_text(text)


TEXT = """# The rooms on their own, measured

Made by `python -m benchmarks.rooms` (part of `make bench`), all in one process: medians of seven rounds (least–most),
in µs unless it says otherwise. The ratio is to what stands beside it.

| what | Orchestrator | against | ratio |
|---|---|---|---|
{rows}
"""

if __name__ == "__main__":
    main()

"""Many threads over one manager: nothing lost, nothing stale, nothing hangs."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.errors import CircularDependencyError, InputError
from orchestrator.execution.variables import VariableManager

THREADS = 32


@pytest.fixture(autouse=True)
def threads_that_interrupt_each_other_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run(jobs: list[Callable[[], None]]) -> None:
    faults: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def guarded(job: Callable[[], None]) -> None:
        start.wait()
        try:
            job()
        except BaseException as fault:  # noqa: BLE001 - a thread's fault is raised by the test
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not faults, faults[0]


def test_thirty_two_threads() -> None:
    manager = VariableManager()
    manager.set_variable("shared", {"by": "nobody", "n": 0})
    manager.set_template("line", "${shared.by}:${shared.n}")
    told: list[tuple[str, int]] = []
    helper_faults: list[str] = []
    slow = itertools.count()

    def handler(name: str, old: dict[str, object], new: dict[str, object]) -> None:
        if name != "shared":
            return
        told.append((str(new["by"]), int(str(new["n"]))))
        if next(slow) % 200 == 0:  # another thread needs the manager while this handler runs
            other = threading.Thread(target=lambda: manager.set_variable("from a handler", 1), daemon=True)
            other.start()
            other.join(10)
            if other.is_alive():
                helper_faults.append("a handler ran under the lock")

    manager.on_variable_changed(handler)
    writes = 60
    written: Counter[str] = Counter()

    def writer(me: str) -> Callable[[], None]:
        def work() -> None:
            for number in range(writes):
                manager.set_variable("shared", {"by": me, "n": number}, source_step=me)
                manager.set_variable(f"own {me}", number)
            written[me] += writes

        return work

    def reader() -> None:
        seen: dict[str, int] = {}
        version = 0
        for _ in range(150):
            found = manager.get_variable("shared")
            assert found["n"] >= seen.get(found["by"], 0)
            seen[found["by"]] = found["n"]
            found.clear()
            metadata = manager.get_variable_metadata("shared")
            assert metadata is not None
            assert metadata.version >= version
            version = metadata.version
            manager.list_variables(include_metadata=True)

    def template_reader() -> None:
        last: dict[str, int] = {}
        for _ in range(200):
            by, _, number = manager.resolve_template("${line}").partition(":")
            assert int(number) >= last.get(by, 0)
            last[by] = int(number)

    def contexts(me: int) -> Callable[[], None]:
        def work() -> None:
            for number in range(60):
                outer = manager.create_context()
                inner = manager.create_context(outer)
                manager.set_variable("mine", (me, number), context_id=outer)
                manager.push_scope({"other": "mine"})
                assert manager.get_variable("other", context_id=inner) == (me, number)
                assert manager.resolve_template("${mine[1]} ${other[0]}", context_id=inner) == f"{number} {me}"
                mark = manager.mark()
                manager.forget(mark)
                assert manager.pop_scope() == {"other": "mine"}
                manager.destroy_context(outer)
                try:
                    manager.set_variable("mine", 1, context_id=inner)
                except InputError:
                    continue
                raise AssertionError("a destroyed context took a variable")

        return work

    jobs = [writer(f"w{number}") for number in range(12)]
    jobs += [reader] * 6 + [template_reader] * 8 + [contexts(number) for number in range(6)]
    assert len(jobs) == THREADS
    run(jobs)
    assert not helper_faults
    metadata = manager.get_variable_metadata("shared")
    assert metadata is not None
    assert metadata.version == 1 + 12 * writes
    history = manager.get_variable_history("shared")
    assert [v.version for v in history] == list(range(metadata.version - 100, metadata.version))
    assert all(v.value["by"] == (v.source_step or "nobody") for v in history)
    assert len(told) == 12 * writes
    for me in written:
        assert [n for by, n in told if by == me] == list(range(writes))
    assert manager.list_variables()["own w3"] == writes - 1
    assert not manager.export_state()["context_variables"]
    final = manager.get_variable("shared")
    assert manager.resolve_template("${line}") == f"{final['by']}:{final['n']}"


class Pausing:
    """Serials that let something happen in the middle of a write, once."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._serials, self._meanwhile = itertools.count(100), [meanwhile]

    def __iter__(self) -> Pausing:
        return self

    def __next__(self) -> int:
        if self._meanwhile:
            self._meanwhile.pop()()
        return next(self._serials)


def test_a_second_writer_waits_for_the_first() -> None:
    manager = VariableManager()
    manager.set_variable("n", "first")
    second = threading.Thread(target=lambda: manager.set_variable("n", "third", source_step="two"), daemon=True)

    def start_and_give_it_a_chance() -> None:
        second.start()
        second.join(0.2)

    manager._table.serials = Pausing(start_and_give_it_a_chance)
    manager.set_variable("n", "second", source_step="one")
    second.join(10)
    history = [(v.version, v.value, v.source_step) for v in manager.get_variable_history("n")]
    assert history == [(1, "first", None), (2, "second", "one")]
    assert manager.get_variable("n") == "third"


def test_no_update_is_lost() -> None:
    manager = VariableManager()
    writes = 1_000

    def write(me: str) -> None:
        for _ in range(writes):
            manager.set_variable("n", 0, source_step=me)

    run([lambda me=str(me): write(me) for me in range(8)])  # type: ignore[misc]
    found = manager.get_variable_metadata("n")
    assert found is not None
    assert found.version == 8 * writes
    versions = [v.version for v in manager.get_variable_history("n")]
    assert versions == list(range(found.version - 100, found.version))


def test_a_resolution_is_never_older_than_a_write_that_returned() -> None:
    manager = VariableManager()
    floor = [0]
    manager.set_variable("n", 0)
    manager.set_template("text", "${n}")
    done = threading.Event()

    def write() -> None:
        for number in range(1, 3_000):
            manager.set_variable("n", number)
            floor[0] = number
        done.set()

    def read() -> None:
        while not done.is_set():
            least = floor[0]
            assert manager.resolve_template("${text}") >= least
            assert int(manager.resolve_template("${n} ")) >= least

    run([write, *[read] * 4])


def test_templates_in_a_race_never_close_a_circle() -> None:
    for _ in range(100):
        manager = VariableManager()
        refused: list[str] = []

        def define(name: str, other: str, manager: VariableManager = manager, refused: list[str] = refused) -> None:
            try:
                manager.set_template(name, f"${{{other}}}")
            except InputError:
                refused.append(name)

        run([lambda: define("a", "b"), lambda: define("b", "a")])
        assert len(refused) == 1


class Interrupting:
    """A lock that lets another thread do something as soon as it is free for the first time."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._lock, self._depth, self._meanwhile = threading.RLock(), 0, [meanwhile]

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *raised: object) -> None:
        self._depth -= 1
        is_free = self._depth == 0
        self._lock.release()
        if is_free and self._meanwhile:
            other = threading.Thread(target=self._meanwhile.pop())
            other.start()
            other.join(10)


def test_nothing_comes_between_a_decision_and_its_changes() -> None:
    manager = VariableManager()
    refused: list[str] = []

    def close_the_circle() -> None:
        try:
            manager.set_template("b", "${a}")
        except CircularDependencyError as error:
            refused.append(str(error))

    lock: Any = Interrupting(close_the_circle)
    manager._table.lock = lock
    manager.set_template("a", "${b}")
    assert len(refused) == 1
    assert manager.get_dependencies("a", transitive=True) == {"b"}


def test_an_import_is_seen_whole() -> None:
    manager = VariableManager()
    states = []
    for number in range(2):
        one = VariableManager()
        for index in range(20):
            one.set_variable(f"v{index}", number)
        states.append(one.export_state())
    manager.import_state(states[0])
    done = threading.Event()

    def swap() -> None:
        for number in range(40):
            manager.import_state(states[number % 2])
        done.set()

    def look() -> None:
        while not done.is_set():
            assert len(set(manager.list_variables().values())) == 1

    run([swap, look, look])

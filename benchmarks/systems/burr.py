"""Burr with its SQLite persister: one action that loops, the state holds the last result only.

It keeps the newest state and starts from it; results of earlier steps are not there any more.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.probe import BODIES, Case, large_text

logging.disable(logging.WARNING)
from burr.core import Application, ApplicationBuilder, State, action, when  # noqa: E402 - it logs while it is imported
from burr.core.persistence import SQLitePersister  # noqa: E402


@action(reads=["number"], writes=["number", "last"])
def step(state: State) -> State:
    return state.update(number=state["number"] + 1, last=BODIES.run(state["number"]))


@action(reads=["number"], writes=["done"])
def finish(state: State) -> State:
    return state.update(done=True)


def persister(case: Case) -> SQLitePersister:
    """The case's file as Burr opens it, shared by threads."""
    kept = SQLitePersister(db_path=str(case.database), connect_kwargs={"check_same_thread": False, "timeout": 60})
    if not kept.is_initialized():
        kept.initialize()
    return kept


def builder(kept: SQLitePersister, name: str, size: int) -> ApplicationBuilder:
    """The graph, before it is said where it starts."""
    return (
        ApplicationBuilder()
        .with_actions(step=step, finish=finish)
        .with_transitions(("step", "finish", when(number=size)), ("step", "step"))
        .with_identifiers(app_id=name)
        .with_state_persister(kept)
    )


def application(kept: SQLitePersister, name: str, size: int, **state: Any) -> Application[Any]:
    """An execution at its beginning."""
    return builder(kept, name, size).with_state(number=0, last={}, **state).with_entrypoint("step").build()


def run(app: Application[Any]) -> State:
    """Run to the end and give the state."""
    return app.run(halt_after=["finish"])[2]


def chain(case: Case) -> int:
    """W1."""
    kept = persister(case)
    run(application(kept, "warm", 3))
    with case.clock():
        assert run(application(kept, "run", case.size))["number"] == case.size
    return case.size


def many(case: Case) -> int:
    """W3: fifty threads, a connection each."""
    run(application(persister(case), "warm", 3))

    def one(number: int) -> None:
        kept = persister(case)
        run(application(kept, f"run{number}", 10))
        kept.cleanup()

    with ThreadPoolExecutor(50) as pool, case.clock():
        list(pool.map(one, range(case.size)))
    return case.size * 10


def kill(case: Case) -> int:
    """W4, first half."""
    run(application(persister(case), "run", case.size))
    return case.size


def resume(case: Case) -> int:
    """W4, second half."""
    with case.clock():
        kept = persister(case)
        start = {"default_state": {"number": 0, "last": {}}, "default_entrypoint": "step"}
        app = builder(kept, "run", case.size).initialize_from(kept, resume_at_next_action=True, **start).build()
        assert run(app)["number"] == case.size
    return case.size


def carry(case: Case) -> int:
    """W5: the text is in the state."""
    kept = persister(case)
    run(application(kept, "warm", 3))
    with case.clock():
        run(application(kept, "run", case.size, text=large_text()))
    return case.size


def idle(case: Case) -> int:
    """W7: applications between their first step and their second."""
    kept = persister(case)
    application(kept, "warm", 3).step()
    opened = []
    with case.memory():
        for number in range(case.size):
            app = application(kept, f"run{number}", 10)
            app.step()
            opened.append(app)
    return len(opened)

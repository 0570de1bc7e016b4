"""Prefect with the local server that it starts itself (SQLite) and tasks whose results are kept.

The server's start is in the warm-up, outside of the clock. The server is a process of its own, so its processor time
and its bytes are not in the figures.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.probe import BODIES, Case


class Flows(NamedTuple):
    """What is run: from a first number on, so that no result of the warm-up is taken again."""

    chain: Callable[[int, int], int]
    fan: Callable[[int, int], int]


def flows(case: Case) -> Flows:
    """Import Prefect, which reads the environment then, and make the flows."""
    _settle(case)
    from prefect import flow, task
    from prefect.cache_policies import INPUTS

    @task(persist_result=True, cache_policy=INPUTS)
    def step(number: int) -> dict[str, Any]:
        return BODIES.run(number)

    @flow(persist_result=False)
    def chain_of(first: int, size: int) -> int:
        return [step(number)["n"] for number in range(first, first + size)][-1]

    @flow(persist_result=False)
    def fan_of(first: int, size: int) -> int:
        step(first)
        parts = [future.result() for future in step.map(list(range(first + 1, first + 1 + size)))]
        step(first + size + 1)
        return len(parts)

    return Flows(chain_of, fan_of)


def chain(case: Case) -> int:
    """W1."""
    made = flows(case)
    made.chain(1_000_000, 2)
    with case.clock():
        made.chain(0, case.size)
    return case.size


def fan(case: Case) -> int:
    """W2."""
    made = flows(case)
    made.fan(1_000_000, 2)
    with case.clock():
        made.fan(0, case.size)
    return case.size + 2


def _settle(case: Case) -> None:
    """Everything in the case's folder, nothing said or sent."""
    home = case.folder / "home"
    os.environ |= {
        "PREFECT_HOME": str(home),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
    }
    os.environ.pop("PREFECT_API_URL", None)

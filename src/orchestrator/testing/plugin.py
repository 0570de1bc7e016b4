"""The pytest plugin: fixtures for tests of pipelines. It imports the rest of the package when a fixture is used.

It is registered by the package itself (entry point `orchestrator`); `-p no:orchestrator` leaves it out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from orchestrator.app import Orchestrator
    from orchestrator.testing.clock import FakeClock
    from orchestrator.testing.crash import CrashReport
    from orchestrator.testing.script import Script


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the plugin."""
    parser.getgroup("orchestrator").addoption(
        "--orchestrator-write-golden",
        action="store_true",
        help="Write the texts of assert_golden anew instead of comparing with them.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Hand the option on to `assert_golden`, which knows nothing of pytest."""
    if config.getoption("--orchestrator-write-golden"):
        os.environ["ORCHESTRATOR_WRITE_GOLDEN"] = "1"


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that jumps to the next thing anybody waits for."""
    from orchestrator.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def script() -> Script:
    """What handlers are to do in this test: `script.outcomes["fetch"] = 3`. Empty, everything runs for real."""
    from orchestrator.testing.script import Script

    return Script()


@pytest.fixture
def orchestrator(fake_clock: FakeClock, script: Script) -> Iterator[Orchestrator]:
    """An Orchestrator on an empty store in memory, with the fake clock and the script of this test."""
    from orchestrator.app import Orchestrator
    from orchestrator.testing.memory import memory_store

    with Orchestrator(memory_store(fake_clock), clock=fake_clock, runner=script) as app:
        yield app


@pytest.fixture
def crash_everywhere() -> Callable[..., CrashReport]:
    """`orchestrator.testing.crash_everywhere`."""
    from orchestrator.testing.crash import crash_everywhere

    return crash_everywhere

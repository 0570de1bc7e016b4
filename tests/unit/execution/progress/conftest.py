"""Trackers that must leave no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from orchestrator.execution.progress import ProgressTracker


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "orchestrator-progress"]


@pytest.fixture
def tracker() -> Iterator[ProgressTracker]:
    made = ProgressTracker()
    yield made
    made.shutdown()
    assert threads() == []

"""The runner for this machine keeps the contract of every runner."""

from __future__ import annotations

from orchestrator.execution.driver import Runner
from orchestrator.runners.local import LocalRunner
from orchestrator.testing.runner_contract import RunnerContract


class TestLocalRunner(RunnerContract):
    def make_runner(self) -> Runner:
        return LocalRunner("contract", thread_grace_seconds=0.5, kill_grace_seconds=0.5)

"""The environment of children.

Every child carries `ORCHESTRATOR_OWNER`, the token of the process that owns its execution, so that a resume finds it
even if the engine and the guard died (`leftovers.end_leftovers`). The engine itself never started with its own token
in its environment, so it is never found.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.execution.driver import Attempt

OWNER = "ORCHESTRATOR_OWNER"
PROGRESS_FD = 3
#: What describes one attempt; a worker process, which serves many, inherits none of it.
_OF_ATTEMPT = (
    "ORCHESTRATOR_EXECUTION_ID",
    "ORCHESTRATOR_STEP",
    "ORCHESTRATOR_ATTEMPT",
    "ORCHESTRATOR_IDEMPOTENCY_KEY",
    "ORCHESTRATOR_PROGRESS_FD",
)


def for_command(attempt: Attempt, additions: Mapping[str, str], owner_token: str) -> dict[str, str]:
    """For a shell step: the engine's environment, the step's additions, and who it is."""
    env = for_worker(owner_token) | dict(additions)
    facts = (attempt.execution_id, attempt.step_key, attempt.attempt, attempt.idempotency_key, PROGRESS_FD)
    env |= {name: str(fact) for name, fact in zip(_OF_ATTEMPT, facts, strict=True)}
    return env | {OWNER: owner_token, "PATH": _python_first(env.get("PATH", os.defpath))}


def for_worker(owner_token: str) -> dict[str, str]:
    """For a worker process: the engine's environment and its owner."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_ATTEMPT}
    return inherited | {OWNER: owner_token}


def _python_first(path: str) -> str:
    """So that `python` in a command is the interpreter that runs the engine, with its packages."""
    here = str(Path(sys.executable).parent)
    return path if path.split(os.pathsep)[0] == here else os.pathsep.join((here, path))

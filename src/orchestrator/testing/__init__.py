"""A kit to test pipelines, stores and runners: scripted handlers, a clock that jumps, crashes at every commit.

The front door of the kit. Importing it costs next to nothing: each name is fetched from its module at its first use.
Modules of their own are the contracts, which need pytest (`store_contract`, `runner_contract`), the store that dies at
a commit (`crashing_store`), and commands that cause faults (`kill`, `torture`, `power_loss`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.testing.clock import FakeClock
    from orchestrator.testing.crash import CrashReport, crash_everywhere
    from orchestrator.testing.golden import assert_golden
    from orchestrator.testing.memory import memory_store
    from orchestrator.testing.script import REAL, Call, NotScriptedError, Script, fails, returns

_HOMES = {
    "Call": "script",
    "CrashReport": "crash",
    "FakeClock": "clock",
    "NotScriptedError": "script",
    "REAL": "script",
    "Script": "script",
    "assert_golden": "golden",
    "crash_everywhere": "crash",
    "fails": "script",
    "memory_store": "memory",
    "returns": "script",
}

__all__ = [
    "REAL",
    "Call",
    "CrashReport",
    "FakeClock",
    "NotScriptedError",
    "Script",
    "assert_golden",
    "crash_everywhere",
    "fails",
    "memory_store",
    "returns",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'orchestrator.testing' has no attribute {name!r}")
    value = getattr(import_module(f"orchestrator.testing.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

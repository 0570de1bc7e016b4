"""The one place that wires concrete parts together, and the front door that stands before it."""

from orchestrator.app.checking import plan_checked, validate
from orchestrator.app.front import arun, fork, resume, run, start
from orchestrator.app.handle import Handle, Progress
from orchestrator.app.orchestrator import Orchestrator
from orchestrator.app.parts import engine_parts

__all__ = [
    "Handle",
    "Orchestrator",
    "Progress",
    "arun",
    "engine_parts",
    "fork",
    "plan_checked",
    "resume",
    "run",
    "start",
    "validate",
]

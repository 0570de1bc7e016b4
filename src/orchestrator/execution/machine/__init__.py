"""The machine: events in, instructions out."""

from orchestrator.execution.machine.frames import Called, CallsFrame, Flow, Node
from orchestrator.execution.machine.instructions import (
    Complete,
    Execute,
    Fail,
    Instruction,
    Join,
    Release,
    Stop,
)
from orchestrator.execution.machine.machine import Machine
from orchestrator.execution.machine.reading import ROOT

__all__ = [
    "ROOT",
    "Called",
    "CallsFrame",
    "Complete",
    "Execute",
    "Fail",
    "Flow",
    "Instruction",
    "Join",
    "Machine",
    "Node",
    "Release",
    "Stop",
]

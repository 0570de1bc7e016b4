"""A durable function under way: what it asks for, under which keys, and in which order it is answered."""

from orchestrator.execution.flow.asked import Asked, Given, Make, planned
from orchestrator.execution.flow.current import Here, here, leave, within
from orchestrator.execution.flow.flows import Flow, Suspension
from orchestrator.execution.flow.naming import Names, keyed
from orchestrator.execution.flow.raised import raised_data, rebuilt, step_of
from orchestrator.execution.flow.tree import FlowTree, Outside

__all__ = [
    "Asked",
    "Flow",
    "FlowTree",
    "Given",
    "Here",
    "Make",
    "Names",
    "Outside",
    "Suspension",
    "here",
    "keyed",
    "leave",
    "planned",
    "raised_data",
    "rebuilt",
    "step_of",
    "within",
]

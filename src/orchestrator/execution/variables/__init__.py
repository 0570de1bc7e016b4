"""Variables: named, scoped, versioned values, and templates over them."""

from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.cells import (
    Cell,
    GetBlob,
    ListCell,
    LiveCell,
    MappingCell,
    PackedCell,
    RecordedCell,
    encode_cell,
    keep,
    own,
)
from orchestrator.execution.variables.changes import (
    Change,
    CloseContext,
    Delete,
    Depend,
    OpenContext,
    Recorder,
    Stamp,
    Write,
)
from orchestrator.execution.variables.context import VariableContext
from orchestrator.execution.variables.inside import Inside
from orchestrator.execution.variables.manager import VariableManager
from orchestrator.execution.variables.metadata import Variable, VariableMetadata, VariableVersion
from orchestrator.execution.variables.resolving import CacheInfo
from orchestrator.execution.variables.root import Root
from orchestrator.execution.variables.spaces import HISTORY
from orchestrator.execution.variables.step_scope import StepScope
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.undo import Mark
from orchestrator.execution.variables.words import VariableScope, VariableType

__all__ = [  # noqa: RUF022 - the contract's names first
    "VariableScope",
    "VariableType",
    "VariableMetadata",
    "Variable",
    "VariableManager",
    "VariableContext",
    "VariableVersion",
    "CacheInfo",
    "Mark",
    "Recorder",
    "Change",
    "Write",
    "Delete",
    "OpenContext",
    "CloseContext",
    "Depend",
    "Stamp",
    "Cell",
    "GetBlob",
    "ListCell",
    "MappingCell",
    "LiveCell",
    "PackedCell",
    "RecordedCell",
    "TemplateCell",
    "StepScope",
    "Root",
    "Inside",
    "Binding",
    "HISTORY",
    "encode_cell",
    "keep",
    "own",
]  # fmt: skip

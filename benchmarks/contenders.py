"""Who is measured: which environment, which variant, which sync mode, which workloads.

Adding a peer is a module in `benchmarks.systems`, an entry here, and a pinned version in `pyproject.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
ORCHESTRATOR, LIMIT = "Orchestrator", "limit"
_FULL = "WAL, synchronous FULL"


@dataclass(frozen=True)
class Contender:
    """A system in one of its manners.

    `runs` gives for each workload the function of its module, `sizes` (size, quick size) where the common one is too
    much. `cold` gives the code or command of a cold start. `lacks` says why a workload has a dash. `keeps_each_step`:
    what it has acknowledged is synced, so that it may be compared as durable. `is_slow`: left out of a quick look.
    """

    name: str
    system: str
    environment: str
    packages: tuple[str, ...]
    sync: str
    runs: Mapping[str, str]
    variant: str = ""
    cold: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    keeps_each_step: bool = True
    is_slow: bool = False

    @property
    def bin(self) -> Path:
        """Where its Python and its commands are."""
        return ROOT / self.environment / "bin"

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.bin / "python"


def _each(*workloads: str) -> dict[str, str]:
    """Each by the function of its own name."""
    return {workload: workload for workload in workloads}


_ALL = {**_each("chain", "fan", "many", "resume", "carry", "idle"), "syncs": "chain"}
_NOT_IN_MEMORY = "its executions are rows of a server, not objects of the process"

CONTENDERS = (
    Contender(
        ORCHESTRATOR,
        "orchestrator",
        ".venv",
        ("orchestrator-durable", "apsw"),
        _FULL,
        {**_ALL, "fan_large": "fan", "carry_nested": "carry_nested"},
        cold={
            "import": "import orchestrator",
            "use": "from orchestrator import Orchestrator, Pipeline, Step",
            "console": "orchestrator --help",
        },
    ),
    Contender(
        "Orchestrator, durability none",
        "orchestrator",
        ".venv",
        ("orchestrator-durable",),
        "none: in memory",
        {"bare": "chain", "bare_threads": "chain_in_threads"},
        variant="none",
    ),
    Contender(LIMIT, "floor", ".venv", ("apsw",), _FULL, _ALL),
    Contender(
        "LangGraph",
        "langgraph",
        ".venv-peers",
        ("langgraph", "langgraph-checkpoint-sqlite", "sqlite"),
        f"{_FULL}; durability sync",
        _ALL,
        cold={
            "import": "import langgraph.graph",
            "use": "from langgraph.graph import StateGraph; from langgraph.checkpoint.sqlite import SqliteSaver",
        },
        lacks={"console": "the library has no command"},
    ),
    Contender(
        "LangGraph, functional API",
        "langgraph",
        ".venv-peers",
        ("langgraph", "langgraph-checkpoint-sqlite", "sqlite"),
        f"{_FULL}; durability sync",
        {**_each("chain", "resume"), "syncs": "chain"},
        variant="functional",
        keeps_each_step=False,  # a task's result is handed to a thread; see how many bodies W4 runs again
    ),
    Contender(
        "DBOS",
        "dbos",
        ".venv-peers",
        ("dbos", "sqlite"),
        "rollback journal, synchronous FULL (as it opens SQLite)",
        {name: function for name, function in _ALL.items() if name != "idle"},
        variant="default",
        cold={"import": "import dbos", "use": "from dbos import DBOS", "console": "dbos --help"},
        lacks={"idle": "the tuned one stands for both, as memory does not depend on the sync mode"},
    ),
    Contender(
        "DBOS, tuned",
        "dbos",
        ".venv-peers",
        ("dbos", "sqlite"),
        f"{_FULL} (set on its engine)",
        _ALL,
        variant="wal",
    ),
    Contender(
        "Burr",
        "burr",
        ".venv-peers",
        ("apache-burr", "sqlite"),
        "rollback journal, synchronous FULL (SQLite's default)",
        {**_each("chain", "many", "resume", "carry", "idle"), "syncs": "chain"},
        cold={"import": "import burr.core", "use": "from burr.core import ApplicationBuilder, State, action"},
        lacks={
            "fan": "its parallel actions are applications of their own",
            "console": "its command needs the packages of its web view",
        },
    ),
    Contender(
        "pydantic-graph",
        "pydantic_graph",
        ".venv-peers",
        ("pydantic-graph",),
        "a JSON file, never synced",
        {**_each("chain", "many"), "syncs": "chain"},
        cold={"import": "import pydantic_graph", "use": "from pydantic_graph import BaseNode, Graph"},
        lacks={
            "fan": "version 1 has no parallel nodes",
            "resume": "a node that was killed while it ran is not started again",
            "carry": "it writes every snapshot anew at each step: 200 of 5 MB would be 100 GB",
            "idle": "it has no waiting between steps",
            "console": "the library has no command",
        },
        sizes={"chain": (200, 40)},
        keeps_each_step=False,
    ),
    Contender(
        "Prefect",
        "prefect",
        ".venv-prefect",
        ("prefect", "fastapi", "sqlite"),
        "its own server on SQLite: WAL, synchronous NORMAL; results in files, not synced",
        _each("chain", "fan"),
        cold={"import": "import prefect", "use": "from prefect import flow, task", "console": "prefect --help"},
        lacks={
            "many": "its local server takes half a minute for twenty",
            "resume": "a flow that was killed is run again from its start and takes results from its cache",
            "carry": "results are files beside the database",
            "idle": _NOT_IN_MEMORY,
        },
        sizes={"chain": (100, 20), "fan": (100, 20)},
        keeps_each_step=False,
        is_slow=True,
    ),
)

"""What an engine is given from outside: where it keeps, who runs, what kinds of steps there are, and as whom.

The engine imports no store and no runner. One that is made with no parts at all takes those that an installed package
offers under the entry point group `orchestrator.engine_parts`; this package offers its own there (`app.engine_parts`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, cast

from orchestrator.errors import InputError
from orchestrator.execution.driver import Runner
from orchestrator.execution.engine.performer import DurableFunction, Kind
from orchestrator.journal.store import Owner, Store
from orchestrator.pipelines.plan import Plan

_GROUP = "orchestrator.engine_parts"


@dataclass(frozen=True, slots=True)
class EngineParts:
    """The concrete parts of an engine.

    `on_takeover` ends what a dead owner left behind. `on_reopen` makes ready for a recorded plan, and says of which
    steps the handlers cannot be had. `code_hashes` gives a short hash of the code of each handler (`module:function`).
    """

    store: Store
    runner: Runner
    kinds: Mapping[str, Kind]
    owner: Owner
    on_takeover: Callable[[Owner], None] | None = None
    on_reopen: Callable[[Plan], Mapping[str, Exception]] | None = None
    code_hashes: Callable[[Plan], Mapping[str, str]] | None = None
    #: Finds the durable function that a handler is, and starts an execution of one: see `performer.Parts`.
    function_of: Callable[[str, str], DurableFunction | None] = lambda target, base_dir: None
    spawn: Callable[[Any, Mapping[str, Any], str], Awaitable[str]] | None = None


def installed_parts() -> EngineParts:
    """The parts that are installed. Raises InputError where there are none."""
    for found in entry_points(group=_GROUP, name="default"):
        make = cast(Callable[[], EngineParts], found.load())
        return make()
    raise InputError(f"no parts for an engine are installed (entry point group {_GROUP}); give it EngineParts")

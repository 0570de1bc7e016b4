"""The plain state object of programs that do without an execution context.

Values are kept as they were given, by reference: there is no journal here and no reader to guard against. Every change,
also one made right in `global_context`, is told to `on_change`, which is how a bridge follows it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import InputError
from orchestrator.execution.delivery import Delivery, Handlers
from orchestrator.execution.state.checking import Part
from orchestrator.execution.state.loops import LoopContext
from orchestrator.execution.state.watched import GONE, WatchedDict

#: The version of what `export_state` gives.
FORMAT_VERSION = 1
_KINDS = ("variables", "results", "templates")
#: Is told the kind ("variables", "results", "templates"), the name, and the value or `GONE`.
ChangeHandler: TypeAlias = Callable[[str, str, Any], object]
_Snapshot: TypeAlias = tuple[
    dict[str, dict[str, Any]], set[str], set[str], dict[str, str], list[tuple[str, LoopContext]]
]


class GlobalContext(Mapping[str, WatchedDict]):
    """The three mappings of a state, as keys and as attributes: `variables`, `results`, `templates`."""

    def __init__(self, make: Callable[[str], WatchedDict]) -> None:
        self.variables, self.results, self.templates = (make(kind) for kind in _KINDS)

    def __getitem__(self, kind: str) -> WatchedDict:
        if kind not in _KINDS:
            raise KeyError(kind)
        found: WatchedDict = getattr(self, kind)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_KINDS)

    def __len__(self) -> int:
        return len(_KINDS)

    def __repr__(self) -> str:
        return repr(dict(self))


class PipelineExecutionState:
    """Variables, results and templates of one run, and which tasks ran, wait or failed. Thread-safe.

    `executed_tasks` and `pending_tasks` are sets of task ids, `failed_tasks` maps a task to its error.
    """

    def __init__(self, pipeline_id: str = "default", *, clock: Clock | None = None) -> None:
        self.pipeline_id = pipeline_id
        self._clock = clock or SystemClock()
        self.started_at = self._clock.time()
        self._lock = threading.RLock()
        self._delivery = Delivery()
        self._handlers: Handlers[str, str, Any] = Handlers()
        self.global_context = GlobalContext(self._make)
        self.executed_tasks: set[str] = set()
        self.pending_tasks: set[str] = set()
        self.failed_tasks: dict[str, str] = {}
        self._loops: list[tuple[str, LoopContext]] = []

    def _make(self, kind: str) -> WatchedDict:
        def tell(name: str, value: Any) -> None:
            self._delivery.put(self._handlers, kind, name, value)

        return WatchedDict(self._lock, tell, self._delivery.run)

    # -- what happens ----------------------------------------------------------------------------------------------

    def register_variable(self, name: str, value: Any) -> None:
        """Set a variable."""
        self.change("variables", name, value)

    def register_result(self, task_id: str, result: Any) -> None:
        """Keep what a task gave: it has been executed."""
        self.change("results", task_id, result)

    def register_template(self, name: str, text: str) -> None:
        """Keep a template, or the text that it came to."""
        self.change("templates", name, text)

    def change(self, kind: str, name: str, value: Any, announce: Callable[[], object] | None = None) -> bool:
        """Set a name of `global_context[kind]` or, with `GONE`, delete it; False where there is nothing to delete.

        A result makes its task an executed one. `announce` is called right before the handlers of `on_change` are told,
        with no lock held: so whoever follows the changes can know its own.
        """
        items = self.global_context[kind]
        with self._lock:
            if value is GONE and name not in items:
                return False
            if announce is not None:
                self._delivery.put(announce)
            if value is GONE:
                items.take(name)
            else:
                items.put(name, value)
                if kind == "results":
                    self.mark_task_executed(name)
        self._delivery.run()
        return True

    def mark_task_pending(self, task_id: str) -> None:
        """Note that a task runs or waits."""
        with self._lock:
            self.pending_tasks.add(task_id)
            self.executed_tasks.discard(task_id)
            self.failed_tasks.pop(task_id, None)

    def mark_task_executed(self, task_id: str) -> None:
        """Note that a task ended well."""
        with self._lock:
            self.executed_tasks.add(task_id)
            self.pending_tasks.discard(task_id)
            self.failed_tasks.pop(task_id, None)

    def mark_task_failed(self, task_id: str, error: str | BaseException) -> None:
        """Note that a task failed, and why."""
        with self._lock:
            self.failed_tasks[task_id] = str(error)
            self.pending_tasks.discard(task_id)
            self.executed_tasks.discard(task_id)

    def forget_task(self, task_id: str) -> None:
        """Note that nothing is known of a task."""
        with self._lock:
            self.executed_tasks.discard(task_id)
            self.pending_tasks.discard(task_id)
            self.failed_tasks.pop(task_id, None)

    def push_loop_context(self, loop_id: str, context: LoopContext) -> None:
        """Enter an iteration; it is the innermost until `pop_loop_context`."""
        with self._lock:
            self._loops.append((loop_id, context))

    def pop_loop_context(self) -> LoopContext | None:
        """Leave the innermost iteration and give it; None outside of loops."""
        with self._lock:
            return self._loops.pop()[1] if self._loops else None

    def on_change(self, handler: ChangeHandler) -> Callable[[], None]:
        """Call `handler(kind, name, value)` for every change of `global_context`; gives a function that ends it.

        `kind` is variables, results or templates; the value of a name that was deleted is `GONE`.
        """
        return self._handlers.add(handler)

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def active_loops(self) -> list[str]:
        """The ids of the loops that are entered, outermost first."""
        with self._lock:
            return [loop_id for loop_id, _ in self._loops]

    def get_available_context(self) -> dict[str, Any]:
        """Every name that a template sees, flat: of one name the later wins.

        Templates, then variables, then results by their task, then the names of the loops, the innermost last.
        """
        with self._lock:
            context = {
                **self.global_context.templates.copy(),
                **self.global_context.variables.copy(),
                **self.global_context.results.copy(),
            }
            for _, loop in self._loops:
                context.update(loop.to_dict())
        return context

    def get_execution_summary(self) -> dict[str, Any]:
        """Counts, and how long it has run, in seconds."""
        with self._lock:
            return {
                "pipeline_id": self.pipeline_id,
                "variables": len(self.global_context.variables),
                "results": len(self.global_context.results),
                "templates": len(self.global_context.templates),
                "executed_tasks": len(self.executed_tasks),
                "pending_tasks": len(self.pending_tasks),
                "failed_tasks": dict(self.failed_tasks),
                "active_loops": [loop_id for loop_id, _ in self._loops],
                "execution_time": self._clock.time() - self.started_at,
            }

    # -- out and in ------------------------------------------------------------------------------------------------

    def export_state(self) -> dict[str, Any]:
        """Everything, as native values: copies, so that what goes on here changes nothing there."""
        with self._lock:
            state: dict[str, Any] = {
                "format_version": FORMAT_VERSION,
                "pipeline_id": self.pipeline_id,
                "global_context": {kind: self.global_context[kind].copy() for kind in _KINDS},
                "executed_tasks": sorted(self.executed_tasks),
                "pending_tasks": sorted(self.pending_tasks),
                "failed_tasks": dict(self.failed_tasks),
                "loop_contexts": [{"loop_id": loop_id, "context": _loop_fields(loop)} for loop_id, loop in self._loops],
            }
        return copy.deepcopy(state)

    def import_state(self, state: Mapping[str, Any]) -> None:
        """Become what `export_state` gave. All or nothing: raises InputError, which names the part that is wrong."""
        part = Part(state, "the state")
        pipeline_id = part.text("pipeline_id")
        context, executed, pending, failed, loops = _read(part)
        with self._lock:
            self.pipeline_id = pipeline_id
            self.executed_tasks, self.pending_tasks, self.failed_tasks = executed, pending, failed
            self._loops = loops
            for kind in _KINDS:
                self.global_context[kind].become(context[kind])
        self._delivery.run()


def _loop_fields(loop: LoopContext) -> dict[str, Any]:
    return {field.name: getattr(loop, field.name) for field in fields(loop)}


def _read(part: Part) -> _Snapshot:
    part.version(FORMAT_VERSION)
    whole = part.part("global_context")
    context = {kind: copy.deepcopy(whole.names(kind)) for kind in _KINDS}
    whole.done()
    executed, pending = set(part.texts("executed_tasks")), set(part.texts("pending_tasks"))
    failed = part.names("failed_tasks")
    if not all(isinstance(error, str) for error in failed.values()):
        raise InputError(f"{part.where}.failed_tasks: every error is a text")
    loops = [_read_loop(item) for item in part.parts("loop_contexts")]
    part.done()
    return context, executed, pending, failed, loops


def _read_loop(part: Part) -> tuple[str, LoopContext]:
    loop_id, given = part.text("loop_id"), part.part("context")
    part.done()
    known = {field.name for field in fields(LoopContext)}
    if given.tree.keys() != known:
        raise InputError(f"{given.where}: it has {sorted(map(str, given.tree))}, and a loop has {sorted(known)}")
    if not isinstance(given.tree["variables"], Mapping):
        raise InputError(f"{given.where}.variables: a mapping is needed")
    return loop_id, LoopContext(**copy.deepcopy(dict(given.tree)))

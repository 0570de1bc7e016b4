"""The variable manager: the verbs over a table of variables.

A verb decides its changes and applies them under the lock, or hands them to the recorder. Values are encoded before the
lock is taken and decoded after it was left; templates are evaluated and handlers called with no lock held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.clock import Clock, SystemClock, new_id
from orchestrator.errors import InputError, TemporaryGoneError, UnknownContextError
from orchestrator.execution.variables.aliases import alias_stack, aliases_of, set_alias_stack
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.cells import Cell, LiveCell, keep
from orchestrator.execution.variables.changes import (
    Change,
    CloseContext,
    Delete,
    Depend,
    OpenContext,
    Recorder,
    Write,
)
from orchestrator.execution.variables.dependencies import closure
from orchestrator.execution.variables.listeners import Listeners, listen
from orchestrator.execution.variables.metadata import VariableMetadata, VariableVersion
from orchestrator.execution.variables.resolving import CacheInfo, Resolver
from orchestrator.execution.variables.restoring import changes_back
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.transfer import Incoming, Snapshot, changes_to
from orchestrator.execution.variables.undo import Mark, UndoLog
from orchestrator.execution.variables.words import (
    OF_THE_STEP,
    VariableScope,
    VariableType,
    check_name,
    check_names,
    check_tags,
    word,
)


class VariableManager:
    """Named, scoped, versioned values. Thread-safe; used alone it holds any value.

    Nobody sees what another does to a value: what can be copied is copied for every reader. What cannot be encoded (a
    socket, a lock, a function), and every TEMPORARY variable, is held by reference. A value that contains `${` is
    data; only `set_template` makes a template.

    With a `parent`, the parent's GLOBAL variables are found after its own. It never writes to the parent.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_contexts_made",
        "_lock",
        "_parent",
        "_resolver",
        "_table",
        "_token",
        "pipeline_id",
        "recorder",
        "running_step",
    )

    def __init__(
        self,
        pipeline_id: str = "default",
        *,
        clock: Clock | None = None,
        parent: VariableManager | None = None,
    ) -> None:
        self.pipeline_id = pipeline_id
        #: Takes the changes of every verb; None applies them at once.
        self.recorder: Recorder | None = None
        #: Gives the id of the running step's context, for a step id or (None) for the caller; None where no step runs.
        self.running_step: Callable[[str | None], str | None] | None = None
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._parent = parent
        self._table: Table = Table(parent._table if parent is not None else None)
        self._resolver: Resolver | None = None
        self._contexts_made, self._token = 0, ""

    # -- writing ---------------------------------------------------------------------------------------------------

    def set_variable(
        self,
        name: str,
        value: Any,
        scope: VariableScope = VariableScope.GLOBAL,
        var_type: VariableType = VariableType.INTERMEDIATE,
        source_step: str | None = None,
        description: str | None = None,
        tags: set[str] | None = None,
        context_id: str | None = None,
    ) -> None:
        """Set a variable. An existing one keeps `created_at` and what is not given again; its version rises by 1.

        With a context it goes there, whatever its scope says. Without one, STEP, LOOP and TEMPORARY go to the context
        of the running step; where none runs, and for every other scope, it goes to the root. Raises InputError for a
        bad name, scope or type, UnknownContextError for a context that is not there.
        """
        if name.__class__ is not str or name not in self._table.root.bindings:
            check_name(name)
        if scope.__class__ is not VariableScope:
            scope = word(VariableScope, scope)
        if var_type.__class__ is not VariableType:
            var_type = word(VariableType, var_type)
        cell = LiveCell(value) if scope is VariableScope.TEMPORARY else keep(value)[0]
        space = self._space_for(scope, source_step, context_id)
        self._write(
            space, name, cell, source_step, scope, var_type, description, None if tags is None else check_tags(tags)
        )

    def set_template(self, name: str, template: Any, source_step: str | None = None) -> None:
        """Make a GLOBAL variable whose value is computed from others whenever it is read.

        `template` is a text, or any nesting of mappings, lists and tuples with texts in it. The names in it are looked
        up from where the variable is read. Raises TemplateError for a template that cannot be read,
        CircularDependencyError for one that would depend on itself.
        """
        check_name(name)
        cell = TemplateCell(template, f"variable {name!r}")

        def decide() -> list[Change]:
            self._table.graph().check(name, {item for candidates in cell.candidates for item in candidates})
            return [Write(name, cell, source_step=source_step)]

        self._commit(decide)

    def delete_variable(self, name: str, context_id: str | None = None) -> bool:
        """Remove a variable from a context, or from the root; False where it is not there.

        Without a context, one of the running step goes first. Its versions are kept: set again, it goes on from them.
        """
        space = self._home(context_id)
        if context_id is None and name not in space.bindings:
            space = self._table.root
        return bool(self._commit(lambda: [Delete(name, space.id or None)] if name in space.bindings else []))

    def bind(
        self,
        name: str,
        cell: Cell,
        at: float,
        source_step: str | None = None,
        scope: VariableScope = VariableScope.GLOBAL,
        var_type: VariableType = VariableType.INTERMEDIATE,
        description: str | None = None,
        tags: frozenset[str] | None = None,
    ) -> None:
        """Bind a name of the root to a cell as of `at` (seconds since the epoch): `apply` for one write, unchecked."""
        table = self._table
        with self._lock:
            table.put(table.root, name, cell, at, source_step, scope, var_type, description, tags)
        if table.listeners is not None:
            table.listeners.delivery.run()

    def apply(self, changes: Sequence[Change], at: float | None = None) -> None:
        """Make changes as of `at` (seconds since the epoch; now for None), all at once, and tell the handlers.

        What the verbs end with, and what a recorder calls once its changes are durable. A change in a context that is
        gone by now is left out.
        """
        moment = self._clock.time() if at is None else at
        with self._lock:
            for change in changes:
                self._table.apply(change, moment)
        self._deliver()

    def _write(
        self,
        space: Space,
        name: str,
        cell: Cell,
        source_step: str | None,
        scope: VariableScope,
        var_type: VariableType,
        description: str | None,
        tags: frozenset[str] | None,
    ) -> None:
        if self.recorder is not None:
            change = Write(name, cell, scope, var_type, source_step, description, tags, space.id or None)
            self.recorder.record((change,))
            return
        table = self._table
        at = self._clock.time()
        with self._lock:
            if space is not table.root and table.contexts.get(space.id) is not space:
                raise UnknownContextError(space.id)
            table.put(space, name, cell, at, source_step, scope, var_type, description, tags)
        if table.listeners is not None:
            table.listeners.delivery.run()

    def _commit(self, decide: Callable[[], Iterable[Change]]) -> tuple[Change, ...]:
        """Decide on changes and make them, with nothing in between; or hand them to the recorder."""
        at, recorder = self._clock.time(), self.recorder
        with self._lock:
            changes = tuple(decide())
            if recorder is None:
                for change in changes:
                    self._table.apply(change, at)
        if recorder is None:
            self._deliver()
        elif changes:
            recorder.record(changes)
        return changes

    def _deliver(self) -> None:
        if self._table.listeners is not None:
            self._table.listeners.delivery.run()

    # -- reading ---------------------------------------------------------------------------------------------------

    def get_variable(
        self, name: str, default: Any = None, context_id: str | None = None, resolve_templates: bool = True
    ) -> Any:
        """A variable's value, of the reader's own; `default` where there is none.

        Looked up in the context (without one, the running step's), in those around it, among the global ones, then by
        the alias scopes. A template variable is computed, unless `resolve_templates` is False: then it is its template.
        A name that it does not find stays in the result as it was written. Raises TemporaryGoneError for a TEMPORARY
        variable that an import or a restore has dropped.
        """
        if self.recorder is not None and context_id is None and (mine := self.recorder.unrecorded(name)) is not None:
            return mine.read()
        home = self._home(context_id)
        binding = home.bindings.get(name) or self._find(name, home)
        if binding is None:
            if self._table.lost(name, home):
                raise TemporaryGoneError(name)
            return default
        if resolve_templates and type(binding.cell) is TemplateCell:
            return self._templates.read(binding, home, alias_stack(self))
        return binding.cell.read()

    def has_variable(self, name: str, context_id: str | None = None) -> bool:
        """Whether `get_variable` would find the name; None is a value like any other."""
        if self.recorder is not None and context_id is None and self.recorder.unrecorded(name) is not None:
            return True
        home = self._home(context_id)
        return name in home.bindings or self._find(name, home) is not None

    def get_variable_metadata(self, name: str, context_id: str | None = None) -> VariableMetadata | None:
        """What is known of a variable; None where there is none. Under an alias, the real name's."""
        binding = self._find(name, self._home(context_id))
        if binding is None:
            return None
        with self._lock:
            return self._metadata(binding)

    def list_variables(
        self,
        scope: VariableScope | None = None,
        var_type: VariableType | None = None,
        context_id: str | None = None,
        include_metadata: bool = False,
    ) -> dict[str, Any]:
        """Names and values; with metadata each value is `{"value": …, "metadata": VariableMetadata}`.

        Without a context: the variables of the root. With one: all that is visible from there, the nearest of each
        name. A parent's variables and aliases are not listed.
        """
        scope = None if scope is None else word(VariableScope, scope)
        var_type = None if var_type is None else word(VariableType, var_type)
        home = self._table.space(context_id)
        with self._lock:
            found = {
                name: (binding, self._metadata(binding) if include_metadata else None)
                for name, binding in self._table.visible(home).items()
                if scope in (None, binding.scope) and var_type in (None, binding.var_type)
            }
        values = {name: (self._value(binding, home), metadata) for name, (binding, metadata) in found.items()}
        if include_metadata:
            return {name: {"value": value, "metadata": metadata} for name, (value, metadata) in values.items()}
        return {name: value for name, (value, _) in values.items()}

    def get_variable_history(
        self, name: str, context_id: str | None = None, limit: int | None = None
    ) -> list[VariableVersion]:
        """The versions before the present one, oldest first; at most the newest `limit`, and never more than 100.

        They outlive a deletion: the last value of a deleted variable is one of them.
        """
        if limit is not None and limit < 0:
            raise InputError(f"limit is the number of versions wanted, from 0, not {limit}")
        space: Space | None = self._home(context_id)
        with self._lock:
            while space is not None and name not in space.bindings and name not in (space.history or ()):
                space = space.parent
            kept = list((space.history or {}).get(name, ())) if space is not None else []
        kept = kept if limit is None else kept[max(0, len(kept) - limit) :]
        return [binding.as_version() for binding in kept]

    def names(self) -> list[str]:
        """Every name that is bound in the root."""
        with self._lock:
            return list(self._table.root.bindings)

    def shared(self, name: str) -> tuple[Any, bool]:
        """A variable's value as seen from the root, and whether others see the same object and it must not be changed.

        Values of moderate size are decoded once for all. Raises KeyError where there is none.
        """
        root, cache = self._table.root, self._table.shared
        binding = root.bindings.get(name)
        if binding is not None and cache is not None:
            with self._lock:
                kept = cache.get(binding.serial)
            if kept is not None:
                return kept[0], True
        if binding is None and (binding := self._find(name, root)) is None:
            raise KeyError(name)
        if type(binding.cell) is TemplateCell:
            return self._templates.read(binding, root, alias_stack(self)), False
        return self._templates.read_shared(binding)

    def _home(self, context_id: str | None) -> Space:
        """Where a name is looked up first. Raises UnknownContextError."""
        if context_id is not None or self.running_step is None:
            return self._table.space(context_id)
        return self._table.contexts.get(self.running_step(None) or "", self._table.root)

    def _space_for(self, scope: VariableScope, source_step: str | None, context_id: str | None) -> Space:
        """Where a variable is set. Raises UnknownContextError."""
        if context_id is not None or self.running_step is None or scope not in OF_THE_STEP:
            return self._table.space(context_id)
        return self._table.contexts.get(self.running_step(source_step) or "", self._table.root)

    def _find(self, name: str, home: Space) -> Binding | None:
        return self._table.find(name, home, alias_stack(self))

    def _value(self, binding: Binding, home: Space) -> Any:
        if type(binding.cell) is TemplateCell:
            return self._templates.read(binding, home, alias_stack(self))
        return binding.cell.read()

    def _metadata(self, binding: Binding) -> VariableMetadata:
        table = self._table
        own = table.dependencies is not None and table.root.bindings.get(binding.name) is binding
        return binding.metadata(table.graph().needs(binding.name, table.root.bindings) if own else set())

    # -- contexts and aliases --------------------------------------------------------------------------------------

    def create_context(self, parent_id: str | None = None) -> str:
        """Begin a context inside of another, or of the root; gives its id, which never comes back for another one."""
        with self._lock:
            self._table.space(parent_id)
            self._token = self._token or new_id(self._clock)[-7:]
            self._contexts_made += 1
            context_id = f"context-{self._contexts_made}-{self._token}"
        self._commit(lambda: [OpenContext(context_id, parent_id)])
        return context_id

    def destroy_context(self, context_id: str) -> None:
        """End a context, the contexts inside of it, and their variables. Raises UnknownContextError."""
        self._commit(lambda: [CloseContext(self._table.space(context_id).id)])

    def push_scope(self, scope: Mapping[str, str]) -> None:
        """Let names stand for others, `{alias: real_name}`, for this thread or async task, until `pop_scope`.

        A variable of the same name comes first. An alias may name one of a scope that was pushed before.
        """
        set_alias_stack(self, (*alias_stack(self), aliases_of(scope)))

    def pop_scope(self) -> dict[str, str] | None:
        """Take back the last scope that this thread or task has pushed, and return it; None where there is none."""
        stack = alias_stack(self)
        if not stack:
            return None
        set_alias_stack(self, stack[:-1])
        return dict(stack[-1])

    # -- templates -------------------------------------------------------------------------------------------------

    def resolve_template(
        self,
        template: Any,
        context: Mapping[str, Any] | None = None,
        strict: bool = False,
        *,
        context_id: str | None = None,
    ) -> Any:
        """The value of a template: a text, or any nesting of mappings, lists and tuples with texts in it.

        A text that is one lone placeholder gives the native value, a copy; placeholders among other text give text.
        The names of `context` shadow variables. An unknown name is left as it was written or, where `strict`, raises
        UnknownNameError. Raises TemplateError for what cannot be read or computed, or would grow too large.

        A result is kept until one of the names that it needed, seen from the same place, stands for something else;
        not with `context`, and not where it holds an object that may change by itself.
        """
        home = self._home(context_id)
        if context is not None:
            return self._templates.resolve_with(template, context, home, alias_stack(self), strict)
        return self._templates.resolve(template, home, alias_stack(self), strict)

    def cache_info(self) -> CacheInfo:
        """How often a resolution was found in the cache and how often not, and how many results are kept."""
        return CacheInfo(0, 0, 0) if self._resolver is None else self._resolver.info()

    @property
    def _templates(self) -> Resolver:
        resolver = self._resolver
        if resolver is None:
            with self._lock:
                resolver = self._resolver = self._resolver or Resolver(self._table, self._lock)
        return resolver

    # -- dependencies ----------------------------------------------------------------------------------------------

    def add_dependency(self, name: str, names: Iterable[str]) -> None:
        """Say that a variable depends on others. Raises CircularDependencyError, and leaves things as they were.

        These stay until the variable is deleted; those of a template come and go with it.
        """
        check_name(name)
        wanted = check_names(names)

        def decide() -> list[Change]:
            graph = self._table.graph()
            graph.check(name, wanted)
            return [Depend(name, graph.added(name) | wanted)]

        self._commit(decide)

    def get_dependencies(self, name: str, transitive: bool = False) -> set[str]:
        """What a variable depends on: directly or, with `transitive`, by way of others too."""
        with self._lock:
            graph, bound = self._table.graph(), self._table.root.bindings
            return closure(name, lambda at: graph.needs(at, bound)) if transitive else graph.needs(name, bound)

    def get_dependents(self, name: str, transitive: bool = False) -> set[str]:
        """What depends on a variable: directly or, with `transitive`, by way of others too."""
        with self._lock:
            graph, bound = self._table.graph(), self._table.root.bindings
            return closure(name, lambda at: graph.needed_by(at, bound)) if transitive else graph.needed_by(name, bound)

    # -- events ----------------------------------------------------------------------------------------------------

    def on_variable_created(self, handler: Callable[[str, Any], object]) -> Callable[[], None]:
        """Call `handler(name, value)` when a variable is set that was not there; gives what unsubscribes.

        Values are the handler's own copies; a template's is the template. No lock is held while it runs.
        """
        return listen(self._listeners.created, handler)

    def on_variable_changed(self, handler: Callable[[str, Any, Any], object]) -> Callable[[], None]:
        """Call `handler(name, old, new)` when a variable is set that was there, to whatever value."""
        return listen(self._listeners.changed, handler)

    def on_variable_deleted(self, handler: Callable[[str, Any], object]) -> Callable[[], None]:
        """Call `handler(name, old)` when a variable is deleted, or gone with its context."""
        return listen(self._listeners.deleted, handler)

    @property
    def _listeners(self) -> Listeners:
        with self._lock:
            if self._table.listeners is None:
                self._table.listeners = Listeners()
            return self._table.listeners

    # -- going back ------------------------------------------------------------------------------------------------

    def mark(self) -> Mark:
        """Remember how everything stands now. Costs nothing by itself; forget it when it is no longer wanted."""
        with self._lock:
            if self._table.undo is None:
                self._table.undo = UndoLog()
            return self._table.undo.mark()

    def forget(self, mark: Mark) -> None:
        """Give a mark up. Raises InputError for one that this manager does not have."""
        with self._lock:
            self._undo.forget(mark)

    def changes_since(self, mark: Mark, source: str | None = None) -> tuple[Change, ...]:
        """What to write and delete so that all stands as at the mark; costs what changed since. Nothing is changed.

        `source` becomes the source step of the writes. See `restore` for what comes back and what does not.
        """
        with self._lock:
            return tuple(changes_back(self._table, self._undo.since(mark), source))

    def restore(self, mark: Mark, source: str | None = None) -> tuple[Change, ...]:
        """Bring variables, templates, contexts and dependencies to where they stood at a mark; gives the changes.

        What differs gets a new version by `source`; what came later is deleted. A context that was made since is
        destroyed, one that was destroyed comes back under its id. TEMPORARY variables that were set or deleted since
        are gone: reading them raises TemporaryGoneError. Histories stay, aliases too, and so do all marks.
        Raises InputError for a mark that this manager does not have.
        """
        return self._commit(lambda: changes_back(self._table, self._undo.since(mark), source))

    @property
    def _undo(self) -> UndoLog:
        return self._table.undo or UndoLog()

    # -- export and import -----------------------------------------------------------------------------------------

    def export_state(self, context_id: str | None = None) -> dict[str, Any]:
        """Everything as plain data with native values, copies (see `transfer` for the layout).

        With a context: of the contexts only that one and those around it. TEMPORARY variables, histories, aliases,
        handlers and a parent's variables are left out.
        """
        with self._lock:
            home = self._table.space(context_id)
            snapshot = Snapshot(self._table, self._table.contexts.values() if context_id is None else _line(home))
        return snapshot.state(self.pipeline_id)

    def import_state(self, state: Mapping[str, Any]) -> None:
        """Replace everything by an exported state. Raises InputError or TemplateError for a bad one: nothing changes.

        Versions come from the state, unless this manager has passed them already: then they go on from here. Histories
        and marks stay.
        """
        incoming = Incoming(state)
        self._commit(lambda: changes_to(self._table, incoming))
        self.pipeline_id = incoming.pipeline_id


def _line(space: Space) -> list[Space]:
    """A context and those around it, without the root."""
    line = []
    while space.parent is not None:
        line.append(space)
        space = space.parent
    return line

"""Reading a table of variables: values, what is known of them, what comes of templates, and who wants to hear.

Values are decoded, templates evaluated and handlers called with no lock held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from orchestrator.errors import InputError, TemporaryGoneError
from orchestrator.execution.variables.aliases import alias_stack
from orchestrator.execution.variables.bindings import Binding
from orchestrator.execution.variables.changes import Recorder
from orchestrator.execution.variables.listeners import Listeners, listen
from orchestrator.execution.variables.listing import listed, metadata_of
from orchestrator.execution.variables.metadata import VariableMetadata, VariableVersion
from orchestrator.execution.variables.resolving import CacheInfo, Resolver
from orchestrator.execution.variables.spaces import Space
from orchestrator.execution.variables.table import Table
from orchestrator.execution.variables.template_cell import TemplateCell
from orchestrator.execution.variables.words import VariableScope, VariableType, word

#: Gives the id of a step's context; see `VariableReader.running_step`.
StepHook: TypeAlias = Callable[[str | None], str | None]


class VariableReader:
    """What of a `VariableManager` changes nothing. Thread-safe."""

    __slots__ = ("__weakref__", "_resolver", "_table", "recorder", "running_step")

    def __init__(self, table: Table) -> None:
        #: Takes the changes of every verb; None applies them at once.
        self.recorder: Recorder | None = None
        #: Gives the id of the running step's context, for a step id or (None) for the caller; None where there is none.
        #: Whoever reads asks it, so it makes nothing.
        self.running_step: StepHook | None = None
        self._table = table
        self._resolver: Resolver | None = None

    # -- values ------------------------------------------------------------------------------------------------------

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
            if home.misses(name):
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
        with self._table.lock:
            return metadata_of(self._table, binding)

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
        with self._table.lock:
            found = listed(home, scope, var_type)
            metadata = {b.name: metadata_of(self._table, b) for b in found} if include_metadata else {}
        values = {binding.name: self._value(binding, home) for binding in found}
        if include_metadata:
            return {name: {"value": value, "metadata": metadata[name]} for name, value in values.items()}
        return values

    def get_variable_history(
        self, name: str, context_id: str | None = None, limit: int | None = None
    ) -> list[VariableVersion]:
        """The versions before the present one, oldest first; at most the newest `limit`, and never more than 100.

        They outlive a deletion: the last value of a deleted variable is one of them.
        """
        if limit is not None and limit < 0:
            raise InputError(f"limit is the number of versions wanted, from 0, not {limit}")
        home = self._home(context_id)
        with self._table.lock:
            kept = home.past(name)
        kept = kept if limit is None else kept[max(0, len(kept) - limit) :]
        return [binding.as_version() for binding in kept]

    def names(self) -> list[str]:
        """Every name that is bound in the root."""
        with self._table.lock:
            return list(self._table.root.bindings)

    def shared(self, name: str) -> tuple[Any, bool]:
        """A variable's value as seen from the root, and whether others see the same object and it must not be changed.

        Values of moderate size are decoded once for all. Raises KeyError where there is none.
        """
        root = self._table.root
        binding = root.bindings.get(name) or self._find(name, root)
        if binding is None:
            raise KeyError(name)
        if type(binding.cell) is TemplateCell:
            return self._templates.read(binding, root, alias_stack(self)), False
        return self._templates.read_shared(binding)

    def _home(self, context_id: str | None) -> Space:
        """Where a name is looked up first. Raises UnknownContextError."""
        if context_id is not None or self.running_step is None:
            return self._table.space(context_id)
        return self._table.contexts.get(self.running_step(None) or "", self._table.root)

    def _find(self, name: str, home: Space) -> Binding | None:
        return self._table.find(name, home, alias_stack(self))

    def _value(self, binding: Binding, home: Space) -> Any:
        if type(binding.cell) is TemplateCell:
            return self._templates.read(binding, home, alias_stack(self))
        return binding.cell.read()

    # -- templates ---------------------------------------------------------------------------------------------------

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
            with self._table.lock:
                resolver = self._resolver = self._resolver or Resolver(self._table)
        return resolver

    # -- dependencies ------------------------------------------------------------------------------------------------

    def get_dependencies(self, name: str, transitive: bool = False) -> set[str]:
        """What a variable depends on: directly or, with `transitive`, by way of others too."""
        with self._table.lock:
            return self._table.graph().needs(name, self._table.root.bindings, transitive)

    def get_dependents(self, name: str, transitive: bool = False) -> set[str]:
        """What depends on a variable: directly or, with `transitive`, by way of others too."""
        with self._table.lock:
            return self._table.graph().needed_by(name, self._table.root.bindings, transitive)

    # -- events ------------------------------------------------------------------------------------------------------

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
        return self._table.listen()

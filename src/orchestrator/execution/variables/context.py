"""A block of code with variables of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from orchestrator.errors import InputError, UnknownContextError
from orchestrator.execution.variables.aliases import AliasStack, alias_stack, aliases_of, set_alias_stack
from orchestrator.execution.variables.manager import VariableManager
from orchestrator.execution.variables.words import VariableScope, VariableType


class VariableContext:
    """A `with` block over one fresh context: at its end the context, its variables and its aliases are gone.

    Not thread-safe: it belongs to the thread or async task that entered it.
    """

    def __init__(self, manager: VariableManager, *, parent_id: str | None = None) -> None:
        self.manager = manager
        self._parent_id = parent_id
        self._context_id: str | None = None
        #: Scopes given before the block was entered.
        self._waiting: list[Mapping[str, str]] = []
        #: The alias stack as it was at each entry, and before the last `with_scope`.
        self._entered: list[AliasStack] = []
        self._before: AliasStack = ()

    @property
    def context_id(self) -> str:
        """The id of the context. Raises InputError outside of the block."""
        if self._context_id is None:
            raise InputError("this VariableContext is not entered; use it in a `with` block")
        return self._context_id

    def __enter__(self) -> VariableContext:
        if self._context_id is None:
            self._context_id = self.manager.create_context(self._parent_id)
            self._before = alias_stack(self.manager)
            for scope in self._waiting:
                self.manager.push_scope(scope)
            self._waiting.clear()
        self._entered.append(self._before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        set_alias_stack(self.manager, self._entered.pop())
        if not self._entered and self._context_id is not None:
            context_id, self._context_id = self._context_id, None
            with suppress(UnknownContextError):  # a restore or an import may have ended it
                self.manager.destroy_context(context_id)

    def with_scope(self, mapping: Mapping[str, str]) -> VariableContext:
        """Add aliases `{alias: real_name}` until the end of the block; gives this object.

        `with block.with_scope({...}):` inside of the block ends them at the end of that inner block.
        """
        if self._context_id is None:
            aliases_of(mapping)
            self._waiting.append(dict(mapping))
        else:
            self._before = alias_stack(self.manager)
            self.manager.push_scope(mapping)
        return self

    def set_variable(
        self,
        name: str,
        value: Any,
        scope: VariableScope = VariableScope.CONTEXT,
        var_type: VariableType = VariableType.INTERMEDIATE,
        source_step: str | None = None,
        description: str | None = None,
        tags: set[str] | None = None,
    ) -> None:
        """Set a variable of this context."""
        self.manager.set_variable(name, value, scope, var_type, source_step, description, tags, self.context_id)

    def get_variable(self, name: str, default: Any = None, resolve_templates: bool = True) -> Any:
        """A variable as seen from this context."""
        return self.manager.get_variable(name, default, self.context_id, resolve_templates)

    def has_variable(self, name: str) -> bool:
        """Whether a name is found from this context."""
        return self.manager.has_variable(name, self.context_id)

    def delete_variable(self, name: str) -> bool:
        """Remove a variable of this context; False where it has none of that name."""
        return self.manager.delete_variable(name, self.context_id)

    def resolve_template(self, template: Any, context: Mapping[str, Any] | None = None, strict: bool = False) -> Any:
        """A template's value as seen from this context."""
        return self.manager.resolve_template(template, context, strict, context_id=self.context_id)

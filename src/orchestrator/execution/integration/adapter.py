"""A manager's GLOBAL variables as a mapping, for programs that were written for a dict.

It keeps nothing of its own: each look-up is the manager's, so that what one side writes the other reads at once.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, TypeAlias

from orchestrator.execution.integration.held import held
from orchestrator.execution.variables import Root, VariableManager, VariableType

#: The default where there is none: a name that is missing is an error.
_REQUIRED: Any = object()
_ABSENT: Any = object()
#: The class below has a `set` of its own.
_Tags: TypeAlias = set[str]


class VariableManagerAdapter(MutableMapping[str, Any]):
    """The GLOBAL variables of a manager, in the order in which they came. Thread-safe.

    Unlike a dict it gives each reader a copy: a value that is changed in place must be set again. A template variable
    reads as what it comes to. Iteration goes over the names as they are when it begins.
    """

    def __init__(self, variable_manager: VariableManager) -> None:
        self.variable_manager = variable_manager
        self._root = Root(variable_manager)

    def set(
        self,
        name: str,
        value: Any,
        *,
        var_type: VariableType | None = None,
        source_step: str | None = None,
        description: str | None = None,
        tags: _Tags | None = None,
    ) -> None:
        """Set a variable, and what is to be known of it. Its type, its description and its tags stay where not given.

        Raises InputError for what cannot name a variable.
        """
        if var_type is None:
            found = held(self._root, name)
            var_type = found.var_type if found is not None else VariableType.INTERMEDIATE
        self.variable_manager.set_variable(
            name, value, var_type=var_type, source_step=source_step, description=description, tags=tags
        )

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def __getitem__(self, name: str) -> Any:
        found = held(self._root, name)
        if found is None:
            raise KeyError(name)
        if found.kind == "templates":
            return self.variable_manager.get_variable(name)
        return found.read()

    def __delitem__(self, name: str) -> None:
        if not self._root.delete(name):
            raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return held(self._root, name) is not None  # type: ignore[arg-type]  # as in a dict: any key

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in self.variable_manager.names() if name in self])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.copy()!r})"

    def copy(self) -> dict[str, Any]:
        """A plain dict of what there is now; a name that is deleted meanwhile is left out."""
        found = ((name, self.get(name, _ABSENT)) for name in self)
        return {name: value for name, value in found if value is not _ABSENT}

    def pop(self, name: str, default: Any = _REQUIRED) -> Any:
        """Delete a variable and give its value; of several callers, one gets it. Raises KeyError without a default."""
        try:
            value = self[name]
            del self[name]
        except KeyError:
            if default is _REQUIRED:
                raise
            return default
        return value

    def popitem(self) -> tuple[str, Any]:
        """Delete the variable that came last, and give its name and value. Raises KeyError where there is none."""
        for name in reversed(list(self)):
            value = self.pop(name, _ABSENT)
            if value is not _ABSENT:
                return name, value
        raise KeyError("there is no GLOBAL variable")

    def clear(self) -> None:
        """Delete all GLOBAL variables."""
        for name in self:
            self.pop(name, None)

"""Alias scopes: other names for variables, for the thread or async task that pushed them.

They live in the one context variable of this package: an immutable map from manager to its stack of scopes. A child
task starts with a copy, a new thread with none, and two concurrent loop bodies never see each other's. A manager is
held weakly; the entry of one that is gone is left out at the next change.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TypeAlias

from orchestrator.execution.variables.words import check_name

#: One scope: pairs of alias and name, sorted, so that equal scopes are equal keys of a cache.
Aliases: TypeAlias = tuple[tuple[str, str], ...]
#: The scopes of one manager, the innermost last.
AliasStack: TypeAlias = tuple[Aliases, ...]

_NONE: Mapping[weakref.ref[object], AliasStack] = MappingProxyType({})
_STACKS: ContextVar[Mapping[weakref.ref[object], AliasStack]] = ContextVar("alias_scopes", default=_NONE)


def alias_stack(manager: object) -> AliasStack:
    """The scopes that this thread or task has pushed for a manager."""
    stacks = _STACKS.get()
    return stacks.get(weakref.ref(manager), ()) if stacks else ()


def set_alias_stack(manager: object, stack: AliasStack) -> None:
    """Put a stack in the place of the present one."""
    key: weakref.ref[object] = weakref.ref(manager)
    others = {other: kept for other, kept in _STACKS.get().items() if other != key and other() is not None}
    _STACKS.set(MappingProxyType({**others, key: stack} if stack else others))


def aliases_of(mapping: Mapping[str, str]) -> Aliases:
    """A scope from `{alias: real_name}`. Raises InputError."""
    for alias, real_name in mapping.items():
        check_name(alias)
        check_name(real_name)
    return tuple(sorted(mapping.items()))

"""Which class a name in the data means.

A class is found under a name that it was registered with, else in a module that is imported already. The data's word
imports nothing and runs nothing: only the dictionaries of modules and classes are read, since asking a lazy module for
an attribute may import another one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from types import ModuleType
from typing import Any

from orchestrator.errors import InputError, UnknownTypeError


@dataclass(frozen=True, slots=True)
class Coder:
    """How a registered class comes apart into plain data, and is put together from it."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


class Names:
    """The registered classes. Thread-safe; they are added by declarations and never taken away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._classes: dict[str, type] = {}
        self._written: dict[type, tuple[str, str]] = {}
        #: The functions of classes that were registered with some.
        self.coders: dict[type, Coder] = {}

    def add(self, cls: type, module: str, qualname: str, coder: Coder | None) -> None:
        """Enter a class. The first of its names is the one that is written; all of them are read."""
        name = _joined(module, qualname)
        with self._lock:
            holder = self._classes.get(name, cls)
            if holder is not cls:
                raise InputError(
                    f"the name {name!r} is taken by another class ({_shown(holder)}); register {_shown(cls)} under "
                    "a name of its own"
                )
            if coder is not None and self.coders.get(cls, coder) != coder:
                raise InputError(f"{_shown(cls)} has an encode and a decode already; they are declared once")
            self._classes[name] = cls  # first: what is written meanwhile can be read
            self._written.setdefault(cls, (module, qualname))
            if coder is not None:
                self.coders[cls] = coder

    def name_of(self, cls: type) -> tuple[str, str]:
        """The module and qualified name to write for a class. Raises TypeError where no reader would find it."""
        if cls in self._written:
            return self._written[cls]
        module, qualname = cls.__module__, cls.__qualname__
        if self._look_up(module, qualname) is cls:
            return (program_name() if module == "__main__" else module), qualname
        for namesake in _namesakes(module):
            if self._look_up(namesake, qualname) is cls:
                return namesake, qualname
        raise TypeError(f"{module}.{qualname}, {_why_unfound(qualname)}; give it a name with register_type")

    def find(self, module: str, qualname: str) -> type:
        """The class that the data names. Raises UnknownTypeError."""
        found = self._look_up(module, qualname) or self._look_up(module.partition("@")[0], qualname)
        if found is None and module == program_name():
            found = self._look_up("__main__", qualname)
        if found is None:
            raise UnknownTypeError(module, qualname)
        return found

    def _look_up(self, module: str, qualname: str) -> type | None:
        if self._classes and (name := _joined(module, qualname)) in self._classes:
            return self._classes[name]
        found: Any = sys.modules.get(module)
        if not issubclass(type(found), ModuleType):  # `isinstance` may ask a stand-in for its `__class__`
            return None
        for name in qualname.split("."):
            found = object.__getattribute__(found, "__dict__").get(name)
            if not issubclass(type(found), type):
                return None
        return found  # type: ignore[no-any-return]  # `split` gives one name at least


def program_name() -> str:
    """What another process calls the module of the program itself: the name of its file, where it has one."""
    facts = getattr(sys.modules.get("__main__"), "__dict__", {})
    name = getattr(facts.get("__spec__"), "name", None) or ""
    if not name or name == "__main__":
        name = PurePath(facts.get("__file__") or "").stem
    return name if all(part.isidentifier() for part in name.split(".")) else "__main__"


def _namesakes(module: str) -> list[str]:
    """Where modules of that name from other folders are kept while several are loaded: `module@folder`.

    A process that has only one of them keeps it under its own name, so a reader looks there as well.
    """
    return [name for name in sys.modules.copy() if name.startswith(f"{module}@")]


def _joined(module: str, qualname: str) -> str:
    return f"{module}.{qualname}" if module else qualname


def _shown(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _why_unfound(qualname: str) -> str:
    if "<" in qualname:
        return "a class made inside a function, which no reader can find"
    return "which is not what its module holds under that name, so that no reader can find it"


#: The one table of registered classes, as `copyreg` has one: declarations fill it.
NAMES = Names()

"""A dict that tells what is changed in it, also by `update`, `setdefault` and the like: all go through two verbs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

#: Is told a name and its new value, or `GONE`; with the lock held.
Tell: TypeAlias = Callable[[str, Any], object]


class _Gone:
    """Stands for the value of a name that was deleted."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "GONE"

    def __bool__(self) -> bool:
        return False


#: The value that a change has where the name was deleted; None is a value like any other.
GONE = _Gone()


class WatchedDict(dict[str, Any]):
    """Names and values; every change is told under `lock`, and `after` is called when that is left."""

    __slots__ = ("_after", "_lock", "_tell")

    def __init__(self, lock: threading.RLock, tell: Tell, after: Callable[[], object]) -> None:
        super().__init__()
        self._lock, self._tell, self._after = lock, tell, after

    def __setitem__(self, name: str, value: Any) -> None:
        with self._lock:
            self.put(name, value)
        self._after()

    def __delitem__(self, name: str) -> None:
        with self._lock:
            self.take(name)
        self._after()

    def pop(self, name: str, *default: Any) -> Any:
        """Take a name away and give its value; `default` where it is not there. Raises KeyError without one."""
        with self._lock:
            try:
                value = self.take(name)
            except KeyError:
                if default:
                    return default[0]
                raise
        self._after()
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the latest name away and give it with its value. Raises KeyError where there is none."""
        with self._lock:
            name = next(reversed(self), "")
            value = self.take(name)
        self._after()
        return name, value

    def clear(self) -> None:
        """Take every name away."""
        with self._lock:
            self.become({})
        self._after()

    def update(self, *others: Any, **more: Any) -> None:
        """Set many names: from a mapping, pairs, or keywords."""
        with self._lock:
            for name, value in dict(*others, **more).items():
                self.put(name, value)
        self._after()

    def setdefault(self, name: str, default: Any = None) -> Any:
        """A name's value, which is set where it is not there."""
        with self._lock:
            if name not in self:
                self.put(name, default)
            value = self[name]
        self._after()
        return value

    def __ior__(self, other: Any) -> WatchedDict:  # type: ignore[override, misc]  # dict's own would not tell
        self.update(other)
        return self

    def copy(self) -> dict[str, Any]:
        """A plain dict of what it holds now."""
        with self._lock:
            return dict(self)

    def put(self, name: str, value: Any) -> None:
        """Set a name; with the lock held, and `after` left to the caller."""
        super().__setitem__(name, value)
        self._tell(name, value)

    def take(self, name: str) -> Any:
        """Take a name away and give its value; with the lock held, and `after` left to the caller."""
        value = super().pop(name)
        self._tell(name, GONE)
        return value

    def become(self, items: Mapping[str, Any]) -> None:
        """Hold just these, telling what that changes; with the lock held, and `after` left to the caller."""
        for name in [name for name in self if name not in items]:
            self.take(name)
        for name, value in items.items():
            self.put(name, value)

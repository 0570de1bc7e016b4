"""The bug that `--plant` puts into a target: a KeyError where a text begins with four given characters.

To meet them by chance takes four billion tries. A fuzzer that sees what is compared finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

TOKEN = "q7zk"


def rare(text: object) -> None:
    """Raise KeyError for a text that begins with the token."""
    if str(text)[:4] == TOKEN:
        raise KeyError("the planted bug")


@dataclass(frozen=True, slots=True)
class Plant:
    """Where a target's bug goes: into a function of a module, which is called with the text as its first argument."""

    module: ModuleType
    function: str

    def broken(self) -> Callable[..., Any]:
        """The function with the bug in it."""
        whole = getattr(self.module, self.function)

        def broken(*args: Any, **kwargs: Any) -> Any:
            rare(args[0])
            return whole(*args, **kwargs)

        return broken

    def apply(self) -> None:
        """Put the bug in, for this process."""
        setattr(self.module, self.function, self.broken())

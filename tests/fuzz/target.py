"""What a target is: one reader of the project, what is thrown at it, and what must hold whatever that is.

A target's `check` gives back nothing where all is well. Everything that it raises is a finding: an AssertionError where
a promise does not hold, any other error where the reader let it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.fuzz.planted import Plant

#: Where the committed inputs are: a folder for each target. A file that begins with `found-` was a finding once.
CORPUS = Path(__file__).with_name("corpus")


@dataclass(frozen=True, slots=True)
class Target:
    """One target. `words` are offered to the fuzzer as building blocks; `plant` is the bug that `--plant` puts in."""

    name: str
    check: Callable[[bytes], None]
    plant: Plant
    words: Sequence[str] = ()
    most_bytes: int = 256
    #: What one input may take: seconds of CPU (watched by the fuzzer, that is slower), and memory.
    cpu_seconds: float = 3.0
    memory_megabytes: int = 200

    @property
    def corpus(self) -> Path:
        """Its committed inputs."""
        return CORPUS / self.name


#: Name -> the module that defines it as `TARGET`.
MODULES = {
    "yaml": "yaml_loader",
    "templates": "templates",
    "codec": "codec",
    "journal": "journal",
    "cli": "command_line",
}

#: The modules under test: watched by the fuzzer and measured for coverage, hence known before they are loaded.
PACKAGES = {
    "yaml": ("orchestrator.pipelines",),
    "templates": tuple(
        f"orchestrator.pipelines.{name}"
        for name in ("templates", "expressions", "sandbox", "rewriting", "limits", "paths", "scanner")
    ),
    "codec": ("orchestrator.journal.codec",),
    "journal": (
        *(f"orchestrator.journal.{name}" for name in ("records", "events", "fold")),
        *(f"orchestrator.storage.sqlite{name}" for name in ("", "_file", "_listing", "_notes", "_readers", "_schema")),
    ),
    "cli": ("orchestrator.cli", "orchestrator.pipelines.inputs"),
}


def load(name: str) -> Target:
    """The target of that name."""
    target: Target = import_module(f"tests.fuzz.{MODULES[name]}").TARGET
    return target

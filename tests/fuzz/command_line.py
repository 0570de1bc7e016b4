"""The command line: whatever the arguments, one of the documented exit codes, and never a traceback.

Runs in this process, in a folder of its own with a pipeline, a faulty one, and a store with executions. An argument is
a word of the command line, a value, or any text without a `/`, so that nothing outside of the folder is touched. What
a case changed is put back before the next.
"""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import os
import pkgutil
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from tests.fuzz.planted import Plant
from tests.fuzz.source import Source
from tests.fuzz.target import Target

from orchestrator import cli
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.group import SECTIONS, root
from orchestrator.pipelines import model

for _module in pkgutil.iter_modules(cli.__path__, "orchestrator.cli."):
    import_module(_module.name)  # now, so that no case pays for it

DOCUMENTED = frozenset(ExitCode) - {ExitCode.BUG}
_CASES = itertools.count(1)
_STORE = ".orchestrator/journal.db"

_PIPELINE = """
pipeline: shop
inputs:
  text: {type: string, default: x}
  number: {type: number, default: 1}
  whole: {type: integer, default: 1}
  yes: {type: boolean, default: true}
  many: {type: list, default: []}
  map: {type: mapping, default: {}}
  file: {type: path, default: good.yaml}
  any: {default: null}
steps:
  - {id: sum, set: {total: "${number + whole}"}}
  - {id: each, for_each: "${many}", set: {last: "${item}"}}
  - {id: pick, when: "${yes}", set: {word: "${text}"}}
outputs: {all: "${total} ${text} ${any}", map: "${map}"}
"""
_FAILING = """
pipeline: asks
steps:
  - {id: ask, call: "tasks:fail", on_error: [{strategy: manual_intervention, instructions: look}]}
"""


def check(data: bytes) -> None:
    """Raises where a command ends in a way that is not documented."""
    arguments = _arguments(Source(data))
    folder = _folder()
    out, errors = _Stream(), _Stream()
    with _within(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            code: object = cli.main(arguments)
        except SystemExit as stop:
            raise AssertionError(f"it called sys.exit({stop.code})") from stop
    said = out.text() + errors.text()
    assert code in DOCUMENTED, f"{arguments} ended with {code}\n{said}"
    assert code == 0 or errors.text() or "--json" in arguments or "-q" in arguments, f"{arguments} ended without a word"


class _Stream(io.TextIOWrapper):
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)

    def text(self) -> str:
        """What was written."""
        return self.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


# -- the folder --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _within(folder: Path) -> Iterator[None]:
    """Work in the folder; what was changed there is put back."""
    before, known = Path.cwd(), _stamp(folder)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        if next(_CASES) % 500 == 0:  # a command that runs steps freezes all objects, as its process ends soon
            gc.unfreeze()
            gc.collect()
        if _stamp(folder) != known:
            shutil.rmtree(folder.parent / "deep")
            shutil.copytree(folder.parent / "kept", folder.parent / "deep")


def _stamp(folder: Path) -> list[tuple[str, int, int]]:
    found = (entry for place in (folder, folder / ".orchestrator", folder.parent) for entry in os.scandir(place))
    stats = ((entry.path, entry.stat(follow_symlinks=False)) for entry in found if entry.is_file())
    return sorted((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)


@lru_cache(maxsize=1)
def _folder() -> Path:
    """The folder, and a copy beside it. `..` of it is a temporary folder as well."""
    keeper = tempfile.TemporaryDirectory()
    _KEEPERS.append(keeper)
    folder = Path(keeper.name) / "deep"
    folder.mkdir()
    os.environ.pop("ORCHESTRATOR_STORE", None)
    os.environ.pop("ORCHESTRATOR_TRACEBACK", None)
    for name, text in {
        "good.yaml": _PIPELINE,
        "asks.yaml": _FAILING,
        "bad.yaml": "steps: [",
        "in.yaml": "number: 3",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "tasks.py").write_text("def fail():\n    raise ValueError('no')\n", encoding="utf-8")
    (folder / "none.db").write_bytes(b"not a database")
    with _quietly(folder):
        assert cli.main(["run", "good.yaml", "--id", "done"]) == ExitCode.DONE
        assert cli.main(["run", "asks.yaml", "--id", "asks"]) == ExitCode.WAITS
    shutil.copytree(folder, folder.parent / "kept")
    return folder


@contextlib.contextmanager
def _quietly(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(_Stream()), contextlib.redirect_stderr(_Stream()):
            yield
    finally:
        os.chdir(before)


_KEEPERS: list[Any] = []

# -- arguments ---------------------------------------------------------------------------------------------------------

_COMMANDS = tuple(name for commands in SECTIONS.values() for name in commands)


def _options() -> Iterator[str]:
    context = click.Context(root)
    for command in (root, *(root.get_command(context, name) for name in _COMMANDS)):
        for parameter in command.params if command else ():
            yield from parameter.opts if isinstance(parameter, click.Option) else ()


_OPTIONS = (*sorted({*_options()}), "-h", "--help", "--", "-", "--nothing")
_WORDS = (
    *("good.yaml", "bad.yaml", "asks.yaml", "in.yaml", "none.db", "nothing.yaml", ".", "..", "", "sub/new", _STORE),
    *("done", "asks", "ask", "sum", "each[0]", "none", "process", "disk", "running", "completed", "abandoned", "text"),
    *(
        "mermaid",
        "dot",
        "retry",
        "skip",
        "abort",
        "memory:",
        "sqlite:",
        "sqlite:none.db",
        "sqlite://x",
        "x:y",
        "0",
        "-1",
    ),
)
_INPUTS = ("text", "number", "whole", "yes", "many", "map", "file", "any", "other", "")


def _arguments(source: Source) -> list[str]:
    """A command and up to eight arguments."""
    first = source.text() if source.chance(12) else source.one_of(_COMMANDS)
    arguments = [first, *(part for _ in range(source.below(8)) for part in _argument(source))]
    if first == "run" and "--durability" not in arguments:
        arguments += ["--durability", "none"]  # commits to a disk say nothing about arguments
    return [argument.replace("\0", "") for argument in arguments]


def _argument(source: Source) -> list[str]:
    match source.below(7):
        case 0:
            return [source.one_of(_OPTIONS)]
        case 1 | 2:
            return [source.one_of(_WORDS)]
        case 3:
            name = _free(source) if source.chance(60) else source.one_of(_INPUTS)
            return ["-i", f"{name}={_free(source)}"]
        case 4:
            return [f"{source.one_of(_OPTIONS)}={source.one_of(_WORDS)}"]
        case _:
            return [_free(source)]


def _free(source: Source) -> str:
    """Any text that a shell can give, without `/`."""
    return source.take(source.below(40)).decode("utf-8", "surrogateescape").replace("/", "")


TARGET = Target(
    name="cli",
    check=check,
    plant=Plant(model, "read_text"),
    words=("[1, 2]", '{"a": 1}', "true", "null", "1e999", "0x1f", "=", "--", "${", "&a", "!!", "\x1b[31m"),
)

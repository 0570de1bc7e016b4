"""From references to pipelines: what `pipeline` of a step means, in the file where it stands.

A reference is a name of `pipelines` (of the pipeline itself, or of the one inside of whose file it is written), a file
seen from the folder of that file, `.` for that file's own pipeline, or, in Python, a pipeline. All that is reached from
a root is put under names that hold for the whole, each pipeline once: the root's own names, else the path of the file
seen from the root's folder. So what is recorded needs no file any more, and recursion is nothing special.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeGuard

from orchestrator.errors import Fault, PipelineFileError
from orchestrator.pipelines.accept import is_file
from orchestrator.pipelines.definition import SELF, PipelineDef, steps_of
from orchestrator.pipelines.positions import Finding, Positions
from orchestrator.pipelines.wording import Path as Place
from orchestrator.pipelines.wording import did_you_mean

#: Files that one pipeline may be made of, and their characters in all.
MAX_FILES = 200
MAX_CHARACTERS = 10_000_000


class Source(Protocol):
    """A pipeline as it was written."""

    @property
    def base_dir(self) -> Path | None:
        """The folder of its file."""
        ...

    @property
    def positions(self) -> Positions | None:
        """Where its nodes stand."""
        ...

    @property
    def stands_alone(self) -> bool:
        """Whether it is no part of another's file."""
        ...

    @property
    def pipeline(self) -> str:
        """Its name."""
        ...

    @property
    def fingerprint(self) -> str:
        """A short hash of its canonical form."""
        ...

    def written(self) -> Any:
        """Its definition, with references as they were written."""
        ...

    def canonical(self) -> PipelineDef:
        """Its canonical form; a copy."""
        ...


#: Reads a file, of which it is given the path and the name in messages; gives the size of its text as well.
Read = Callable[[Path, str], tuple[Source, int]]


@dataclass(slots=True)
class Linked:
    """What a root refers to: `refs` by the places of its own steps, the `members` under the names that hold for all."""

    refs: dict[Place, str] = field(default_factory=dict)
    members: dict[str, PipelineDef] = field(default_factory=dict)
    places: dict[str, tuple[Positions, Place]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    #: What is wrong within other files.
    faults: list[Fault] = field(default_factory=list)
    #: False where there was too much to look at all.
    is_complete: bool = True


@dataclass(slots=True)
class _Scope:
    """Where references of a pipeline are looked up."""

    ref: str
    definition: Any
    path: Place
    folder: Path | None
    positions: Positions | None
    place: Place = ()
    outer: _Scope | None = None
    folders: Mapping[str, str] = field(default_factory=dict)
    #: Name of a pipeline -> what it is called in the whole; None where it is at fault, which has been told.
    names: dict[str, str | None] = field(default_factory=dict)

    @property
    def unit(self) -> _Scope:
        """The scope of the whole file, or object, that it is part of."""
        return self.outer.unit if self.outer is not None else self


def link(
    definition: Any,
    folder: Path | None,
    read: Read,
    *,
    file: Path | None = None,
    positions: Positions | None = None,
    folders: Mapping[str, str] | None = None,
) -> Linked:
    """Resolve the references of a root's definition (which may have faults), and of all that it refers to.

    `folders` are those of the members of a recorded one, which are all there.
    """
    linker = _Linker(_Scope(SELF, definition, (), folder, positions, folders=folders or {}), read)
    if file is not None:
        linker.known[_identity(file)] = SELF
    linker.run()
    return linker.linked


def no_file(path: Path, label: str) -> tuple[Source, int]:
    """Reads nothing: for what comes from no file."""
    raise PipelineFileError(label, [Fault("no file is read for a pipeline that comes from none")])


def _is_source(value: Any) -> TypeGuard[Source]:
    return hasattr(value, "stands_alone")


def _identity(path: Path) -> str:
    return os.path.realpath(path)


class _TooLarge(Exception):
    """The pipeline is made of more than it may be."""


class _Linker:
    def __init__(self, root: _Scope, read: Read) -> None:
        self.linked = Linked()
        #: Identity of a pipeline -> its name in the whole; None where its file is at fault.
        self.known: dict[str, str | None] = {}
        self._root, self._read = root, read
        self._waiting = deque([root])
        self._files = self._characters = 0

    def run(self) -> None:
        try:
            while self._waiting:
                self._take(self._waiting.popleft())
        except _TooLarge:
            self.linked.is_complete = False

    def _take(self, scope: _Scope) -> None:
        entries = scope.definition.get("pipelines")
        if scope is not self._root:
            scope.definition.pop("pipelines", None)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            scope.names[name] = self._entry(scope, name, entry)
        for place, step in steps_of(scope.definition):
            if "pipeline" in step and (ref := self._step(scope, step["pipeline"], (*place, "pipeline"))) is not None:
                if scope is self._root:
                    self.linked.refs[place] = ref
                else:
                    step["pipeline"] = ref

    # -- references -----------------------------------------------------------------------------------------------

    def _entry(self, scope: _Scope, name: str, entry: Any) -> str | None:
        """What an entry of `pipelines` is called in the whole."""
        wanted = name if scope is self._root else f"{scope.ref}#{name}"
        place: Place = ("pipelines", name)
        if isinstance(entry, str):
            return self._file(scope, entry, place, wanted if scope is self._root else "") if is_file(entry) else None
        if not _is_source(entry):  # it has faults
            return None
        source: Source = entry
        if source.stands_alone:
            return self._object(source, wanted)
        folder = scope.folder
        if (there := scope.folders.get(name)) is not None:
            folder = folder / there if folder is not None else Path(there)
        return self._add(self._free(wanted), source, folder, scope.positions, (*scope.place, *place), scope)

    def _step(self, scope: _Scope, given: Any, place: Place) -> str | None:
        """What the reference of a step is called in the whole; a fault is noted once, at the place of the reference."""
        if not isinstance(given, str):
            return self._object(given, given.pipeline) if _is_source(given) else None
        if not given.strip() or "${" in given:  # reported for itself
            return None
        around: _Scope | None = scope
        known: list[str] = []
        while around is not None:
            if given in around.names:
                return around.names[given]
            known += around.names
            around = around.outer
        if given == SELF:
            return scope.unit.ref
        if is_file(given):
            return self._file(scope, given, place, "")
        hint = did_you_mean(given, known) or ("" if known else "name it in `pipelines`, or give a file: sub.yaml")
        self._note(scope, place, f"there is no pipeline {given!r}", hint)
        return None

    def _object(self, source: Source, wanted: str) -> str:
        """What a pipeline that was given as such is called in the whole; what it refers to is with it already."""
        key = f"{source.base_dir or ''}\n{source.fingerprint}"
        if (known := self.known.get(key)) is not None:
            return known
        ref = self.known[key] = self._free(wanted)
        own = source.canonical()
        members: dict[str, PipelineDef] = {SELF: own, **own.pop("pipelines", {})}
        names: dict[str, str] = {}
        for name, definition in members.items():
            names[name] = ref if name == SELF else self._free(f"{ref}#{name}")
            self.linked.members[names[name]] = definition
        for name, definition in members.items():
            for _, step in steps_of(definition):
                if "pipeline" in step:
                    step["pipeline"] = names[step["pipeline"]]
            seen = definition.pop("folder", "")
            folder = source.base_dir / seen if source.base_dir is not None else Path(seen) if seen else None
            place: Place = () if name == SELF else ("pipelines", name)
            home = source.positions.home(place) if source.positions is not None else None
            self._settle(names[name], definition, folder, home)
        return ref

    def _file(self, scope: _Scope, given: str, place: Place, name: str) -> str | None:
        if scope.folder is None or self._root.folder is None:
            hint = "give the pipeline itself: Pipeline.load(…)"
            self._note(scope, place, f"{given!r} has no folder to be seen from: this pipeline is in no file", hint)
            return None
        path = Path(os.path.normpath(scope.folder / given))
        try:
            key = _identity(path)
        except ValueError:  # a NUL in it, or half a surrogate
            self._note(scope, place, f"{given!r} is the name of no file")
            return None
        if key in self.known:
            if (ref := self.known[key]) is None:
                self._note(scope, place, f"the file {given!r} has faults", "they are shown once")
            return ref
        self.known[key] = None
        if path.is_fifo():  # to open one waits for whoever writes
            self._note(scope, place, f"{given!r} is a pipe, not a file")
            return None
        label = self._label(path)
        if self._files == MAX_FILES or self._characters > MAX_CHARACTERS:
            message = f"a pipeline is made of at most {MAX_FILES} files with {MAX_CHARACTERS:,} characters in all"
            self._note(scope, place, message)
            raise _TooLarge
        try:
            source, size = self._read(path, label)
        except PipelineFileError as error:
            self._faulty(scope, given, place, error, label)
            return None
        self._files += 1
        self._characters += size
        ref = self.known[key] = self._free(name or Path(os.path.relpath(path, self._root.folder)).as_posix())
        return self._add(ref, source, source.base_dir, source.positions, (), None)

    def _add(
        self,
        ref: str,
        source: Source,
        folder: Path | None,
        positions: Positions | None,
        place: Place,
        outer: _Scope | None,
    ) -> str:
        definition = source.written()
        self.linked.members[ref] = definition
        self._settle(ref, definition, folder, (positions, place) if positions is not None else None)
        self._waiting.append(_Scope(ref, definition, ("pipelines", ref), folder, positions, place, outer))
        return ref

    def _settle(self, ref: str, definition: Any, folder: Path | None, home: tuple[Positions, Place] | None) -> None:
        """Note where a member comes from."""
        if home is not None:
            self.linked.places[ref] = home
        if (seen := self._seen_from_root(folder)) is not None:
            definition["folder"] = seen

    # -- names ----------------------------------------------------------------------------------------------------

    def _free(self, wanted: str) -> str:
        """A name that no other pipeline of the whole has; those of the root are given first."""
        number, ref = 1, wanted
        while ref in self.linked.members or ref == SELF:
            number += 1
            ref = f"{wanted}~{number}"
        return ref

    def _label(self, path: Path) -> str:
        """What a file is called in messages: seen from where the root's was."""
        if self._root.folder is None or self._root.positions is None:
            return str(path)
        seen = Path(self._root.positions.file).parent / os.path.relpath(path, self._root.folder)
        return os.path.normpath(seen)

    def _seen_from_root(self, folder: Path | None) -> str | None:
        if folder is None:
            return None
        if self._root.folder is None:
            return Path(os.path.normpath(folder)).as_posix()
        seen = Path(os.path.relpath(folder, self._root.folder)).as_posix()
        return None if seen == "." else seen

    # -- faults ---------------------------------------------------------------------------------------------------

    def _note(self, scope: _Scope, place: Place, message: str, hint: str = "") -> None:
        self.linked.findings.append(Finding((*scope.path, *place), message, hint=hint))

    def _faulty(self, scope: _Scope, given: str, place: Place, error: PipelineFileError, label: str) -> None:
        first = error.faults[0]
        if len(error.faults) == 1 and not first.line:
            self._note(scope, place, f"{given!r}: {first.message}", first.hint)
            return
        faults = "a fault" if len(error.faults) == 1 else f"{len(error.faults)} faults"
        self._note(scope, place, f"the file {given!r} has {faults}, shown below")
        self.linked.faults += [replace(fault, file=fault.file or label) for fault in error.faults]

"""States of executions in a folder: one file each, replaced whole.

A save writes a new file beside the old one, brings it to the disk and puts it in the old one's place, so that a crash
at any moment leaves the old state or the new one. A file that cannot be read is an error, and stays where it is.

Any number of managers and processes may share a folder, each with its own format: who changes the files of an execution
holds its lock. Reading needs none as long as a file is found: it is whole. Only where there seems to be none is the
lock taken, since a file of another format may just have taken its place.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import DecodeError, InputError, StateFileError, UnknownTypeError
from orchestrator.execution.state.context import ExecutionContext
from orchestrator.execution.state.file_names import SUFFIXES, file_stem, id_of_stem, split_name
from orchestrator.execution.state.formats import Header, PersistenceFormat, read, write
from orchestrator.execution.state.keys import signing_key
from orchestrator.execution.state.locks import FolderLocks
from orchestrator.status import ENDED

_log = logging.getLogger(__name__)

_DAY_SECONDS = 86_400.0
#: A draft older than this was left by a process that died.
_DRAFT_SECONDS = 3_600.0


class FileStateManager:
    """Saves and loads execution contexts in one folder, which is made where it is missing. Thread-safe.

    `format` is how states are written; every format is found on loading, but a pickle is read only by a manager whose
    own format is one. Pickles are signed with `signing_key`, else with the text of `ORCHESTRATOR_SIGNING_KEY`, else
    with a key kept beside the states. A save deletes states of ended executions that were last saved more than
    `auto_cleanup_days` ago (0: never). Other managers and processes may use the same folder at the same time.
    """

    def __init__(
        self,
        state_dir: str | os.PathLike[str],
        format: PersistenceFormat = PersistenceFormat.JSON,
        auto_cleanup_days: float = 30,
        *,
        signing_key: str | bytes | None = None,
        clock: Clock | None = None,
    ) -> None:
        if auto_cleanup_days < 0:
            raise InputError(f"auto_cleanup_days is {auto_cleanup_days}; give a number of days, 0 to keep everything")
        self.state_dir = Path(state_dir)
        self.format = PersistenceFormat(format)
        self.auto_cleanup_days = auto_cleanup_days
        self._clock = clock or SystemClock()
        self._given_key = signing_key
        self._locks = FolderLocks(self.state_dir)
        self._saves_until_cleanup = 0
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    # -- the four verbs --------------------------------------------------------------------------------------------

    def save_state(self, context: ExecutionContext) -> bool:
        """Keep the context's state in place of an earlier one; True when it is on the disk.

        Raises EncodeError where a value cannot be written, and StateFileError where the file cannot.
        """
        stem = file_stem(context.execution_id)
        path = self.state_dir / (stem + SUFFIXES[self.format])
        with self._locks.writing(stem):
            state = context.export_state()
            header = Header(context.execution_id, str(state["status"]), self._clock.time(), self.format)
            self._replace(path, write(header, state, self._get_key), header.saved_at)
            _delete(other for other in self._files(stem) if other != path)
        self._clean_up_now_and_then(path)
        return True

    def load_state(self, execution_id: str) -> ExecutionContext | None:
        """The context as it was last saved; None where it never was.

        Raises StateFileError where the file is damaged or not to be trusted, UnknownTypeError where a value is of a
        class that is not imported.
        """
        stem = file_stem(execution_id)
        found = self._newest(stem)
        if found is None:
            with self._locks.reading(stem):
                found = self._newest(stem)
        if found is None:
            return None
        path, header, state = found
        if header.execution_id != execution_id:
            raise StateFileError(path, f"it holds the state of {header.execution_id!r}; was it renamed?")
        try:
            context = ExecutionContext.from_state(state, clock=self._clock)
        except InputError as exc:
            raise StateFileError(path, f"it holds no state: {exc}") from exc
        context.set_state_manager(self)
        return context

    def list_states(self) -> list[str]:
        """The ids of the executions that were saved, sorted; also of damaged files, where the name tells."""
        with self._locks.reading_all():
            ids = {self._id_of(path) for path, _stem, _kind in self._every()}
        return sorted(name for name in ids if name is not None)

    def delete_state(self, execution_id: str) -> bool:
        """Delete what was saved of an execution; False where there is nothing."""
        stem = file_stem(execution_id)
        with self._locks.reading(stem):
            if not self._files(stem):
                return False
        with self._locks.writing(stem):
            found = self._files(stem)
            _delete(sorted(found, key=_saved_at))  # the newest last: what stays after a crash is no older state
        return bool(found)

    # -- files -----------------------------------------------------------------------------------------------------

    @property
    def _get_key(self) -> Callable[[], bytes] | None:
        return (lambda: signing_key(self._given_key, self.state_dir)) if self.format.is_pickle else None

    def _files(self, stem: str) -> list[Path]:
        paths = (self.state_dir / (stem + suffix) for suffix in SUFFIXES.values())
        return [path for path in paths if path.is_file()]

    def _every(self) -> Iterator[tuple[Path, str, PersistenceFormat]]:
        for path in self.state_dir.iterdir():
            found = split_name(path.name)
            if found is not None and path.is_file():
                yield path, *found

    def _id_of(self, path: Path) -> str | None:
        found = split_name(path.name)
        known = id_of_stem(found[0]) if found else None
        if known is not None:
            return known
        with contextlib.suppress(StateFileError, UnknownTypeError, FileNotFoundError):
            return self._read(path)[0].execution_id
        return None

    def _newest(self, stem: str) -> tuple[Path, Header, Any] | None:
        """The file saved last, read; None where there is none. One that vanished was replaced: look again."""
        while found := self._files(stem):
            path = max(found, key=_saved_at)
            with contextlib.suppress(FileNotFoundError):
                return path, *self._read(path)
        return None

    def _read(self, path: Path) -> tuple[Header, Any]:
        """Raises FileNotFoundError where it has vanished, else StateFileError and UnknownTypeError."""
        data = _bytes(path)
        try:
            header, state = read(data, self._get_key)
        except UnknownTypeError:
            raise
        except (DecodeError, OSError) as exc:
            raise StateFileError(path, str(exc), self._hint(path)) from exc
        if not path.name.endswith(SUFFIXES[header.format]):
            raise StateFileError(path, f"it holds {header.format}, which is not what its name says")
        return header, state

    def _hint(self, path: Path) -> str:
        """What to do about a file that was not read."""
        stem, kind = split_name(path.name) or ("", self.format)
        if not kind.is_pickle or self.format.is_pickle:
            return "it is left as it is"
        known = id_of_stem(stem)
        return (
            f"if you trust it: FileStateManager({str(self.state_dir)!r}, PersistenceFormat.{kind.name})"
            f".load_state({'execution_id' if known is None else repr(known)})"
        )

    def _replace(self, path: Path, data: bytes, saved_at: float) -> None:
        draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.draft")
        try:
            draft.unlink(missing_ok=True)  # a crash left it, or somebody planted it
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
                with contextlib.suppress(FileNotFoundError):
                    os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
                file.write(data)
                file.flush()
                os.utime(file.fileno(), (saved_at, saved_at))
                os.fsync(file.fileno())
            draft.replace(path)
            _sync_folder(self.state_dir)
        except OSError as exc:
            raise StateFileError(path, f"it cannot be written: {exc}") from exc

    # -- clean-up --------------------------------------------------------------------------------------------------

    def _clean_up_now_and_then(self, saved: Path) -> None:
        """Look through the folder, one save in a hundred files: what a save costs does not depend on their number."""
        if not self.auto_cleanup_days:
            return
        self._saves_until_cleanup -= 1
        if self._saves_until_cleanup > 0:
            return
        with _told(self.state_dir):
            self._clean_up(saved)

    def _clean_up(self, saved: Path) -> None:
        files = list(self._every())
        self._saves_until_cleanup = len(files) // 100
        limit = self._clock.time() - self.auto_cleanup_days * _DAY_SECONDS
        for path, stem, _kind in files:
            with _told(path):
                if path != saved and _saved_at(path) < limit:
                    with self._locks.writing(stem):
                        self._delete_ended(path, limit)
        for draft in self.state_dir.glob(".*.draft"):
            with _told(draft):
                if _saved_at(draft) < self._clock.time() - _DRAFT_SECONDS:
                    with self._locks.writing(draft.name.split(".")[1]):  # not one that is being written
                        draft.unlink(missing_ok=True)

    def _delete_ended(self, path: Path, limit: float) -> None:
        """Delete a file that is whole and says that its execution has ended; what cannot be read is kept."""
        with contextlib.suppress(StateFileError, UnknownTypeError, FileNotFoundError):
            if self._read(path)[0].status in ENDED and _saved_at(path) < limit:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Log what goes wrong in a clean-up, and go on."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001 - logged: the save that cleans up has succeeded
        _log.warning("state_cleanup_failed: %s: %s: %s", path, type(exc).__name__, exc)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise StateFileError(path, f"it cannot be read: {exc}") from exc


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            raise StateFileError(path, f"it cannot be deleted: {exc}") from exc


def _saved_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _sync_folder(folder: Path) -> None:
    """Make the new name durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_execution_context(
    execution_id: str,
    pipeline_id: str,
    state_dir: str | os.PathLike[str] | None = None,
    auto_save: bool = True,
    *,
    clock: Clock | None = None,
) -> ExecutionContext:
    """A new context, kept in `state_dir` where one is given: with `auto_save` at every status change and checkpoint."""
    context = ExecutionContext(execution_id, pipeline_id, clock=clock)
    if state_dir is not None:
        context.set_state_manager(FileStateManager(state_dir, clock=clock), auto_save=auto_save)
    return context


def load_execution_context(
    execution_id: str, state_dir: str | os.PathLike[str], auto_save: bool = True, *, clock: Clock | None = None
) -> ExecutionContext | None:
    """The context as it was last saved in `state_dir`, which goes on being saved there; None where it never was."""
    manager = FileStateManager(state_dir, clock=clock)
    context = ExecutionContext.load_state(execution_id, manager)
    if context is not None:
        context.set_state_manager(manager, auto_save=auto_save)
    return context

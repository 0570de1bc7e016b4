"""A disk that takes no more, and one that takes nothing.

Really full is a tmpfs of a few hundred kilobytes, which only a superuser can mount. Else a limit on the size of each
file stands in for it: writes fall short at the same place, with another error.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.testing.torture.cage import Cage
from orchestrator.testing.torture.life import EXECUTION_ID
from orchestrator.testing.torture.models import chain
from orchestrator.testing.torture.scenario import Scenario, require_told
from orchestrator.testing.torture.trial import Trial

_STORE_FAILED = 5
_RUN = ("run", "pipeline.yaml", "--id", EXECUTION_ID)
#: About as much as the pipeline keeps; the store itself takes a hundred kilobytes.
_STEPS, _STEP_BYTES = 8, 90_000


def _full(trial: Trial) -> str:
    trial.begin(chain(_STEPS, seconds=0.0, size=_STEP_BYTES))
    kibibytes = trial.chance.randint(0, 1200)
    if trial.chance.random() < 0.5 and _can_mount(trial.folder):
        with _small_disk(trial.folder / "disk", kibibytes + 8) as disk:
            trial.store = disk / "journal.db"
            _fill(trial, None)
            _mount("remount,size=64m", disk)
            trial.finish()
        return "full tmpfs"
    _fill(trial, Cage(file_bytes=kibibytes * 1024))
    trial.finish()
    return "limit on files"


def _fill(trial: Trial, cage: Cage | None) -> None:
    """Run into the wall, and once more."""
    end = trial.command(*_RUN, cage=cage).end()
    require_told(end, (0, _STORE_FAILED), "error: ", "completed")
    if trial.check() is not None:
        end = trial.command("resume", EXECUTION_ID, cage=cage).end()
        require_told(end, (0, _STORE_FAILED), "error: ", "completed")
        trial.check()


@contextmanager
def _small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    folder.mkdir()
    _mount(f"size={kibibytes}k", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(options: str, folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)


def _can_mount(folder: Path) -> bool:
    if os.geteuid() != 0:
        return False
    try:
        with _small_disk(folder / "probe", 64):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _read_only(trial: Trial) -> str:
    """The modes of the file, of its folder, or of both forbid to write; a superuser gives up the right to pass them."""
    trial.begin(chain(4, seconds=0.0))
    folder = trial.folder / "kept"
    folder.mkdir()
    trial.store = folder / "journal.db"
    trial.abandon(trial.chance.randint(1, 8))
    what = trial.chance.choice(["file", "folder", "both"])
    files = [path for path in folder.iterdir() if what != "folder"]
    _set_modes(files, 0o400, folder, 0o700 if what == "file" else 0o500)
    cage = Cage(obeys_modes=True)
    end = trial.command("resume", EXECUTION_ID, cage=cage).end()
    require_told(end, (0, _STORE_FAILED), "completed", "may not", "cannot be", "could not")
    require_told(trial.command("list", cage=cage).end(), (0, _STORE_FAILED), EXECUTION_ID, "error: ")
    _set_modes([path for path in files if path.exists()], 0o600, folder, 0o700)
    trial.finish()
    return what


def _read_only_new(trial: Trial) -> str:
    """There is no store yet, and it cannot be made."""
    trial.begin(chain(2, seconds=0.0))
    folder = trial.folder / "kept"
    folder.mkdir(mode=0o500)
    trial.store = folder / "journal.db"
    require_told(trial.command(*_RUN, cage=Cage(obeys_modes=True)).end(), (_STORE_FAILED,), "cannot be", "may not")
    folder.chmod(0o700)
    trial.finish()
    return ""


def _set_modes(files: list[Path], mode: int, folder: Path, folder_mode: int) -> None:
    for path in files:
        path.chmod(mode)
    folder.chmod(folder_mode)


SCENARIOS = (
    Scenario("full", "no room on the disk, then room again", _full),
    Scenario("read-only", "the store or its folder may not be written, then may", _read_only),
    Scenario("read-only-new", "a store cannot be made, then can", _read_only_new),
)

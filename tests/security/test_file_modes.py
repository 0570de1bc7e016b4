"""What we write is for its owner alone, whatever the umask; what exists keeps its rights."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.security.sessions import program

from orchestrator.errors import StoreError
from orchestrator.execution.state import ExecutionContext, FileStateManager, PersistenceFormat
from orchestrator.storage.sqlite import SqliteStore

#: Everything that makes a file, in one process, and how it lies there while the store is open.
WRITES = """
import stat, sys
from pathlib import Path
from orchestrator.app import Orchestrator
from orchestrator.execution.state import ExecutionContext, FileStateManager, PersistenceFormat
from orchestrator.pipelines.model import Pipeline
folder = Path(sys.argv[1])
early = []
sys.addaudithook(lambda event, args: event == "os.chmod" and early.append(Path(args[0]).stat().st_mode & 0o777))
with Orchestrator(folder / "new" / "deep" / "journal.db") as orchestrator:
    pipeline = Pipeline(pipeline="p", steps=[{"id": "a", "set": {"large": "${'x' * 200000}"}},
                                             {"id": "c", "run": "echo hello"},
                                             {"id": "b", "call": "platform:node", "runner": "process"}])
    assert orchestrator.run(pipeline).status == "completed"
    for kind in PersistenceFormat:
        FileStateManager(folder / f"as-{kind}", kind).save_state(ExecutionContext("run", "p"))
    for path in sorted(folder.rglob("*")):
        print(f"{stat.S_IMODE(path.stat().st_mode):o}", path.relative_to(folder))
print(f"{early[0]:o}", "early")
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_no_file_or_folder_of_ours_is_open_to_others(tmp_path: Path) -> None:
    lines = program(WRITES, tmp_path, umask=0).splitlines()
    modes = {name: rights for rights, name in map(str.split, lines)}
    assert {"new/deep/journal.db-wal", "new/deep/journal.db-shm", "as-pickle/.signing-key"} <= modes.keys()
    expected = {name: "600" if "." in Path(name).name or "/.locks/" in name else "700" for name in modes}
    expected |= {name: "700" for name in modes if name.endswith("/.locks")} | {"early": "600"}
    assert modes == expected


def test_a_state_file_keeps_the_rights_that_somebody_gave_it(tmp_path: Path) -> None:
    manager = FileStateManager(tmp_path)
    manager.save_state(ExecutionContext("run", "p"))
    path = tmp_path / "run.state.json"
    path.chmod(0o640)
    manager.save_state(ExecutionContext("run", "p"))
    assert mode(path) == 0o640


@pytest.mark.parametrize("leads", ["to a file", "nowhere"])
def test_a_link_in_the_place_of_a_state_is_replaced_and_not_followed(tmp_path: Path, leads: str) -> None:
    victim = tmp_path / "victim"
    if leads == "to a file":
        victim.write_text("precious")
    states = tmp_path / "states"
    manager = FileStateManager(states, PersistenceFormat.MSGPACK)
    (states / "run.state.msgpack").symlink_to(victim)
    manager.save_state(ExecutionContext("run", "p"))
    assert not (states / "run.state.msgpack").is_symlink()
    assert (victim.read_text() if victim.exists() else "") == ("precious" if leads == "to a file" else "")


def test_a_link_in_the_place_of_a_draft_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    planted = program(PLANT, tmp_path / "states", victim)
    assert planted.strip() == "600 False"
    assert victim.read_text() == "precious"


PLANT = """
import os, sys, threading
from pathlib import Path
from orchestrator.execution.state import ExecutionContext, FileStateManager
states, victim = map(Path, sys.argv[1:])
manager = FileStateManager(states)
states.joinpath(f".run.state.json.{os.getpid()}-{threading.get_ident()}.draft").symlink_to(victim)
manager.save_state(ExecutionContext("run", "p"))
state = states / "run.state.json"
print(f"{state.stat().st_mode & 0o777:o}", state.is_symlink())
"""


def test_a_store_behind_a_link_is_the_file_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    SqliteStore(tmp_path / "link.db").close()
    assert (tmp_path / "link.db").is_symlink()
    assert mode(tmp_path / "real.db") == 0o600


def test_a_folder_in_the_place_of_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        SqliteStore(tmp_path)

"""States in files: six formats, and whatever may happen to a file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import pickle
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.execution.state.states import rich

from orchestrator.errors import DecodeError, EncodeError, InputError, StateFileError
from orchestrator.execution.state import (
    ExecutionContext,
    ExecutionStatus,
    FileStateManager,
    PersistenceFormat,
    create_execution_context,
    formats,
    load_execution_context,
)
from orchestrator.execution.state.file_names import file_stem, id_of_stem
from orchestrator.execution.state.formats import read
from orchestrator.testing.clock import FakeClock

FORMATS = list(PersistenceFormat)
PICKLES = [kind for kind in FORMATS if kind.is_pickle]
DAY = 86_400.0


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


# -- there and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_what_was_saved_comes_back(tmp_path: Path, kind: PersistenceFormat) -> None:
    manager = FileStateManager(tmp_path / "states", kind)
    context = rich()
    assert manager.save_state(context) is True
    assert manager.list_states() == ["run"]
    loaded = manager.load_state("run")
    assert loaded is not None
    assert loaded.export_state() == context.export_state()
    context.restore_checkpoint("charted")
    assert loaded.restore_checkpoint("charted") is True
    mine, theirs = context.export_state(), loaded.export_state()
    assert theirs["steps"] == mine["steps"]
    assert [theirs["variables"]["global_variables"][name]["value"] for name in ("when", "parts")] == [
        mine["variables"]["global_variables"][name]["value"] for name in ("when", "parts")
    ]
    assert sorted(loaded.nested_contexts) == ["inner", "lost"]
    assert manager.delete_state("run") is True
    assert manager.delete_state("run") is False
    assert manager.load_state("run") is None
    assert manager.list_states() == []


def test_the_verbs_of_a_context(tmp_path: Path) -> None:
    manager = FileStateManager(tmp_path)
    context = ExecutionContext("run", "p")
    assert context.save_state() is False
    context.set_state_manager(manager)
    assert context.save_state() is True
    loaded = ExecutionContext.load_state("run", manager)
    assert loaded is not None
    loaded.start()
    assert loaded.save_state() is True
    again = ExecutionContext.load_state("run", manager)
    assert again is not None
    assert again.status is ExecutionStatus.RUNNING
    assert ExecutionContext.load_state("other", manager) is None


def test_saved_by_itself(tmp_path: Path) -> None:
    context = create_execution_context("run", "p", tmp_path)
    assert load_execution_context("run", tmp_path) is None
    context.start()
    for number in range(5):
        context.complete_step(f"s{number}")
    loaded = load_execution_context("run", tmp_path)
    assert loaded is not None
    assert (loaded.completed_steps, len(loaded.checkpoints)) == (5, 2)
    loaded.complete()
    ended = load_execution_context("run", tmp_path)
    assert ended is not None
    assert ended.status is ExecutionStatus.COMPLETED


def test_not_saved_by_itself(tmp_path: Path) -> None:
    context = create_execution_context("run", "p", tmp_path, auto_save=False)
    context.start()
    assert files(tmp_path) == []
    assert context.save_state() is True
    create_execution_context("other", "p").start()
    assert len(files(tmp_path)) == 1


def test_every_format_is_found_and_the_last_save_counts(tmp_path: Path) -> None:
    clock = FakeClock()
    context = ExecutionContext("run", "p", clock=clock)
    for kind in (PersistenceFormat.MSGPACK, PersistenceFormat.COMPRESSED_JSON, PersistenceFormat.JSON):
        context.start_step(kind)
        FileStateManager(tmp_path, kind, clock=clock).save_state(context)
        clock.advance(1)
        assert len(files(tmp_path)) == 1
        loaded = FileStateManager(tmp_path, PersistenceFormat.COMPRESSED_MSGPACK).load_state("run")
        assert loaded is not None
        assert loaded.current_step_id == kind


def test_a_value_that_cannot_be_written_leaves_the_old_state(tmp_path: Path) -> None:
    manager = FileStateManager(tmp_path)
    context = ExecutionContext("run", "p")
    context.variable_manager.set_variable("x", 1)
    manager.save_state(context)
    before = files(tmp_path)[0].read_bytes()
    context.variable_manager.set_variable("lock", threading.Lock())
    with pytest.raises(EncodeError, match="lock"):
        manager.save_state(context)
    assert files(tmp_path)[0].read_bytes() == before


def test_a_save_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = FileStateManager(tmp_path)
    context = ExecutionContext("run", "p")
    manager.save_state(context)
    before = files(tmp_path)[0].read_bytes()
    context.start()

    def crash(self: Path, target: Path) -> Path:
        raise OSError("the power went")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(StateFileError, match="cannot be written"):
        manager.save_state(context)
    assert [path.read_bytes() for path in files(tmp_path)] == [before]


def test_many_threads_save_at_once(tmp_path: Path) -> None:
    manager = FileStateManager(tmp_path, PersistenceFormat.COMPRESSED_MSGPACK)
    shared = ExecutionContext("shared", "p")
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            own = ExecutionContext(f"own-{number}", "p")
            for i in range(5):
                own.complete_step(f"s{i}")
                shared.complete_step(f"{number}-{i}")
                manager.save_state(own)
                manager.save_state(shared)
        except BaseException as exc:  # noqa: BLE001 - shown below
            faults.append(exc)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    loaded = manager.load_state("shared")
    assert loaded is not None
    assert loaded.completed_steps == 30
    assert len(manager.list_states()) == 7


# -- damage ------------------------------------------------------------------------------------------------------------


def damaged(whole: bytes) -> Iterator[bytes]:
    """The file cut at every byte, altered in every byte, and made longer."""
    for place, byte in enumerate(whole):
        yield whole[:place]
        yield whole[:place] + bytes([byte ^ 0x20]) + whole[place + 1 :]
    yield whole + b" "


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_was_cut_or_altered_anywhere_is_refused(tmp_path: Path, kind: PersistenceFormat) -> None:
    manager = FileStateManager(tmp_path, kind, signing_key="k")
    context = ExecutionContext("run", "p", clock=FakeClock())
    context.start_step("a")
    manager.save_state(context)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    for place, bad in enumerate(damaged(whole)):
        with pytest.raises(DecodeError):
            read(bad, lambda: b"k")
        if place % 100 == 0:
            path.write_bytes(bad)
            with pytest.raises(StateFileError) as refused:
                manager.load_state("run")
            assert str(path) in str(refused.value)
            assert path.read_bytes() == bad
    path.write_bytes(whole)
    assert manager.load_state("run") is not None


def test_a_state_is_of_the_execution_that_its_name_says(tmp_path: Path) -> None:
    manager = FileStateManager(tmp_path)
    manager.save_state(ExecutionContext("one", "p"))
    (path,) = files(tmp_path)
    path.rename(tmp_path / path.name.replace("one", "other"))
    with pytest.raises(StateFileError, match="'one'"):
        manager.load_state("other")


def test_a_file_of_another_format_under_the_name_is_refused(tmp_path: Path) -> None:
    FileStateManager(tmp_path, PersistenceFormat.MSGPACK).save_state(ExecutionContext("run", "p"))
    (path,) = files(tmp_path)
    path.rename(tmp_path / "run.state.json")
    with pytest.raises(StateFileError, match="msgpack"):
        FileStateManager(tmp_path).load_state("run")


def test_a_checked_file_that_holds_no_state_is_refused(tmp_path: Path) -> None:
    header = formats.Header("run", "running", 1.0, PersistenceFormat.JSON)
    (tmp_path / "run.state.json").write_bytes(formats.write(header, {"format_version": 1}, None))
    with pytest.raises(StateFileError, match="'execution_id' is missing"):
        FileStateManager(tmp_path).load_state("run")
    newer = formats.Header("run", "running", 1.0, PersistenceFormat.JSON, version=99)
    (tmp_path / "run.state.json").write_bytes(formats.write(newer, {}, None))
    with pytest.raises(StateFileError, match="format 99"):
        FileStateManager(tmp_path).load_state("run")


def compressed(*frames: bytes) -> bytes:
    """A file of a compressed state whose checksum fits, and whose payload is these frames."""
    head = formats.Header("run", "running", 1.0, PersistenceFormat.COMPRESSED_JSON)._write()
    rest = len(head).to_bytes(4, "big") + head + b"".join(frames)
    return b"orcstate" + hashlib.sha256(b"orcstate" + rest).digest() + rest


def test_a_frame_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    frame = bytearray(formats.zstd.compress(b"0" * 100_000))
    assert formats.zstd.get_frame_info(bytes(frame)).decompressed_size == 100_000
    frame[5:9] = (0xFF, 0xFF, 0xFF, 0x7F)  # what it claims to hold
    (tmp_path / "run.state.json.zst").write_bytes(compressed(bytes(frame)))
    with pytest.raises(StateFileError):
        FileStateManager(tmp_path).load_state("run")


def test_a_payload_is_one_whole_frame() -> None:
    frame, empty = formats.zstd.compress(b"[1]"), formats.zstd.compress(b"")
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
    assert read(compressed(frame), None)[1] == [1]
    for frames in ((frame, frame), (frame, empty), (empty, frame), (skipped, frame), (frame, b"x"), (frame[:-1],), ()):
        with pytest.raises(DecodeError, match="one whole Zstandard frame"):
            read(compressed(*frames), None)


def test_a_bomb_of_many_frames_takes_no_memory() -> None:
    bomb = compressed(formats.zstd.compress(b" " * 1_000), *[formats.zstd.compress(b" " * (1 << 22))] * 20)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="one whole Zstandard frame"):
            read(bomb, None)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_a_state_that_is_too_large_is_neither_written_nor_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = FileStateManager(tmp_path, PersistenceFormat.COMPRESSED_JSON)
    manager.save_state(ExecutionContext("run", "p"))
    monkeypatch.setattr(formats, "_MAX_BYTES", 99)
    with pytest.raises(EncodeError, match="99 at the most"):
        manager.save_state(ExecutionContext("run", "p"))
    with pytest.raises(StateFileError, match="more than 99 bytes"):
        manager.load_state("run")


# -- headers -----------------------------------------------------------------------------------------------------------

HEADER = {"execution_id": "old", "status": "cancelled", "saved_at": 1.0, "format": "json", "version": 1}


def with_header(header: Any) -> bytes:
    """A file whose checksum fits, with this header."""
    rest = b'","header":' + json.dumps(header).encode() + b',"state":{}}\n'
    return b'{"checksum":"' + hashlib.sha256(rest).hexdigest().encode() + rest


def bad_headers() -> Iterator[Any]:
    yield from (None, [], "header", {}, {**HEADER, "surprise": 1})
    for name in HEADER:
        yield {key: value for key, value in HEADER.items() if key != name}
        for wrong in ([], {}, None, True, "flying", -7, float("nan"), float("inf"), 10**400):
            fits = (name == "execution_id" and wrong == "flying") or (name == "saved_at" and wrong == -7)
            if not fits:
                yield {**HEADER, name: wrong}


def test_a_header_that_is_wrong_is_refused_and_disturbs_no_other(tmp_path: Path) -> None:
    bad = {f"old-{number}": with_header(header) for number, header in enumerate(bad_headers())}
    for name, data in bad.items():
        with pytest.raises(DecodeError):
            read(data, None)
        (tmp_path / f"{name}.state.json").write_bytes(data)
        os.utime(tmp_path / f"{name}.state.json", (0, 0))
    manager = FileStateManager(tmp_path)
    assert manager.save_state(ExecutionContext("run", "p")) is True
    assert manager.list_states() == sorted([*bad, "run"])
    for name, data in bad.items():
        with pytest.raises(StateFileError, match=f"{name}.state.json"):
            manager.load_state(name)
        assert (tmp_path / f"{name}.state.json").read_bytes() == data


def test_a_header_that_is_right() -> None:
    assert read(with_header(HEADER), None)[0] == formats.Header("old", "cancelled", 1.0, PersistenceFormat.JSON)


# -- pickles -----------------------------------------------------------------------------------------------------------


class Trap:
    """Leaves a trace where it is unpickled."""

    sprung = False

    def __reduce__(self) -> Any:
        return (_spring, ())


def _spring() -> None:
    Trap.sprung = True


@pytest.fixture(autouse=True)
def untrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    Trap.sprung = False
    monkeypatch.delenv("ORCHESTRATOR_SIGNING_KEY", raising=False)


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_that_we_did_not_sign_is_never_read(tmp_path: Path, kind: PersistenceFormat) -> None:
    manager = FileStateManager(tmp_path, kind, signing_key="ours")
    manager.save_state(ExecutionContext("run", "p"))
    (path,) = files(tmp_path)
    signed = path.read_bytes()
    size = int.from_bytes(signed[40:44], "big")
    evil = pickle.dumps(Trap())
    for forged in (
        evil,  # unsigned
        signed[: 44 + size] + evil,  # the signature of something else
        signed[:8] + bytes(32) + signed[40 : 44 + size] + evil,
    ):
        path.write_bytes(forged)
        with pytest.raises(StateFileError):
            manager.load_state("run")
    path.write_bytes(signed)
    with pytest.raises(StateFileError, match="another key"):
        FileStateManager(tmp_path, kind, signing_key="theirs").load_state("run")
    assert not Trap.sprung
    assert manager.load_state("run") is not None


@pytest.mark.parametrize("kind", PICKLES)
def test_no_pickle_is_read_unless_asked_for(tmp_path: Path, kind: PersistenceFormat) -> None:
    saved = ExecutionContext("run", "p")
    FileStateManager(tmp_path, kind).save_state(saved)
    says: list[str] = []
    for load in (FileStateManager(tmp_path).load_state, lambda name: load_execution_context(name, tmp_path)):
        with pytest.raises(StateFileError, match="it is a pickle") as refused:
            load("run")
        says.append(refused.value.hint)
    assert (
        says
        == [f"if you trust it: FileStateManager('{tmp_path}', PersistenceFormat.{kind.name}).load_state('run')"] * 2
    )
    names = {"FileStateManager": FileStateManager, "PersistenceFormat": PersistenceFormat}
    loaded = eval(says[0].removeprefix("if you trust it: "), names)
    assert loaded.export_state() == saved.export_state()


def test_a_pickle_with_a_long_name_says_how_to_read_it(tmp_path: Path) -> None:
    FileStateManager(tmp_path, PersistenceFormat.PICKLE).save_state(ExecutionContext("x" * 300, "p"))
    with pytest.raises(StateFileError, match=r"PersistenceFormat\.PICKLE\)\.load_state\(execution_id\)"):
        FileStateManager(tmp_path).load_state("x" * 300)


def test_the_key_comes_from_the_argument_the_environment_or_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = PersistenceFormat.PICKLE
    own = FileStateManager(tmp_path / "file", kind)
    own.save_state(ExecutionContext("run", "p"))
    key = tmp_path / "file" / ".signing-key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert own.list_states() == ["run"]
    assert FileStateManager(tmp_path / "file", kind).load_state("run") is not None
    monkeypatch.setenv("ORCHESTRATOR_SIGNING_KEY", "secret")
    with pytest.raises(StateFileError, match="another key"):
        own.load_state("run")
    FileStateManager(tmp_path / "env", kind).save_state(ExecutionContext("run", "p"))
    assert not (tmp_path / "env" / ".signing-key").exists()
    monkeypatch.delenv("ORCHESTRATOR_SIGNING_KEY")
    assert FileStateManager(tmp_path / "env", kind, signing_key=b"secret").load_state("run") is not None
    key.chmod(0o644)
    with pytest.raises(StateFileError, match="chmod 600"):
        own.load_state("run")


def test_two_managers_that_make_the_key_at_once_have_the_same(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    faults: list[BaseException] = []

    def save(number: int) -> None:
        manager = FileStateManager(tmp_path, PersistenceFormat.PICKLE)
        barrier.wait()
        try:
            manager.save_state(ExecutionContext(f"run-{number}", "p"))
        except BaseException as exc:  # noqa: BLE001 - shown below
            faults.append(exc)

    threads = [threading.Thread(target=save, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    manager = FileStateManager(tmp_path, PersistenceFormat.PICKLE)
    assert all(manager.load_state(f"run-{i}") is not None for i in range(8))


# -- names -------------------------------------------------------------------------------------------------------------

IDS = [
    "../x",
    "/etc/passwd",
    "..",
    ".",
    "a/b",
    "a\\b",
    "A",
    "a",
    "%41",
    "con",
    "nul\0byte",
    "x" * 300,
    "x" * 299 + "y",
    "é" * 200,
    "~" * 3,
    " leading",
    "trailing.",
    "run.state.json",
    ".signing-key",
    "日本",
    "a\nb",
]


def test_no_id_reaches_outside_or_meets_another(tmp_path: Path) -> None:
    folder = tmp_path / "states"
    manager = FileStateManager(folder)
    for name in IDS:
        assert manager.save_state(ExecutionContext(name, "p")) is True
    assert list(tmp_path.iterdir()) == [folder]
    assert len(files(folder)) == len(IDS)
    assert len({path.name.casefold() for path in files(folder)}) == len(IDS)
    assert all(len(path.name) < 200 for path in files(folder))
    assert manager.list_states() == sorted(IDS)
    for name in IDS:
        loaded = manager.load_state(name)
        assert loaded is not None
        assert loaded.execution_id == name
    for name in IDS:
        assert manager.delete_state(name) is True
    assert files(folder) == []


@pytest.mark.parametrize("bad", ["", None, 3, "half \ud800"])
def test_an_id_that_is_no_id(tmp_path: Path, bad: Any) -> None:
    manager = FileStateManager(tmp_path)
    for verb in (manager.load_state, manager.delete_state):
        with pytest.raises(InputError):
            verb(bad)


def test_a_name_says_which_id_it_is() -> None:
    assert file_stem("run-1_a") == "run-1_a"
    for name in IDS:
        assert id_of_stem(file_stem(name)) in (name, None)


# -- clean-up ----------------------------------------------------------------------------------------------------------


def ended(name: str, clock: FakeClock) -> ExecutionContext:
    context = ExecutionContext(name, "p", clock=clock)
    context.cancel_execution()
    return context


def test_old_states_of_ended_executions_go_at_a_save(tmp_path: Path) -> None:
    clock = FakeClock()
    manager = FileStateManager(tmp_path, auto_cleanup_days=30, clock=clock)
    manager.save_state(ended("done", clock))
    manager.save_state(ExecutionContext("open", "p", clock=clock))
    (tmp_path / "broken.state.json").write_bytes(b"{}")
    (tmp_path / "notes.txt").write_text("mine")
    clock.advance(29 * DAY)
    manager.save_state(ended("later", clock))
    assert manager.list_states() == ["broken", "done", "later", "open"]
    clock.advance(2 * DAY)
    for path in (tmp_path / "broken.state.json", tmp_path / "notes.txt"):
        os.utime(path, (0, 0))
    assert manager.load_state("done") is not None  # a load deletes nothing
    manager.save_state(ExecutionContext("new", "p", clock=clock))
    assert manager.list_states() == ["broken", "later", "new", "open"]
    assert (tmp_path / "notes.txt").exists()


def test_clean_up_may_be_turned_off(tmp_path: Path) -> None:
    clock = FakeClock()
    manager = FileStateManager(tmp_path, auto_cleanup_days=0, clock=clock)
    manager.save_state(ended("done", clock))
    clock.advance(1000 * DAY)
    manager.save_state(ended("other", clock))
    assert manager.list_states() == ["done", "other"]
    with pytest.raises(InputError):
        FileStateManager(tmp_path, auto_cleanup_days=-1)


def test_what_a_crash_left_goes_too(tmp_path: Path) -> None:
    clock = FakeClock()
    left = tmp_path / ".run.state.json.1-2.draft"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    FileStateManager(tmp_path, clock=clock).save_state(ExecutionContext("run", "p", clock=clock))
    assert not left.exists()


def test_a_clean_up_that_fails_fails_no_save(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    manager = FileStateManager(tmp_path, clock=clock)
    manager.save_state(ended("done", clock))
    stuck, left = tmp_path / ".a.state.json.1-2.draft", tmp_path / ".b.state.json.1-2.draft"
    stuck.mkdir()  # it cannot be unlinked
    left.write_bytes(b"half")
    for path in (stuck, left):
        os.utime(path, (0, 0))
    clock.advance(31 * DAY)
    assert manager.save_state(ExecutionContext("run", "p", clock=clock)) is True
    assert (stuck.exists(), left.exists(), manager.list_states()) == (True, False, ["run"])
    (record,) = caplog.records
    assert (record.levelname, str(stuck) in record.getMessage()) == ("WARNING", True)


def test_the_header_can_be_read_by_eye(tmp_path: Path) -> None:
    clock = FakeClock()
    FileStateManager(tmp_path, clock=clock).save_state(ExecutionContext("run", "p", clock=clock))
    tree = json.loads(files(tmp_path)[0].read_text())
    assert tree["header"] == {
        "execution_id": "run",
        "status": "pending",
        "saved_at": clock.time(),
        "format": "json",
        "version": 1,
    }
    assert dt.datetime.fromtimestamp(files(tmp_path)[0].stat().st_mtime, dt.UTC).year == 2027

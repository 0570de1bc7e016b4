"""What is small on the disk stays small in memory, or is refused: frames, depth, numbers."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from tests.security.hostile_reads import forged
from tests.security.sessions import command

from orchestrator.errors import DecodeError, InputError, OrchestratorError
from orchestrator.execution.state import PersistenceFormat, formats
from orchestrator.journal.records import decode_body
from orchestrator.pipelines.model import Pipeline, bind_inputs
from orchestrator.storage import sqlite_blobs
from orchestrator.storage.sqlite_blobs import PART_BYTES, joined
from orchestrator.types import BlobHash

#: One block of a Zstandard frame (RFC 8878, 3.1.1.2): the same byte 128 KiB long.
_BLOCK_BYTES = 1 << 17


def frame(blocks: int) -> bytes:
    """A frame of so many such blocks, which says nothing of its size: four bytes for 128 KiB."""
    block = (1 << 1 | _BLOCK_BYTES << 3).to_bytes(3, "little") + b"\0"
    last = (1 | 1 << 1 | _BLOCK_BYTES << 3).to_bytes(3, "little") + b"\0"
    return bytes.fromhex("28b52ffd0038") + block * (blocks - 1) + last


def peak_of(read: Callable[[], object]) -> int:
    """The most memory, in bytes, that Python took for a reading that is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_bomb_is_one() -> None:
    assert len(sqlite_blobs.zstd.decompress(frame(64))) == 64 * _BLOCK_BYTES
    assert len(frame(4096)) < 20_000


def test_a_part_of_a_large_value_is_never_longer_than_a_part() -> None:
    rows = [(0, 1, frame(512))]  # 64 MiB
    assert peak_of(lambda: joined(BlobHash(bytes(32)), rows)) < 4 * PART_BYTES


def test_a_record_of_the_journal_is_one_frame() -> None:
    first = formats.zstd.compress(ormsgpack.packb([1, []]))
    assert decode_body(b"\x01" + first) == []
    assert peak_of(lambda: decode_body(b"\x01" + first + frame(512))) < PART_BYTES
    with pytest.raises(DecodeError):
        decode_body(b"\x01" + first[:-1])


def test_a_record_and_a_state_have_a_greatest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.journal.records._MAX_BODY_BYTES", PART_BYTES)
    monkeypatch.setattr("orchestrator.execution.state.formats._MAX_BYTES", PART_BYTES)
    assert peak_of(lambda: decode_body(b"\x01" + frame(512))) < 4 * PART_BYTES
    kind = PersistenceFormat.COMPRESSED_JSON
    header = formats.Header("run", "running", 0.0, kind)
    monkeypatch.setattr(formats, "_payload", lambda kind, state: frame(512))
    bomb = formats.write(header, {}, None)
    assert peak_of(lambda: formats.read(bomb, None)) < 4 * PART_BYTES


def nested(depth: int, innermost: bytes = b"\x90") -> bytes:
    return b"\x91" * depth + innermost


@pytest.mark.parametrize("depth", [100, 500, 900, 5_000, 100_000])
def test_a_record_nested_without_end_is_damaged(depth: int) -> None:
    row = b"\x93" + ormsgpack.packb(0.0) + ormsgpack.packb("completed") + nested(depth)
    try:
        decode_body(b"\0\x92\x01\x91" + row)
    except DecodeError as exc:
        assert "damaged" in str(exc)
    else:
        assert depth < 1000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "9" * 1_000_000, "[" * 5_000 + "]" * 5_000])
def test_a_text_of_the_command_line_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = command("answer", "e", "a", "skip", "--value", text)
    assert "is no JSON" in shown
    assert len(shown) < 2_000
    pipeline = Pipeline(pipeline="p", inputs={"x": {"type": "any"}}, steps=[{"id": "a", "set": {"y": 1}}])
    with pytest.raises(InputError):
        bind_inputs(pipeline, {"x": text}, base_dir=None, working_dir=tmp_path, as_text=True)


def test_a_state_of_json_nested_without_end_is_damaged() -> None:
    payload = b'{"a":' * 10_000
    for kind in (PersistenceFormat.JSON, PersistenceFormat.COMPRESSED_JSON):
        body = forged(kind, payload)
        with pytest.raises(DecodeError):
            formats.read(body, None)


def test_a_number_without_end_is_a_number_or_refused() -> None:
    text: dict[str, Any] = {"$int": "0x" + "f" * 1_000_000}
    for tree in (text, {"$int": "9" * 100_000 + "x"}, {"$decimal": "1e999999999"}, {"$range": [0, 10**18, 1]}):
        data = json.dumps({"value": tree}).encode()
        try:
            formats.read(forged(PersistenceFormat.JSON, data), None)
        except OrchestratorError as exc:
            assert len(str(exc)) < 500

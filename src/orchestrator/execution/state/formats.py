"""Six ways to write a state down, each safe to read back: the envelope of a state file.

A file is a header, a checksum and a payload. The checksum covers every other byte of the file, and the header has a
fixed place, so that a file that was cut anywhere or altered in any byte is refused before anything of it is read:

    JSON     {"checksum":"<64 hex digits>","header":{…},"state":{…}}
    others   magic, 32 bytes of checksum, length of the header (4 bytes), header as JSON, payload

The checksum is SHA-256; for pickle it is an HMAC with a key, because reading a pickle runs what it says, and whoever
can write the file could make a plain checksum. A pickle is read only by who asked for pickle.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, TypeVar

from orchestrator.errors import DecodeError, EncodeError
from orchestrator.journal.codec import from_json, pack, to_json, unpack
from orchestrator.status import ExecutionStatus

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class PersistenceFormat(StrEnum):
    """How a state is written down. The pickles are signed; the others need no trust."""

    JSON = auto()
    PICKLE = auto()
    COMPRESSED_JSON = auto()
    COMPRESSED_PICKLE = auto()
    MSGPACK = auto()
    COMPRESSED_MSGPACK = auto()

    @property
    def is_pickle(self) -> bool:
        """Whether reading it runs code, so that it is signed."""
        return self in (PersistenceFormat.PICKLE, PersistenceFormat.COMPRESSED_PICKLE)

    @property
    def is_compressed(self) -> bool:
        """Whether its payload is a Zstandard frame."""
        return self.value.startswith("compressed")


#: The version of the envelope.
ENVELOPE_VERSION = 1
_MAGIC = b"orcstate"
_DIGEST = hashlib.sha256().digest_size
_JSON_START, _JSON_HEADER, _JSON_STATE = b'{"checksum":"', b'","header":', b',"state":'
_JSON_SUM = slice(len(_JSON_START), len(_JSON_START) + 2 * _DIGEST)
#: No state is larger once decompressed; a damaged file cannot ask for more memory than this.
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Header:
    """What a state file says of itself. `saved_at` is seconds since the epoch."""

    execution_id: str
    status: str
    saved_at: float
    format: PersistenceFormat
    version: int = ENVELOPE_VERSION

    def _write(self) -> bytes:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def _read(cls, tree: Any) -> Header:
        version = tree.get("version") if isinstance(tree, Mapping) else None
        if type(version) is not int or version < 1:
            raise DecodeError("its header cannot be read")
        if version > ENVELOPE_VERSION:
            raise DecodeError(f"it was written in format {version}; this version reads up to {ENVELOPE_VERSION}")
        if tree.keys() != set(cls.__slots__):
            raise DecodeError("its header cannot be read: fields are missing or not known")
        return cls(
            _text(tree, "execution_id"),
            _word(ExecutionStatus, tree, "status"),
            _seconds(tree, "saved_at"),
            _word(PersistenceFormat, tree, "format"),
            version,
        )


_Word = TypeVar("_Word", bound=StrEnum)


def _text(tree: Mapping[str, Any], name: str) -> str:
    if not isinstance(tree[name], str):
        raise DecodeError(f"its header cannot be read: {name!r} is no text")
    return str(tree[name])


def _word(kind: type[_Word], tree: Mapping[str, Any], name: str) -> _Word:
    try:
        return kind(_text(tree, name))
    except ValueError as exc:
        raise DecodeError(f"its header cannot be read: {exc}") from None


def _seconds(tree: Mapping[str, Any], name: str) -> float:
    found = tree[name]
    if type(found) not in (int, float) or not abs(found) <= sys.float_info.max:
        raise DecodeError(f"its header cannot be read: {name!r} is no number of seconds")
    return float(found)


#: Gives the key that pickles are signed with; None where pickle was not asked for.
GetKey = Callable[[], bytes] | None


def write(header: Header, state: Mapping[str, Any], get_key: GetKey) -> bytes:
    """The bytes of a state file. Raises EncodeError where a value of the state cannot be written."""
    payload = _payload(header.format, state)
    if header.format is PersistenceFormat.JSON:
        rest = _JSON_HEADER + header._write() + _JSON_STATE + payload + b"}\n"
        return _JSON_START + hashlib.sha256(rest).hexdigest().encode() + rest
    head = header._write()
    rest = len(head).to_bytes(4, "big") + head + payload
    return _MAGIC + _digest(header.format, rest, get_key) + rest


def read(data: bytes, get_key: GetKey) -> tuple[Header, Any]:
    """The header and the state of a file. Raises DecodeError (what is wrong with it), before anything is unpickled."""
    return _read_json(data) if data.startswith(_JSON_START) else _read_framed(data, get_key)


def _payload(kind: PersistenceFormat, state: Mapping[str, Any]) -> bytes:
    match kind:
        case PersistenceFormat.JSON | PersistenceFormat.COMPRESSED_JSON:
            data = json.dumps(to_json(state), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        case PersistenceFormat.MSGPACK | PersistenceFormat.COMPRESSED_MSGPACK:
            data = pack(state)
        case _:
            data = _pickle(state)
    return _compress(data) if kind.is_compressed else data


def _pickle(state: Mapping[str, Any]) -> bytes:
    try:
        return pickle.dumps(state)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as exc:
        raise EncodeError("", "value that pickle refuses", str(exc)) from exc


def _digest(kind: PersistenceFormat, rest: bytes, get_key: GetKey) -> bytes:
    if not kind.is_pickle:
        return hashlib.sha256(_MAGIC + rest).digest()
    if get_key is None:
        raise DecodeError(
            "it is a pickle, and reading one runs what it says: only a manager whose format is a pickle reads it"
        )
    return hmac.digest(get_key(), _MAGIC + rest, "sha256")


def _read_json(data: bytes) -> tuple[Header, Any]:
    rest = data[_JSON_SUM.stop :]
    if not hmac.compare_digest(hashlib.sha256(rest).hexdigest().encode(), data[_JSON_SUM]):
        raise DecodeError("it was cut or altered: its checksum does not fit")
    tree = _loads(data)
    if not isinstance(tree, dict) or tree.keys() != {"checksum", "header", "state"}:
        raise DecodeError("it is no state file")
    header = Header._read(tree["header"])
    if header.format is not PersistenceFormat.JSON:
        raise DecodeError("its header names another format")
    return header, from_json(tree["state"])


def _read_framed(data: bytes, get_key: GetKey) -> tuple[Header, Any]:
    body = data[len(_MAGIC) + _DIGEST :]
    size = int.from_bytes(body[:4], "big")
    if not data.startswith(_MAGIC) or len(body) < 4 + size:
        raise DecodeError("it was cut, or is no state file")
    header = Header._read(_loads(body[4 : 4 + size]))
    if not hmac.compare_digest(_digest(header.format, body, get_key), data[len(_MAGIC) : len(_MAGIC) + _DIGEST]):
        raise DecodeError(
            "its signature does not fit: it was altered, or signed with another key"
            if header.format.is_pickle
            else "it was cut or altered: its checksum does not fit"
        )
    return header, _state(header.format, body[4 + size :])


def _state(kind: PersistenceFormat, payload: bytes) -> Any:
    data = _decompress(payload) if kind.is_compressed else payload
    match kind:
        case PersistenceFormat.JSON | PersistenceFormat.COMPRESSED_JSON:
            return from_json(_loads(data))
        case PersistenceFormat.MSGPACK | PersistenceFormat.COMPRESSED_MSGPACK:
            return unpack(data)
        case _:
            return _unpickle(data)


def _unpickle(data: bytes) -> Any:
    """Only of bytes whose signature was checked."""
    try:
        return pickle.loads(data)
    except Exception as exc:  # a pickle may raise anything
        raise DecodeError(f"it cannot be unpickled: {exc}") from exc


def _loads(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise DecodeError(f"it is no JSON: {exc}") from None


def _compress(data: bytes) -> bytes:
    if len(data) > _MAX_BYTES:
        raise EncodeError("", f"state of {len(data)} bytes", f"a compressed one holds {_MAX_BYTES} at the most")
    return zstd.compress(data, 3)


def _decompress(payload: bytes) -> bytes:
    """One whole frame, and nothing after it; stops where it is too large, whatever it says of itself."""
    decompressor = zstd.ZstdDecompressor()
    try:
        data = decompressor.decompress(payload, max_length=_MAX_BYTES + 1)
    except zstd.ZstdError as exc:
        raise DecodeError(f"it cannot be decompressed: {exc}") from None
    if len(data) > _MAX_BYTES:
        raise DecodeError(f"it holds more than {_MAX_BYTES} bytes")
    if not decompressor.eof or decompressor.unused_data:
        raise DecodeError("it is not one whole Zstandard frame")
    return data

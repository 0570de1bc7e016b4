"""The key that pickled states are signed with: given, from the environment, or a private file beside the states."""

from __future__ import annotations

import os
import secrets
import threading
from pathlib import Path

from orchestrator.errors import StateFileError

#: The environment variable that holds the key.
KEY_VARIABLE = "ORCHESTRATOR_SIGNING_KEY"
#: The file beside the states that holds a key made for them.
KEY_FILE = ".signing-key"


def signing_key(given: str | bytes | None, state_dir: Path) -> bytes:
    """The key as bytes. Raises StateFileError where the key file is empty or open to others."""
    found = given or os.environ.get(KEY_VARIABLE)
    if found:
        return found.encode() if isinstance(found, str) else found
    path = state_dir / KEY_FILE
    if not path.exists():
        _make(path)
    return _read(path)


def _make(path: Path) -> None:
    """A new key in its place, whole from the first moment on; the one of another process where that was faster."""
    draft = path.with_name(f"{KEY_FILE}.{os.getpid()}-{threading.get_ident()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise StateFileError(path, "others may read or change this key", f"chmod 600 {path}, or give another key")
    key = path.read_bytes()
    if not key:
        raise StateFileError(path, "this key is empty", "delete it; the files that it signed cannot be read any more")
    return key

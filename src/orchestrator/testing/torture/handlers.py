"""What the tortured pipelines call. Each handler leaves its witness first, then behaves or does not.

Those that misbehave do so until there is a file `good` in the folder of the run, or once where they say so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from orchestrator.testing.kill_handlers import Flaky, enter
from orchestrator.testing.left_running import FOLDER

_MIB = 1024 * 1024


def steady(number: int, seconds: float, size: int = 100, flaky: bool = False, after: Any = None) -> dict[str, Any]:
    """A value that follows from what the handler is given, so that a changed input shows in every output behind it."""
    attempt = enter()
    time.sleep(seconds)
    if flaky and attempt == 1:
        raise Flaky("first attempt")
    given = hashlib.sha256(repr((number, after)).encode()).hexdigest()
    return {"value": given, "bulk": Random(given).randbytes(size)}


def greedy() -> str:
    """Takes memory until there is no more."""
    enter()
    hoard = []
    while not _is_good():
        hoard.append(bytearray(16 * _MIB))
    return "modest"


def hangs(deaf: bool) -> str:
    """Does not come back; where it is deaf, not even when it is asked to end."""
    enter()
    if not _is_good():
        if deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    return "back"


def exits(how: str) -> str:
    """Ends its process in some way."""
    enter()
    if not _is_good():
        _EXITS[how]()
    return "still here"


def exits_once() -> str:
    """Ends its process, which is the engine's, at the first time."""
    enter()
    if not _is_good() and _is_first("exited"):
        os._exit(7)
    return "still here"


def forks(how: str) -> str:
    """Starts what outlives it: a child, a daemon without our environment and folder, or a copy of this very process."""
    enter()
    if _is_good():
        return "forked"
    if how == "child":
        subprocess.Popen(["sleep", "600"])
    elif how == "daemon":
        script = f"cd /; echo $$ >> {_folder() / 'pids'}; exec sleep 600"
        subprocess.Popen(["env", "-i", "setsid", "sh", "-c", script])
    elif os.fork() == 0:
        _tell_pid()
        return "a copy"
    time.sleep(0.05)
    return "forked"


def floods(mebibytes: int, stream: str, lines: bool) -> str:
    """Writes and writes."""
    enter()
    if _is_good():
        return "said it all"
    chunk = (b"x" * 99 + b"\n") * 10_000 if lines else b"x" * _MIB
    target = {"stdout": 1, "stderr": 2}[stream]
    for _ in range(mebibytes * _MIB // len(chunk)):
        _write_all(target, chunk)
    return "said it all"


def holds_files(count: int, leave: int) -> str:
    """Opens files, up to `count` and until only `leave` more can be opened, and never closes them."""
    enter()
    held: list[int] = []
    with contextlib.suppress(OSError):
        while len(held) < count and not _is_good():
            held.append(os.open(os.devnull, os.O_RDONLY))
    for descriptor in held[len(held) - leave :] if len(held) < count else ():
        os.close(descriptor)
    return "held"


def talks(number: int) -> str:
    """Prints some lines."""
    enter()
    for line in range(0 if _is_good() else 20):
        print(f"line {line} of {number}, a handler that has much to say to a reader who may not be there")
    return "said"


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def _tell_pid() -> None:
    with (_folder() / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")


def _is_good() -> bool:
    return (_folder() / "good").exists()


def _is_first(name: str) -> bool:
    """Whether nobody in this run was here before."""
    try:
        os.close(os.open(_folder() / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _deep() -> None:
    """Overflows the stack of C, where Python counts nothing."""
    sys.setrecursionlimit(10**9)
    nested: Any = None
    for _ in range(10**7):
        nested = (nested,)
    hash(nested)


_EXITS: dict[str, Callable[[], object]] = {
    "os._exit": lambda: os._exit(3),
    "os._exit(0)": lambda: os._exit(0),
    "sys.exit": lambda: sys.exit("enough"),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "bad address": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "deep recursion": _deep,
    "closed files": lambda: os.closerange(0, 100),
    "keeper killed": lambda: os.kill(os.getppid(), signal.SIGKILL),
}
#: The ways that `exits` knows.
EXITS = tuple(_EXITS)

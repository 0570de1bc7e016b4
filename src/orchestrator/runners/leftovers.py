"""What an engine left running, found by the mark that every child carries."""

from __future__ import annotations

import os
import resource
import time

from orchestrator.errors import ProcessesLeftError
from orchestrator.runners.environment import OWNER
from orchestrator.runners.processes import AGAIN_SECONDS, descendants, kill, marked, process_table

#: How long the guard of a dead engine may take to end its children before it is ended with them.
_GUARD_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0


def end_leftovers(owner_token: str) -> int:
    """End (SIGKILL) every process that carries this owner's mark, with all below it; gives how many there were.

    For the token of an owner that is dead or done. Its guard, where it lives, is at the same work and is let finish it.
    This process and those above it are spared. Blocks; raises ProcessesLeftError where a process cannot be ended.
    """
    token = os.fsencode(owner_token)
    if not _belonging_to(token):
        return 0
    guard_rounds = int(_GUARD_SECONDS / AGAIN_SECONDS)
    while marked(b"ORCHESTRATOR_GUARD=" + token) - spared(process_table()) and guard_rounds:
        guard_rounds -= 1
        time.sleep(AGAIN_SECONDS)
    ended: set[int] = set()
    found: set[int] = set()
    for _ in range(int(_PATIENCE_SECONDS / AGAIN_SECONDS)):
        found = _belonging_to(token)
        if not found:
            return len(ended)
        kill(found)
        ended |= found
        time.sleep(AGAIN_SECONDS)
    raise ProcessesLeftError(sorted(found))


def started_any() -> bool:
    """Whether this process has ever started another one; costs no look at all processes."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # there is none now; what was waited for has left its traces
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
    return True


def spared(table: dict[int, tuple[int, int]]) -> set[int]:
    """This process and its ancestors."""
    found = {0}
    pid = os.getpid()
    while pid not in found:
        found.add(pid)
        pid = table.get(pid, (0, 0))[0]
    return found


def _belonging_to(token: bytes) -> set[int]:
    roots = marked(f"{OWNER}=".encode() + token, b"ORCHESTRATOR_GUARD=" + token)
    if not roots:
        return roots
    table = process_table()
    safe = spared(table)
    return (roots | descendants(roots - safe, table)) - safe

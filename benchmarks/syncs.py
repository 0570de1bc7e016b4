"""How often a step is synced, counted by strace: no timing, so no noise.

W1 is run at two sizes; the difference of the calls over the difference of the steps leaves out what is done once.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from benchmarks import process
from benchmarks.contenders import Contender
from benchmarks.process import SampleFailedError

_CALL = re.compile(r"\b(?:fsync|fdatasync)\(")


def per_step(contender: Contender, function: str, case: Path, size: int) -> dict[str, float]:
    """Calls of fsync and fdatasync per step. Raises SampleFailedError, without strace too."""
    strace = shutil.which("strace")
    if strace is None:
        raise SampleFailedError("strace is not installed")
    small = size // 3
    calls = _calls(strace, contender, function, case, size) - _calls(strace, contender, function, case, small)
    return {"syncs_per_step": calls / (size - small), "steps": size}


def _calls(strace: str, contender: Contender, function: str, case: Path, size: int) -> int:
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir()
    log = case.parent / "strace.txt"
    under = [strace, "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(log)]
    process.sample(contender, function, case, size, under=under)
    return len(_CALL.findall(log.read_text(errors="replace")))

"""What a process is kept from, set between fork and exec: memory, sizes of files, open files, rights."""

from __future__ import annotations

import ctypes
import resource
import signal
from dataclasses import dataclass

_PR_CAPBSET_DROP = 24
#: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: what makes a superuser's writes pass whatever the mode of a file says.
_OVERRIDES = (1, 2)


@dataclass(frozen=True, slots=True)
class Cage:
    """Limits of a process and of all that it starts; None leaves one as it is."""

    memory_bytes: int | None = None
    file_bytes: int | None = None
    open_files: int | None = None
    #: Whether the modes of files hold for it, also for a superuser.
    obeys_modes: bool = False

    def enter(self) -> None:
        """Set the limits for this process; to be called in the fork, before exec."""
        limits = (
            (resource.RLIMIT_AS, self.memory_bytes),
            (resource.RLIMIT_FSIZE, self.file_bytes),
            (resource.RLIMIT_NOFILE, self.open_files),
        )
        for kind, value in limits:
            if value is not None:
                resource.setrlimit(kind, (value, value))
        if self.file_bytes is not None:  # else the limit is a signal that ends the process, not an error
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if self.obeys_modes:
            for right in _OVERRIDES:
                ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, right, 0, 0, 0)

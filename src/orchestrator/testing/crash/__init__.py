"""A cut at every commit: what is promised of a crash, tried for one pipeline at each place where it could happen."""

from orchestrator.testing.crash.everywhere import CrashReport, crash_everywhere

__all__ = ["CrashReport", "crash_everywhere"]

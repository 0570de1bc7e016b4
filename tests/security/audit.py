"""`make audit`: the licences of what is installed with us, and its known vulnerabilities where they can be asked for.

Exit codes: 0 nothing was found, 1 something was found, 3 the service that knows vulnerabilities did not answer for
each distribution. pip-audit itself says "none found" and exits with 0 when the index does not know a single one of
them, as a mirror of packages alone does not; nothing known is not nothing found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.security.licences import RUN_LOCK, is_allowed, licence_of, locked

FOUND, NOT_ASKED = 1, 3
_OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", "15", "--format", "json")


def main(pip_audit: str, lock: Path = RUN_LOCK) -> int:
    """Tell what is found; gives the exit code."""
    return _licences(lock) or _vulnerabilities(pip_audit, lock)


def _licences(lock: Path) -> int:
    names = sorted(requirement.name for requirement in locked(lock))
    refused = [f"{name}: {licence_of(name) or 'none named'}" for name in names if not is_allowed(licence_of(name))]
    print(f"licences: {len(names)} distributions, {len(refused)} not on the list of licences", *refused, sep="\n  ")
    return FOUND if refused else 0


def _vulnerabilities(pip_audit: str, lock: Path) -> int:
    command = [pip_audit, "--requirement", str(lock), *_OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answers: Sequence[Mapping[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return _not_asked(f"pip-audit gave no answer ({last[:200]})")
    found = [f"{a['name']} {a['version']}: {v['id']}" for a in answers for v in a.get("vulns", ())]
    if found:
        print(f"vulnerabilities: {len(found)} known", *found, sep="\n  ")
        return FOUND
    skipped = [str(answer["name"]) for answer in answers if "skip_reason" in answer]
    if skipped or not answers:
        return _not_asked(f"no answer for {len(skipped)} of {len(answers)} distributions: {', '.join(skipped)}")
    print(f"vulnerabilities: none known in {len(answers)} distributions")
    return 0


def _not_asked(why: str) -> int:
    print(f"vulnerabilities: NOT CHECKED, their service cannot be asked from here: {why}")
    return NOT_ASKED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

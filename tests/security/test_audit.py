"""What is installed with us has licences that we know; and an audit that could not be made does not pass for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.security import audit
from tests.security.licences import RUN_LOCK, is_allowed, licence_of, locked


@pytest.mark.parametrize("distribution", sorted(requirement.name for requirement in locked(RUN_LOCK)))
def test_a_licence_of_the_run_time_closure_is_on_the_list(distribution: str) -> None:
    assert is_allowed(licence_of(distribution)), f"{distribution} is under {licence_of(distribution)!r}"


def test_the_closure_is_what_the_lock_says() -> None:
    names = {requirement.name for requirement in locked(RUN_LOCK)}
    assert {"apsw", "click", "jinja2", "ormsgpack", "pydantic", "pyyaml", "rich"} <= names


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-only", "MIT AND GPL-3.0-only", "", "LGPL-2.1", "MIT WITH x", "Proprietary"]
)
def test_other_licences_are_refused(licence: str) -> None:
    assert not is_allowed(licence)
    assert is_allowed(f"{licence} OR MIT".removeprefix(" OR "))


def answer(**facts: Any) -> dict[str, Any]:
    return {"name": "shop", "version": "1.0", **facts}


@pytest.mark.parametrize(
    ("prints", "code", "says"),
    [
        ([answer(vulns=[])], 0, "none known in 1 distributions"),
        ([answer(vulns=[{"id": "CVE-1"}])], audit.FOUND, "shop 1.0: CVE-1"),
        ([answer(vulns=[]), {"name": "car", "skip_reason": "not found"}], audit.NOT_ASKED, "no answer for 1 of 2"),
        ([], audit.NOT_ASKED, "NOT CHECKED"),
        (None, audit.NOT_ASKED, "pip-audit gave no answer (no route to host)"),
    ],
)
def test_what_was_not_checked_is_not_said_to_be_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prints: list[Any] | None, code: int, says: str
) -> None:
    program = tmp_path / "pip-audit"
    text = "" if prints is None else json.dumps({"dependencies": prints, "fixes": []})
    program.write_text(f"#!/bin/sh\necho '{text}'\necho no route to host >&2\n")
    program.chmod(0o700)
    assert audit.main(str(program)) == code
    assert says in capsys.readouterr().out

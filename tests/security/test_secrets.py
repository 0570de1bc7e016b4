"""Where a secret goes that a handler takes from its environment, and where one goes that is given as a value.

Each search first finds a secret that was planted in the clear.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.security.sessions import command, everything

from orchestrator.app import Orchestrator
from orchestrator.cli.exits import ExitCode
from orchestrator.failure import scrub
from orchestrator.failure.scrubbing import _SECRET
from orchestrator.pipelines.model import Pipeline

PLANTED = "pl4nted5ecretV4lue"

HANDLERS = """
import logging, os
from orchestrator import progress

def key(): return os.environ["SHOP_KEY"]

def raises():
    try:
        raise ConnectionError(f"GET https://me:{key()}@shop.example/?token={key()}; Authorization: Bearer {key()}")
    except ConnectionError as exc:
        raise ValueError({"password": key(), "headers": {"X-Api-Key": key(), "Cookie": f"sid={key()}"}}) from exc

def talks():
    print(f"connecting to postgres://me:{key()}@db/shop")
    logging.getLogger("shop").warning("login with password=%s", key())
    progress(0.5, f"api_key: {key()}")
    return "done"
"""
SHELL = 'echo "> Authorization: Bearer $SHOP_KEY" >&2; echo "password=$SHOP_KEY" >&2; exit 3'


def run(folder: Path, *steps: str) -> Mapping[str, str]:
    """Run steps that fail in a process of its own; everything that is left of it, and what it showed."""
    (folder / "shop_of_secrets.py").write_text(HANDLERS)
    (folder / "pipeline.yaml").write_text("pipeline: shop\nsteps:\n" + "".join(f"  - {step}\n" for step in steps))
    store = folder / "kept" / "journal.db"
    words = ["run", str(folder / "pipeline.yaml"), "--id", "e", "--store", str(store)]
    done = subprocess.run([sys.executable, "-m", "orchestrator", *words], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.FAILED, done.stderr
    return {**everything(store, "e", "a"), "what the run showed": done.stdout + done.stderr}


def test_a_secret_of_the_environment_is_in_nothing_that_is_kept_or_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", PLANTED)
    steps = [
        "{id: a, call: 'shop_of_secrets:raises', retry: {max_attempts: 2, initial_delay: 1ms, on: [validation]}}",
        "{id: b, call: 'shop_of_secrets:talks'}",
        "{id: c, call: 'shop_of_secrets:talks', runner: process}",
        "{id: d, call: 'shop_of_secrets:raises', runner: process}",
        f"{{id: f, run: {SHELL!r}}}",
    ]
    found = run(tmp_path, *steps)
    assert [where for where, text in found.items() if PLANTED in text] == []
    assert found["notes"].count("***") == 8  # three times by talks, twice of it; twice by the command
    assert found["show e a"].count("***") >= 4


def test_a_secret_that_is_given_as_a_value_is_kept_and_shown(tmp_path: Path) -> None:
    store = tmp_path / "kept" / "journal.db"
    steps = [{"id": "a", "set": {"copy": "${key}"}}]
    with Orchestrator(store) as orchestrator:
        pipeline = Pipeline(pipeline="shop", inputs={"key": {"type": "string"}}, steps=steps)
        orchestrator.run(pipeline, {"key": PLANTED}, execution_id="e")
    found = everything(store, "e", "a")
    assert {"journal.db", "show e --json", "event 1"} <= {where for where, text in found.items() if PLANTED in text}


COMMAND_LINE = "tr '\\0' ' ' < /proc/$$/cmdline"


def test_a_value_in_a_text_for_the_shell_is_not_in_the_table_of_processes(tmp_path: Path) -> None:
    pipeline = Pipeline(
        pipeline="p",
        inputs={"key": {"type": "string"}},
        steps=[
            {"id": "text", "run": f"{COMMAND_LINE}; : ${{key}}"},
            {"id": "words", "run": ["sh", "-c", COMMAND_LINE + "; :", "${key}"]},
        ],
        outputs={"text": "${text.stdout}", "words": "${words.stdout}"},
    )
    with Orchestrator("memory:") as orchestrator:
        outputs = orchestrator.run(pipeline, {"key": PLANTED}).outputs
    assert outputs is not None
    assert PLANTED in outputs["words"]  # an argument is one, and `ps` shows it to everybody
    assert "/proc" in outputs["text"]
    assert PLANTED not in outputs["text"]


def test_a_module_that_fails_to_be_imported_tells_no_secret(tmp_path: Path) -> None:
    (tmp_path / "broken_shop.py").write_text(f"raise OSError('postgres://me:{PLANTED}@db/shop')\n")
    file = tmp_path / "pipeline.yaml"
    file.write_text("pipeline: shop\nsteps:\n  - {id: a, call: 'broken_shop:give'}\n")
    for shown in (command("validate", file), command("validate", file, "--json")):
        assert "postgres://me:***@db/shop" in shown
        assert PLANTED not in shown


FRAGMENTS = [
    *("password", "PassWord=", "pwd:", "ſecret=x", "secret=", "client_secret: ", "token ", "--token ", "tokens: 3"),
    *(
        "api-key: ",
        "private_key=",
        "http://",
        "a:b@c",
        "://u:p@h",
        "Bearer abcdefgh1",
        "Cookie: a=b",
        "Authorization: x",
    ),
    *("sk-" + "a" * 16, "pk_" + "b" * 16, "ghp_" + "c" * 20, "github_pat_" + "d" * 20, "xoxb-" + "1" * 10),
    *("AKIA" + "A" * 16, "eyJ" + "a" * 8 + ".b.c", "credentials=1", "passphrase: x", "K" * 3, " plain text ", "é"),
]


@pytest.mark.parametrize("first", FRAGMENTS)
def test_the_short_way_to_see_that_there_is_no_secret_misses_none(first: str) -> None:
    for second in FRAGMENTS:
        for text in (first + second, f"{first} {second}", f"{second}{first.upper()}"):
            scrubbed = scrub(text)
            assert scrubbed == _SECRET.sub(lambda f: (f[f.lastgroup] if f.lastgroup else "") + "***", text)

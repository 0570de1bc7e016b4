"""What a child is given: the environment of the engine, what the step adds, who it is; and no descriptor of ours."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from orchestrator.app import Orchestrator
from orchestrator.pipelines.model import Pipeline

PAGE = Path(__file__).parents[2] / "docs" / "security.md"

#: Set by Python, by shells, and by pytest between the start of the child and now.
_OTHERS = ("LC_CTYPE", "SHLVL", "PWD", "OLDPWD", "_", "PYTEST_CURRENT_TEST")

HANDLER = """
import os
def environment(): return dict(os.environ)
"""


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """What a command and a worker process find in their environments."""
    monkeypatch.setenv("OF_THE_ENGINE", "inherited")
    monkeypatch.setenv("ORCHESTRATOR_STEP", "of a caller")
    (tmp_path / "shop_of_children.py").write_text(HANDLER)
    dump = "python -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    file = tmp_path / "pipeline.yaml"
    file.write_text(
        "pipeline: p\nsteps:\n"
        f"  - {{id: command, run: {json.dumps(dump + ' ${1 + 1}')}, env: {{ADDED: more}}, parse: json}}\n"
        "  - {id: worker, call: 'shop_of_children:environment', runner: process}\n"
        "outputs: {command: '${command.json}', worker: '${worker}'}\n"
    )
    with Orchestrator("memory:") as orchestrator:
        outputs = orchestrator.run(Pipeline.load(file)).outputs
    assert outputs is not None
    return outputs


def test_a_child_gets_what_the_engine_has_and_what_the_page_names(environments: dict[str, dict[str, str]]) -> None:
    named = set(re.findall(r"`(ORCHESTRATOR_[A-Zn_]+)`", PAGE.read_text(encoding="utf-8")))
    for kind, found in environments.items():
        assert found["OF_THE_ENGINE"] == "inherited"
        changed = {re.sub(r"\d+$", "n", name) for name in found if found[name] != os.environ.get(name)}
        assert changed - named <= {"PATH", "ADDED", *_OTHERS}, kind
    assert environments["command"]["ADDED"] == "more"
    assert environments["command"]["ORCHESTRATOR_STEP"] == "command"
    # a worker serves many steps and is told of none
    assert not {"ORCHESTRATOR_STEP", "ORCHESTRATOR_ARG_0", "ADDED"} & environments["worker"].keys()

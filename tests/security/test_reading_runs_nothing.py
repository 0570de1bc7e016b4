"""Data is read and never run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.security.sessions import command, looks, program

from orchestrator.app import Orchestrator
from orchestrator.errors import PipelineFileError
from orchestrator.pipelines.model import Pipeline


def test_no_reader_imports_calls_or_opens_what_the_data_names() -> None:
    told = json.loads(program("from tests.security.hostile_reads import main; main()"))
    assert [event.split()[0] for event in told["planted"]] == ["pickle.find_class", "os.system"]
    assert told["seen"] == []
    assert told["reads"] > 800


# -- what is recorded --------------------------------------------------------------------------------------------------

HANDLERS = """
from dataclasses import dataclass
from pathlib import Path
Path(__file__).with_name("imported").touch()
@dataclass
class Row:
    text: str
def give(): return Row("a value")
"""


def test_looking_at_an_execution_imports_no_handler_and_checking_a_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_of_looks.py").write_text(HANDLERS)
    file = tmp_path / "pipeline.yaml"
    file.write_text("pipeline: shop\nsteps:\n  - {id: a, call: 'shop_of_looks:give'}\noutputs: {row: '${a}'}\n")
    store = tmp_path / "journal.db"
    monkeypatch.setattr(sys, "path", [*sys.path])
    with Orchestrator(store) as orchestrator:
        orchestrator.run(file, execution_id="e")
    del sys.modules["shop_of_looks"]
    (tmp_path / "imported").unlink()
    shown = [command(*words, "--store", store) for words in looks("e", "a")]
    assert sum("a value" in text for text in shown) >= 3
    command("graph", file)
    assert "shop_of_looks" not in sys.modules
    assert not (tmp_path / "imported").exists()
    command("validate", file)
    del sys.modules["shop_of_looks"]
    assert (tmp_path / "imported").exists()


@pytest.mark.parametrize("target", ["../shop:give", "/etc/shop:give", "shop/x:give", "shop:give()", ".shop:give"])
def test_a_handler_is_named_and_no_path_leads_to_it(target: str) -> None:
    with pytest.raises(PipelineFileError, match="is no handler"):
        Pipeline.loads(f"pipeline: p\nsteps:\n  - {{id: a, call: {json.dumps(target)}}}\n")

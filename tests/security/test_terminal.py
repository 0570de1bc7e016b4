"""What a person looks at obeys nobody: no text of a store, a file or an option moves a cursor or forges a line.

The texts are somebody else's: a store may come from another machine, a value from the web, a message from a program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.security.sessions import OBEYED, Screen, command, looks

from orchestrator.cli.board import Board
from orchestrator.cli.hints import Hints
from orchestrator.cli.paper import Paper, Symbols
from orchestrator.cli.picture import Picture
from orchestrator.cli.words import json_text, plain_data
from orchestrator.journal import events as ev
from orchestrator.journal.blobs import encode
from orchestrator.journal.codec import Encoded
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.records import encode_body
from orchestrator.journal.store import Note
from orchestrator.status import ExecutionStatus
from orchestrator.storage.sqlite import SqliteStore
from orchestrator.testing.store_contract.given import Given
from orchestrator.types import ExecutionId, StepKey

#: A title, a colour, a cleared screen, the same with one byte for the escape, a turned text, an end of line, a forgery.
EVIL = "\x1b]0;owned\x07\x1b[31;8m\x1b[2J\x9b2J\x9d0;x\x9c\u202e\u2066\r\b\x7f\n00:00:00.000  other | forged"
#: What `Paper` paints with.
PAINT = re.compile(r"\x1b\[(?:0|1|3[0-7]|9[0-7])m")
ERROR = {"message": EVIL, "type": EVIL, "traceback": f'Traceback\n  File "{EVIL}", line 1\n{EVIL}', "category": EVIL}
KEY, LOOP = StepKey(f"key{EVIL}"), StepKey(f"loop{EVIL}")


def encoded(value: object) -> Encoded:
    return encode(value, lambda blob, data: None)


def hostile_events() -> Iterator[Event]:
    model = {"pipeline": EVIL, "steps": [{"id": KEY}, {"id": LOOP}, {"id": f"open{EVIL}"}]}
    yield ev.ExecutionCreated(ExecutionId("e"), EVIL, encoded(model), EVIL, ((EVIL, encoded(EVIL)),), EVIL)
    yield ev.ExecutionClaimed(EVIL, 1)
    yield ev.StepStarted(KEY, 1, 1, EVIL)
    yield ev.StepRetrying(KEY, 1, 1, ERROR, 1.0)
    yield ev.StepStarted(KEY, 1, 2, EVIL)
    yield ev.InterventionRequested(KEY, 1, 2, ERROR, EVIL, None)
    yield ev.InterventionAnswered(KEY, 1, "retry", encoded(EVIL), EVIL)
    yield ev.StepSucceeded(KEY, 1, 3, encoded({EVIL: [EVIL], "text": EVIL}), ((EVIL, encoded(EVIL)),))
    yield ev.CheckpointCreated(EVIL, EVIL, KEY)
    yield ev.VariablesChanged(((EVIL, encoded(EVIL)),), (EVIL,), EVIL)
    yield ev.StepSkipped(LOOP, 1, EVIL, encoded(EVIL))
    yield ev.StepFailed(StepKey(f"open{EVIL}"), 1, 1, ERROR)
    yield ev.ExecutionFailed(StepKey(f"open{EVIL}"), ERROR)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    kept = SqliteStore(path)
    script = Given().script("e")
    happened = list(hostile_events())
    body = encode_body([(100.0 + n, event) for n, event in enumerate(happened)])
    append = script.append(body, len(happened), pipeline_id=EVIL, status=ExecutionStatus.FAILED)
    kept.commit(replace(append, summary=replace(append.summary, message=EVIL))).wait()
    for kind in ("stdout", "stderr", "log", "progress"):
        kept.note(ExecutionId("e"), [Note(KEY, 2, 101.0, kind, EVIL, 0.5)])
    kept.close()
    return path


def commands(store: Path) -> Iterator[tuple[str, ...]]:
    for words in looks("e", KEY, LOOP):
        yield (*words, "--store", str(store))


def test_what_is_shown_of_a_hostile_store_is_text(store: Path) -> None:
    found = {words: command(*words) for words in commands(store)}
    assert OBEYED.search(EVIL)
    assert {words: OBEYED.findall(text) for words, text in found.items() if OBEYED.search(text)} == {}
    assert all("forged" in text for text in found.values())  # it was there to be shown, each time


def test_a_terminal_with_colours_gets_ours_alone(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    found = {words: command(*words, screen=Screen) for words in commands(store)}
    assert any(PAINT.search(text) for text in found.values())
    assert {words for words, text in found.items() if OBEYED.search(PAINT.sub("", text))} == set()


def test_no_text_makes_a_line_that_is_not_its_own(store: Path) -> None:
    at = ("--store", str(store))
    assert len(command("list", *at).splitlines()) == 2
    assert len(command("history", "e", *at).splitlines()) == len(list(hostile_events()))
    lines = command("logs", "e", *at).splitlines()
    assert len(lines) == 8
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  key.* \(2\) \| ", line) for line in lines), lines


def test_the_picture_of_what_runs_is_text() -> None:
    board = Board(ExecutionId("e"), ["load", "wait"])
    happened: list[Event] = [
        ev.ExecutionCreated(ExecutionId("e"), EVIL, encoded({}), "", (), ""),
        ev.ExecutionClaimed(EVIL, 1),
        ev.StepStarted(StepKey("load"), 1, 1, EVIL),
        ev.StepRetrying(StepKey("load"), 1, 1, ERROR, 9.0),
        ev.InterventionRequested(StepKey("wait"), 1, 1, ERROR, EVIL, None),
    ]
    for position, event in enumerate(happened, 1):
        board.apply(Entry(position, 1.0, event))
    board.note(Note("load", 2, 1.0, "stdout", EVIL))
    lines = Picture(board, Symbols(), Hints("orchestrator"), kept=True).draw(2.0, 200, 40)
    assert [line.plain for line in lines if OBEYED.search(line.plain) or "\n" in line.plain] == []
    assert "forged" in "".join(line.plain for line in lines)


@pytest.mark.parametrize(
    "words",
    [
        ("run", f"{EVIL}.yaml"),
        ("validate", f"{EVIL}.yaml"),
        ("show", EVIL),
        ("list", "--store", f"{EVIL}.db"),
        ("list", "--status", EVIL),
        (EVIL,),
        ("run", "pipeline.yaml", "-i", EVIL),
        ("run", "pipeline.yaml", "-i", f"{EVIL}=1"),
        ("run", "pipeline.yaml", "--id", EVIL),
        ("answer", "e", "a", "skip", "--value", EVIL),
        ("graph", "pipeline.yaml"),
        ("graph", "pipeline.yaml", "--format", "dot"),
        ("graph", "pipeline.yaml", "--format", "mermaid"),
        ("validate", "faulty.yaml"),
    ],
    ids=lambda words: " ".join(words).replace(EVIL, "…")[:40] or "…",
)
def test_what_was_typed_or_written_is_shown_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    quoted = json.dumps(EVIL)
    steps = f"steps:\n  - {{id: a, run: {json.dumps('echo ' + EVIL)}}}\n"
    Path("pipeline.yaml").write_text(f"pipeline: {quoted}\n{steps}")
    Path("faulty.yaml").write_text(f"pipeline: {quoted}\n{steps}  - {{id: {quoted}, call: {quoted}, {quoted}: 1}}\n")
    shown = command(*words)
    assert shown
    assert OBEYED.findall(shown) == []


def test_json_for_programs_says_the_same_in_characters_that_do_nothing() -> None:
    text = json_text({EVIL: [EVIL]})
    assert OBEYED.search(text) is None
    assert json.loads(text) == {EVIL: [EVIL]}


def test_a_number_too_long_for_a_person_is_shown_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain_data(10**4000) == 10**4000
    assert plain_data([10**6000]) == [hex(10**6000)]


class Speaker:
    """Claims to be able to say what it is."""

    def __init__(self) -> None:
        self.to_dict = self.model_dump = lambda: pytest.fail("an attribute of a value was called")

    def __str__(self) -> str:
        return "a speaker"


def test_what_a_value_carries_is_not_called_to_show_it() -> None:
    assert plain_data(Speaker()) == "a speaker"


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    Paper(screen).line(f"a{EVIL}b")
    assert screen.getvalue().count("\n") == 1

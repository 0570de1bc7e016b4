"""`orchestrator test`: what passes, what does not, and what is wrong with the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.acceptance.cli_session import orchestrator, write_pipeline

TASKS = """
KEPT = {}

def put(n):
    KEPT["n"] = n
    return n

def get():
    return KEPT.get("n")
"""
PIPELINE = """
pipeline: kept
inputs: {n: {type: integer, default: 3}}
steps:
  - {id: put, call: "tasks:put", with: {n: "${n}"}, retry: {max_attempts: 2, initial_delay: 60}}
  - {id: rest, wait: 7d, needs: [put]}
  - {id: ok, approve: "Go?", form: {share: {type: integer, default: 1}}, needs: [rest]}
  - {id: go, signal: go, needs: [ok]}
  - {id: note, when: "${ok.choice == 'approve'}", set: {total: "${put + go}"}, needs: [go]}
outputs: {total: "${total if note else 0}", share: "${ok.form.share}"}
"""
SOUND = """
tests:
  - name: approved
    steps: {put: [{raises: ConnectionError, message: refused}, {returns: 5}]}
    signals: {go: 2}
    answers: {ok: {choice: approve, form: {share: 4}}}
    by: ann
    expect:
      outputs: {total: 7, share: 4}
      variables: {total: 7}
      steps: {put: {status: completed, attempts: 2, output: 5}, note: completed}
  - name: rejected
    inputs: {n: 1}
    signals: {go: 2}
    answers: {ok: reject}
    expect: {outputs: {total: 0}, steps: {note: skipped}}
  - name: nobody answers
    expect: {status: paused, steps: {put: completed}}
  - name: broken
    only: true
    expect: {status: failed, error: is not scripted, steps: {put: failed}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "kept.yaml").write_text(PIPELINE)
    (tmp_path / "kept.tests.yaml").write_text(SOUND)
    return tmp_path


def told(text: str) -> str:
    """What was printed, without times."""
    return re.sub(r"\d+\.\d\d s", "<time>", text)


def test_tests_that_pass(folder: Path) -> None:
    printed = told(orchestrator(folder, "test", "kept.yaml").stdout)
    assert printed.splitlines() == [
        "ok      approved  <time>",
        "ok      rejected  <time>",
        "ok      nobody answers  <time>",
        "ok      broken  <time>",
        "",
        "✓ 4 tests, all ok",
    ]
    assert not (folder / ".orchestrator").exists()


def test_what_was_expected_and_what_came(folder: Path) -> None:
    text = SOUND.replace("total: 7, share: 4", "total: 8, share: 4, more: 1").replace("paused", "completed")
    (folder / "other.yaml").write_text(text.replace("note: skipped", "note: completed, go: skipped"))
    printed = told(orchestrator(folder, "test", "kept.yaml", "--tests", "other.yaml", exits=1).stdout)
    assert printed.splitlines() == [
        "FAILED  approved  <time>",
        "        other.yaml:3",
        "        outputs.total: expected 8, got 7",
        "        outputs.more: expected 1, but it is not there",
        "FAILED  rejected  <time>",
        "        other.yaml:12",
        "        steps.note: expected completed, got skipped (its condition was false)",
        "        steps.go: expected skipped, got completed",
        "FAILED  nobody answers  <time>",
        "        other.yaml:17",
        "        status: expected completed, got paused: waiting for an answer to step 'ok'",
        "ok      broken  <time>",
        "",
        "✗ 4 tests, 3 failed",
    ]


def test_a_scripted_step_that_is_never_reached_is_told(folder: Path) -> None:
    (folder / "other.yaml").write_text(
        "tests: [{name: a, steps: {ok: {returns: 1}}, answers: {ok: reject}, signals: {go: 1}}]"
    )
    printed = orchestrator(folder, "test", "kept.yaml", "--tests", "other.yaml", exits=1).stdout
    assert "steps.ok: it is scripted, and was never called" in printed


def test_crashes_at_every_commit(folder: Path) -> None:
    printed = orchestrator(folder, "test", "kept.yaml", "--crash-everywhere", "-k", "approved").stdout
    found = re.search(r"^ok      approved  [\d.]+ s · (\d+) crashes at (\d+) commits$", printed, re.MULTILINE)
    assert found is not None, printed
    assert int(found[1]) > int(found[2]) > 8


def test_crashes_find_what_cannot_be_resumed(folder: Path) -> None:
    steps = '  - {id: put, call: "tasks:put", with: {n: 1}}\n  - {id: get, call: "tasks:get", needs: [put]}\n'
    (folder / "bad.yaml").write_text(f'pipeline: bad\nsteps:\n{steps}outputs: {{got: "${{get}}"}}\n')
    (folder / "bad.tests.yaml").write_text("tests: [{name: it, expect: {outputs: {got: 1}}}]\n")
    orchestrator(folder, "test", "bad.yaml")
    printed = orchestrator(folder, "test", "bad.yaml", "--crash-everywhere", exits=1).stdout
    assert re.search(r"cut \w+ commit \d+ of \d+ \(step_succeeded (put|get)\): it ended otherwise", printed)
    assert "outputs.got: expected 1, got None" in printed


FAULTS = """\
tests:
  - name: bad
    inputs: {m: 1}
    steps:
      putt: {returns: 1}
      put: [{raises: ConectionError}, {return: 1}, {returns: 1, raises: TypeError}, 3, {returns: 1, message: a}]
    signals: {goo: 1}
    answers: {ok: {form: 1}}
    expct: {}
  - expect: {status: compleeted, steps: {note: {stat: 1}, rest: done}}
"""


def test_what_is_wrong_with_the_file(folder: Path) -> None:
    (folder / "bad.tests.yaml").write_text(FAULTS)
    shown = orchestrator(folder, "test", "kept.yaml", "--tests", "bad.tests.yaml", exits=2).stderr
    faults = [line.partition(" ") for line in shown.splitlines() if line.startswith("bad.tests.yaml:")]
    assert [(place.removeprefix("bad.tests.yaml:").rstrip(":"), what) for place, _, what in faults] == [
        ("3:14", "the pipeline has no input 'm' (did you mean 'n'?)") if "did you" in faults[0][2] else
        ("3:14", "the pipeline has no input 'm'"),
        ("5:7", "the pipeline has no step 'putt' (did you mean 'put'?)"),
        ("6:22", "there is no exception 'ConectionError' (did you mean 'ConnectionError' or 'ExecutionError'?)"),
        ("6:40", "unknown key 'return' (did you mean 'returns'?)"),
        ("6:52", "expected either returns or raises (for example `{returns: 3}`, `{raises: TimeoutError}` or `real`)"),
        ("6:85", "expected what the step comes to, got the number 3 (for example `{returns: 3}`, "
                 "`{raises: TimeoutError}` or `real`)"),
        ("6:88", "message goes with raises"),
        ("7:15", "the pipeline has no signal 'goo' (did you mean 'go'?)"),
        ("8:19", "an answer needs the key 'choice' (for example `{choice: approve}`)"),
        ("9:5", "unknown key 'expct' (did you mean 'expect'?)"),
        ("10:5", "a test needs the key 'name'"),
        ("10:22", "expected pending, running, paused, completed, failed or cancelled as status, got the text "
                  "'compleeted' (did you mean 'completed'?)"),
        ("10:49", "unknown key 'stat' (did you mean 'status'?)"),
        ("10:65", "expected pending, running, completed, failed, skipped or cancelled as status, got the text 'done'"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: []\n", "there is no test in it"),
        ("tests: 3\n", "expected a list of tests, got the number 3"),
        ("[]\n", "expected a mapping, got an empty list"),
        ("tests: [{name: a, inputs: {n: x}}]\n", "FAILED"),
        ("tests: [\n", "error: "),
    ],
)
def test_files_that_are_none(folder: Path, text: str, said: str) -> None:
    (folder / "bad.tests.yaml").write_text(text)
    exits = 1 if said == "FAILED" else 2
    done = orchestrator(folder, "test", "kept.yaml", "--tests", "bad.tests.yaml", exits=exits)
    assert said in done.stdout + done.stderr


def test_what_there_is_no_file_of(folder: Path) -> None:
    assert "nothing.yaml: there is no such file" in orchestrator(folder, "test", "nothing.yaml", exits=2).stderr
    (folder / "kept.tests.yaml").rename(folder / "kept.test.yaml")
    assert "did you mean 'kept.test.yaml'?" in orchestrator(folder, "test", "kept.yaml", exits=2).stderr
    assert "no test has 'zz'" in orchestrator(
        folder, "test", "kept.yaml", "--tests", "kept.test.yaml", "-k", "zz", exits=2
    ).stderr  # fmt: skip


def test_a_real_clock_takes_its_time(folder: Path) -> None:
    file = write_pipeline(folder, '{id: nap, wait: "0.2s"}')
    (folder / "pipeline.tests.yaml").write_text("tests: [{name: nap}]\n")
    printed = orchestrator(folder, "test", file.name, "--clock", "real").stdout
    found = re.search(r"nap  ([\d.]+) s", printed)
    assert found is not None
    assert float(found[1]) >= 0.2


FUNCTION = """
from orchestrator import approve, pipeline, sleep, step

@step
async def fetch(n):
    return n + 1

@pipeline
async def book(city: str, nights: int = 1):
    found = await fetch(await fetch(nights))
    await sleep(7 * 24 * 3600)
    answer = await approve("go?", choices=["pay", "hold"])
    return [city, found, answer["choice"]]
"""
OF_FUNCTION = """
tests:
  - name: paid
    inputs: {city: Oslo}
    steps: {fetch#2: {returns: 8}}
    answers: {approve: pay}
    expect: {outputs: {result: [Oslo, 8, pay]}, steps: {fetch: {output: 2}}}
"""


def test_a_durable_function(folder: Path) -> None:
    (folder / "trips.py").write_text(FUNCTION)
    (folder / "trips.book.tests.yaml").write_text(OF_FUNCTION)
    assert "ok      paid" in orchestrator(folder, "test", "trips:book").stdout
    printed = orchestrator(folder, "test", "trips.py:book", "--crash-everywhere").stdout
    assert re.search(r"ok      paid  [\d.]+ s · \d\d crashes at \d+ commits", printed)
    (folder / "trips.book.tests.yaml").write_text(OF_FUNCTION.replace("city:", "citty:"))
    assert "did you mean 'city'?" in orchestrator(folder, "test", "trips:book", exits=2).stderr

"""A journal as a text that is the same for every run: to be kept beside a test, and read when it changes.

One line per event, with what it says. What differs from run to run (times, ids, owners, hashes, folders) is replaced by
a word; the pipeline's model, its graph and the hashes of code are left out, since the pipeline's own file says it.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from orchestrator.journal import events as ev
from orchestrator.journal.codec import Encoded, decode
from orchestrator.journal.events import Entry, Event
from orchestrator.journal.fold import ExecutionRecord
from orchestrator.journal.records import kind_of
from orchestrator.journal.step_record import StepRecord

#: Set (to anything but 0), every golden text is written anew instead of compared.
WRITE_VARIABLE = "ORCHESTRATOR_WRITE_GOLDEN"

#: Parts of events that the pipeline's file says, or that differ from run to run and say nothing.
_LEFT_OUT = frozenset({"model", "graph", "fingerprint", "epoch", "hashes", "message", "position"})
_TIMES = frozenset({"at", "until", "due_at", "deadline"})
#: An id that nobody chose.
_MADE = re.compile(r"[0-9a-hjkmnp-tv-z]{16}")
_OF_ERRORS = ("type", "message", "category")

#: What differs from run to run within texts -> what stands for it.
_NORMAL: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\bpid[ =:]\d+"), "<pid>"),
    (re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{12,64}\b"), "<hash>"),
    (re.compile(r"\b0x[0-9a-f]+\b"), "<address>"),
)


def assert_golden(journal: ExecutionRecord | Iterable[Entry], path: str | Path) -> None:
    """Compare a journal with the text in `path`; raises AssertionError with the lines that differ.

    `journal` is what `Orchestrator.history` gives, or `Orchestrator.show` (which says what came of it, not how). Where
    there is no such file it is written; so it is where the environment has ORCHESTRATOR_WRITE_GOLDEN=1, or pytest was
    called with --orchestrator-write-golden.
    """
    file, text = Path(path), golden_text(journal)
    if not file.exists() or os.environ.get(WRITE_VARIABLE, "0") not in ("", "0"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return
    kept = file.read_text(encoding="utf-8")
    if kept != text:
        lines = difflib.unified_diff(
            kept.splitlines(), text.splitlines(), f"{file} (kept)", "this run", n=2, lineterm=""
        )
        how = f"where that is meant, write it anew: {WRITE_VARIABLE}=1, or pytest --orchestrator-write-golden"
        raise AssertionError("\n".join(["the journal is another one than was kept", *lines, how]))


def golden_text(journal: ExecutionRecord | Iterable[Entry]) -> str:
    """The text that stands for a journal."""
    if isinstance(journal, ExecutionRecord):
        normal = _normaliser(journal.execution_id, journal.base_dir)
        return "".join(f"{normal(line)}\n" for line in _record(journal))
    entries = list(journal)
    created = next((entry.event for entry in entries if isinstance(entry.event, ev.ExecutionCreated)), None)
    normal = _normaliser(created.execution_id, created.base_dir) if created is not None else _normaliser("", "")
    lines = (_line(entry.event) for entry in entries if not isinstance(entry.event, ev.CodeSeen))
    return "".join(f"{normal(line)}\n" for line in lines)


# -- what came of it --------------------------------------------------------------------------------------------------


def _record(record: ExecutionRecord) -> Iterator[str]:
    yield f"{record.pipeline_id}: {record.status}"
    if record.error is not None:
        yield f"error {_error(record.error)}"
    for name, value in record.inputs.items():
        yield f"input {name} = {_shown(value)}"
    for key in sorted(record.steps):
        yield _step(record.steps[key])
    for name in sorted(record.variables):
        yield f"variable {name} = {_shown(record.variables[name][0])}"
    if record.outputs is not None:
        yield f"outputs = {_shown(record.outputs)}"


def _step(step: StepRecord) -> str:
    parts = [f"step {step.key}: {step.status}"]
    if step.generation > 1:
        parts.append(f"generation {step.generation}")
    if step.attempt > 1:
        parts.append(f"attempt {step.attempt}")
    if step.output is not None:
        parts.append(f"output {_shown(step.output)}")
    if step.error is not None:
        parts.append(f"error {_error(step.error)}")
    return ", ".join(parts)


# -- what happened ----------------------------------------------------------------------------------------------------


def _line(event: Event) -> str:
    """`step_succeeded load attempt=2 output={'rows': 3}`: what is as usual (generation 1, attempt 1, nothing) is left
    out."""
    words = [kind_of(event)]
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name == "key" and value is not None:
            words.append(str(value))
        elif field.name not in _LEFT_OUT and not _is_usual(field.name, value):
            words.append(f"{field.name}={_part(field.name, value)}")
    return " ".join(words)


def _is_usual(name: str, value: Any) -> bool:
    if name in ("generation", "attempt"):
        return bool(value == 1)
    return value is None or (not isinstance(value, Encoded | int) and not value)


def _part(name: str, value: Any) -> str:
    if name == "execution_id":
        return "<execution>"
    if name == "owner":
        return "<owner>"
    if name == "base_dir":
        return "<folder>"
    if name in _TIMES:
        return "<time>"
    if name == "error":
        return _error(value)
    return _shown(value)


def _error(error: Mapping[str, Any]) -> str:
    return "(" + " ".join(f"{name}={_shown(error[name])}" for name in _OF_ERRORS if error.get(name)) + ")"


def _shown(value: Any) -> str:
    return repr(_plain(value))


class _Word(str):
    """A text whose repr is itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _plain(value: Any) -> Any:
    """A value whose repr is the same in every process. What was cut out of the journal is not shown."""
    if isinstance(value, Encoded):
        return _Word("<large value>") if value.blobs else _plain(decode(value, _no_blob, plain=True))
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(p, tuple) and len(p) == 2 for p in value):
        return {_plain(key): _plain(item) for key, item in value}  # names and their values
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=repr)
    if isinstance(value, datetime):
        return _Word("<time>")
    return str(value) if isinstance(value, str | PurePath) else value


def _no_blob(blob: Any) -> bytes:
    raise KeyError(blob)


def _normaliser(execution_id: str, base_dir: str) -> Callable[[str], str]:
    """Replaces what differs from run to run within a line."""
    own = [(base_dir, "<folder>")] if base_dir else []
    if _MADE.fullmatch(execution_id):  # one that was chosen is the same in every run
        own.append((execution_id, "<execution>"))

    def normal(line: str) -> str:
        for text, word in own:
            line = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", word, line)
        for pattern, word in _NORMAL:
            line = pattern.sub(word, line)
        return line

    return normal

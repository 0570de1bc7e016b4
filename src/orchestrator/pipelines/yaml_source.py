"""From YAML text to plain data with positions: reading the file, and saying what is wrong with it.

PyYAML is used as a source of *events* only. Its own constructors let the last of two equal keys win, know no positions,
read YAML 1.1, and its C composer crashes the process on 200,000 opening brackets. `yaml_builder` takes the events one
by one. Faults that leave the structure readable are all collected; a fault of syntax ends the reading.
"""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any

import yaml

from orchestrator.errors import Fault, PipelineFileError
from orchestrator.pipelines.positions import Positions, place_after
from orchestrator.pipelines.wording import did_you_mean
from orchestrator.pipelines.yaml_builder import Builder, Stop

#: A definition is text that people read; data belongs in files beside it.
MAX_BYTES = 1_000_000

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_BARE_PLACEHOLDER = re.compile(r"[{\[,:]\s*\$\{")
_OPEN_QUOTE = "found unexpected end of stream"
_NO_TOKEN = "found character that cannot start any token"

#: What the parser says -> what it means to whoever wrote the file.
_SYNTAX = {
    "mapping values are not allowed in this context": "no ':' can stand here: check the indentation, or quote the text",
    "did not find expected key": "expected the next key of the mapping: check the indentation and the quotes",
    "did not find expected '-' indicator": "the next item of the list must begin with '-' in the same column",
    "did not find expected ',' or '}'": "a ',' or '}' is missing",
    "did not find expected ',' or ']'": "a ',' or ']' is missing",
    "could not find expected ':'": "a ':' is missing after the key, or the text needs quotes",
    "did not find expected node content": "a value is missing",
    "did not find expected <document start>": "nothing may stand here: the document has ended",
    "found unknown escape character": "unknown escape; between single quotes a '\\' stands for itself",
    "did not find expected alphabetic or numeric character": "a name must follow: '&' begins an anchor, '*' an alias",
    _OPEN_QUOTE: "the closing quote is missing",
}


def read_text(path: str | FilePath) -> str:
    """The text of a definition file. Raises PipelineFileError where it is missing, too large, binary or not UTF-8."""
    file = FilePath(path)
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _whole(file, "there is no such file", _neighbours(file)) from None
    except OSError as error:
        raise _whole(file, f"cannot be read: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise _whole(file, f"is larger than {MAX_BYTES:,} bytes; a definition is text, data belongs in files beside it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = place_after(raw[: error.start].decode("utf-8-sig", "replace"))
        message = "is binary, not a YAML text" if b"\0" in raw else f"is not UTF-8: byte 0x{raw[error.start]:02x}"
        raise PipelineFileError(str(file), [Fault(message, line, column)]) from None


def parse_yaml(text: str, file: str = "<text>") -> tuple[Any, Positions]:
    """The data of one YAML document and where each node stands. Raises PipelineFileError with every fault found."""
    if len(text) > MAX_BYTES:
        raise PipelineFileError(file, [Fault(f"is larger than {MAX_BYTES:,} characters")])
    positions = Positions.of_text(file, text)
    if bad := _UNPRINTABLE.search(text):
        line, column = place_after(text[: bad.start()])
        message = f"the character U+{ord(bad[0]):04X} is not allowed in a text: is this a binary file?"
        raise PipelineFileError(file, [Fault(message, line, column)])
    builder = Builder(positions)
    faults = builder.faults
    loader = _LOADER(text)
    try:
        while loader.check_event():
            builder.take(loader.get_event())
        builder.finish()
    except Stop:
        pass
    except yaml.YAMLError as error:
        faults.append(_syntax(error, positions))
    finally:
        loader.dispose()
    if faults:
        raise PipelineFileError(file, sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return builder.value, positions.rooted(builder.spot)


def _syntax(error: yaml.YAMLError, positions: Positions) -> Fault:
    """What the parser found, for whoever wrote the file."""
    problem = str(getattr(error, "problem", None) or error)
    begun, mark = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
    if problem == _OPEN_QUOTE:
        mark = begun  # rather the quote that is open than the end of the file
    line, column = positions.within(mark.line + 1, mark.column + 1) if mark else (1, 1)
    found = positions.line(line)[column - 1 : column]
    if problem == _NO_TOKEN:
        tab = found == "\t"
        message = "a tab cannot indent" if tab else f"a text cannot begin with {found!r}"
        return positions.fault(line, column, message, hint="use spaces" if tab else "put it in quotes")
    if "',' or" in problem and _BARE_PLACEHOLDER.search(positions.line(line)):
        hint = 'inside of { } and [ ] a ${…} needs quotes: "${…}"'
    else:
        hint = f"what is read begins in line {begun.line + 1}" if begun and begun.line + 1 != line else ""
    return positions.fault(line, column, _SYNTAX.get(problem, problem), hint=hint)


def _whole(file: FilePath, message: str, hint: str = "") -> PipelineFileError:
    return PipelineFileError(str(file), [Fault(message, hint=hint)])


def _neighbours(file: FilePath) -> str:
    try:
        return did_you_mean(file.name, [other.name for other in file.parent.iterdir()])
    except OSError:
        return f"nor is there a folder {file.parent}"

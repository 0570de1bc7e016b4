"""YAML to plain data: as YAML 1.2 says, with the place of every node, and nothing that a definition never needs."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PipelineFileError
from orchestrator.pipelines.yaml_source import MAX_BYTES, parse_yaml, read_text

#: What YAML 1.1 and YAML 1.2 read alike, whatever the style it is dumped in.
#: A text that looks like a number is one to either of them, but not always to both.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda text: not re.match(r"[-+.]*\d", text))
SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXTS
SAFE = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz_", min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(SAFE, st.booleans(), st.sampled_from([None, True, False]))
def test_it_reads_what_the_safe_loader_reads(value: Any, unicode: bool, flow: bool | None) -> None:
    text = yaml.safe_dump({"k": value}, allow_unicode=unicode, default_flow_style=flow, sort_keys=False)
    if "\x7f" in text or "\ufeff" in text:  # printable for PyYAML's writer, not for its reader
        return
    assert parse_yaml(text)[0] == {"k": value}
    assert yaml.safe_load(text) == {"k": value}


@given(SAFE)
def test_every_node_has_a_place_that_shows_it(value: Any) -> None:
    data, positions = parse_yaml(yaml.safe_dump({"root": value}, allow_unicode=False))

    def walk(node: Any, path: tuple[str | int, ...]) -> None:
        line, column = positions.of(path, at_key=True)
        assert line >= 1
        assert 1 <= column <= len(positions.line(line)) + 1
        if isinstance(node, dict):
            for key, inner in node.items():
                key_line, key_column = positions.of((*path, key), at_key=True)
                assert positions.line(key_line)[key_column - 1 :].startswith((key, f"'{key}'", f'"{key}"', f"? {key}"))
                walk(inner, (*path, key))
        if isinstance(node, list):
            for index, inner in enumerate(node):
                walk(inner, (*path, index))

    walk(data, ())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("12:30:45", "12:30:45"),
        ("2020-01-02", "2020-01-02"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("+12", 12),
        ("-0", 0),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("1e400", math.inf),
        ("~", None),
        ("", None),
        ("Null", None),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("1.2.3", "1.2.3"),
        (".", "."),
        ("-", [None]),
        ("0x", "0x"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_words_of_yaml_1_2(text: str, value: Any) -> None:
    data, _ = parse_yaml(f"k: {text}" if text != "-" else "k:\n- ")
    assert data["k"] == value
    assert type(data["k"]) is type(value)


def test_not_a_number() -> None:
    assert math.isnan(parse_yaml("k: .NaN")[0]["k"])


def test_a_block_text_keeps_its_lines() -> None:
    assert parse_yaml("k: |\n  a\n   b\nj: >-\n  c\n  d\n")[0] == {"k": "a\n b\n", "j": "c d"}


def test_aliases_stand_for_what_they_name() -> None:
    data, positions = parse_yaml("a: &x {n: 1}\nb: *x\nc: [*x, &y 2, *y]\n")
    assert data == {"a": {"n": 1}, "b": {"n": 1}, "c": [{"n": 1}, 2, 2]}
    assert positions.of(("b",)) == (2, 4)


def test_json_is_read_as_well() -> None:
    assert parse_yaml('{"a":1,"b":[true,null,"x"],"c":{"d":1.5e3}}')[0] == {
        "a": 1,
        "b": [True, None, "x"],
        "c": {"d": 1500.0},
    }


PLACED = """\
plain: a ${x} ${y} ${x}
single: 'it''s ${x}'
double: "tab\\t${x}"
flow: {k: "${x}", l: ['${y}']}
block: |
  ${y}
    deeper ${x}
  ${x}
folded: >
  one ${x}
  two ${x}
lines: "one ${x}
   two ${y}"
anchor: &a "${z}"
alias: *a
"""


@pytest.mark.parametrize(
    ("path", "placeholder", "occurrence", "expected"),
    [
        (("plain",), "${x}", 0, (1, 10)),
        (("plain",), "${y}", 0, (1, 15)),
        (("plain",), "${x}", 1, (1, 20)),
        (("single",), "${x}", 0, (2, 16)),
        (("double",), "${x}", 0, (3, 15)),
        (("flow", "k"), "${x}", 0, (4, 12)),
        (("flow", "l", 0), "${y}", 0, (4, 24)),
        (("block",), "${y}", 0, (6, 3)),
        (("block",), "${x}", 0, (7, 12)),
        (("block",), "${x}", 1, (8, 3)),
        (("folded",), "${x}", 1, (11, 7)),
        (("lines",), "${y}", 0, (13, 8)),
        (("alias",), "${z}", 0, (15, 8)),
    ],
)
def test_a_placeholder_is_shown_where_it_stands(
    path: tuple[str | int, ...], placeholder: str, occurrence: int, expected: tuple[int, int]
) -> None:
    data, positions = parse_yaml(PLACED)
    value = data
    for key in path:
        value = value[key]
    offset = -1
    for _ in range(occurrence + 1):
        offset = value.index(placeholder, offset + 1)
    assert positions.of_placeholder(path, placeholder, offset) == expected


def test_all_faults_that_leave_the_structure_are_told_at_once() -> None:
    with pytest.raises(PipelineFileError) as caught:
        parse_yaml("a: 1\na: 2\n3: x\nb: !!int 4\nc: *d\ne: [\n", "f.yaml")
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(2, 1), (3, 1), (4, 4), (5, 4), (7, 1)]
    assert str(caught.value).startswith("f.yaml:2:1: duplicate key 'a': it stands in line 1 already\n    a: 2\n    ^")


def test_the_lines_are_those_of_the_parser() -> None:
    with pytest.raises(PipelineFileError) as caught:
        parse_yaml("a: 1\r\nb: 'x\u2028y'\r\n\r\na: 3\r\n")
    assert (caught.value.faults[0].line, caught.value.faults[0].source_line) == (5, "a: 3")


class TestReadText:
    def test_utf_8_with_and_without_mark(self, tmp_path: Path) -> None:
        file = tmp_path / "p.yaml"
        file.write_bytes("\ufeffk: ü".encode())
        assert read_text(file) == "k: ü"

    def test_a_missing_file_names_a_near_one(self, tmp_path: Path) -> None:
        (tmp_path / "pipeline.yaml").write_text("a: 1")
        with pytest.raises(PipelineFileError, match=r"there is no such file \(did you mean 'pipeline.yaml'\?\)"):
            read_text(tmp_path / "pipelin.yaml")
        with pytest.raises(PipelineFileError, match="nor is there a folder"):
            read_text(tmp_path / "nowhere" / "p.yaml")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(PipelineFileError, match="cannot be read: Is a directory"):
            read_text(tmp_path)

    def test_the_bound_on_its_size(self, tmp_path: Path) -> None:
        file = tmp_path / "p.yaml"
        file.write_bytes(b"#" * MAX_BYTES)
        assert len(read_text(file)) == MAX_BYTES
        file.write_bytes(b"#" * (MAX_BYTES + 1))
        with pytest.raises(PipelineFileError, match="larger than 1,000,000 bytes"):
            read_text(file)

    def test_a_file_without_end_is_not_read_to_its_end(self) -> None:
        started = time.process_time()
        with pytest.raises(PipelineFileError, match="is larger than"):
            read_text("/dev/zero")
        assert time.process_time() - started < 1

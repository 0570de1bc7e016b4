"""Lines: whatever the chunks, the same lines; and never much at once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.runners.lines import LINE_BYTES, LINES_KEPT, LineSplitter


def split(chunks: list[bytes]) -> tuple[list[str], int, list[str]]:
    splitter = LineSplitter()
    lines, left_out, live = [], 0, []
    for result in [*map(splitter.feed, chunks), splitter.finish()]:
        lines += result.lines
        left_out += result.left_out
        live += [result.live] if result.live is not None else []
    return lines, left_out, live


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))), st.lists(st.integers(0)))
def test_lines_come_back_however_they_arrive(lines: list[str], cuts: list[int]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    assert split(chunked(data, cuts)) == (lines, 0, [])


@given(st.binary(max_size=200), st.lists(st.integers(0)))
def test_any_bytes_are_bounded_text(data: bytes, cuts: list[int]) -> None:
    lines, left_out, live = split(chunked(data, cuts))
    assert left_out == 0
    assert len(lines) <= data.count(b"\n") + 1
    assert all("\n" not in text for text in lines + live)


def test_an_unfinished_line_is_one_at_the_end() -> None:
    assert split([b"one\ntw", b"o"]) == (["one", "two"], 0, [])


def test_crlf_ends_a_line_also_where_a_chunk_cuts_it() -> None:
    assert split([b"one\r", b"\ntwo\r\n"]) == (["one", "two"], 0, [])


def test_what_is_overwritten_is_shown_live_and_is_no_line() -> None:
    lines, _, live = split([b"10%\r", b"20%\r", b"30%\r100%\n", b"done\n"])
    assert lines == ["100%", "done"]
    assert live == ["10%"]


def test_a_progress_bar_without_an_end_costs_no_memory() -> None:
    splitter = LineSplitter()
    for i in range(10_000):
        splitter.feed(b"%d%% of a long text\r" % i)
    assert len(splitter._rest) < 100
    assert splitter.finish().lines == ["9999% of a long text"]


def test_undecodable_bytes_are_replaced() -> None:
    assert split([b"caf\xe9\n"]) == (["caf\ufffd"], 0, [])


def test_a_long_line_is_cut_and_says_so() -> None:
    lines, _, _ = split([b"x" * 5000] * 4 + [b"\nshort\n"])
    assert lines == ["x" * LINE_BYTES + f" … ({20_000 - LINE_BYTES:,} more bytes)", "short"]


def test_of_a_flood_the_newest_lines_are_kept_and_the_rest_counted() -> None:
    count = 3 * LINES_KEPT
    lines, left_out, _ = split([b"rest of", b"".join(b" %d\n" % i for i in range(count))])
    assert left_out + len(lines) == count
    assert lines == [f" {i}" for i in range(count - LINES_KEPT, count)]

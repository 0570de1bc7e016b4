"""Frames: encode then decode is identity, however the bytes are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.runners.frames import Frame, FrameReader

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
frames = st.builds(Frame, st.text(), st.dictionaries(st.text(), plain), st.binary())


@given(st.lists(frames, max_size=5), st.integers(1, 50))
def test_round_trip(sent: list[Frame], step: int) -> None:
    data = b"".join(part for frame in sent for part in frame.parts())
    reader = FrameReader()
    received = [frame for i in range(0, len(data), step) for frame in reader.feed(data[i : i + step])]
    assert received == sent

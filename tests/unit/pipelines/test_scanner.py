"""Finding `${…}`: what is literal stays literal, and a body ends where its brackets and quotes say."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.errors import TemplateError
from orchestrator.pipelines.scanner import MAX_PLACEHOLDERS, Placeholder, has_placeholder, scan

#: Texts rich in what the scanner looks at.
CROOKED = st.text(st.sampled_from([*"$${}{}ab.[0]'\"\\ \né"]))


def literal(text: str) -> str:
    """A template that stands for exactly this text."""
    return text.replace("${", "$${")


@given(CROOKED)
@example("$${x}")
@example("$$${")
def test_a_literal_text_comes_back_as_it_was(text: str) -> None:
    assert "".join(map(str, scan(literal(text)))) == text
    assert not has_placeholder(literal(text))


@given(CROOKED, CROOKED)
def test_a_placeholder_is_found_between_any_texts(before: str, after: str) -> None:
    parts = scan(f"{literal(before)} ${{name}}{literal(after)}")
    found = [part for part in parts if isinstance(part, Placeholder)]
    assert [part.body for part in found] == ["name"]
    assert found[0].offset == len(literal(before)) + 1


@given(CROOKED)
def test_any_text_is_read_or_refused_with_the_place(text: str) -> None:
    try:
        parts = scan(text)
    except TemplateError as error:
        assert text[error.offset :].startswith("${")
    else:
        for part in parts:
            if isinstance(part, Placeholder):
                assert text[part.offset :].startswith(part.text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("${a}", ("a",)),
        ("${ a.b }", ("a", "b")),
        ("${a.b[0].c}", ("a", "b", 0, "c")),
        ("${a[-1]['x y'][\"z\"]}", ("a", -1, "x y", "z")),
        ("${a.0}", ("a", 0)),
        ("${_private.größe}", ("_private", "größe")),
        ("${a.true}", ("a", "true")),
    ],
)
def test_plain_paths(text: str, path: tuple[object, ...]) -> None:
    (part,) = scan(text)
    assert isinstance(part, Placeholder)
    assert part.path == path


@pytest.mark.parametrize("text", ["${true}", "${a + b}", "${a.b | upper}", "${a[b]}", "${a[1:2]}", "${1}", "${a()}"])
def test_everything_else_is_an_expression(text: str) -> None:
    (part,) = scan(text)
    assert isinstance(part, Placeholder)
    assert part.path is None


@pytest.mark.parametrize(
    "body", [" {'k': {'z': 1}}['k'] ", " '}' ", ' "a}b" + s ', " '\\'}' ", " [{'a': (1, {'b': 2})}] ", "a\n| upper"]
)
def test_a_body_ends_at_its_own_brace(body: str) -> None:
    parts = scan(f"<${{{body}}}>")
    assert [part.body if isinstance(part, Placeholder) else part for part in parts] == ["<", body.strip(), ">"]


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("x ${a", 2, "'}' is missing"),
        ("${a ${b}", 0, "'}' is missing"),
        ("ok ${b} ${}", 8, "names nothing"),
        ("${ 'a }", 0, "the quote ' is not closed"),
        ("${ a) }", 0, "')' closes nothing"),
        ("${" + "(" * 50 + ")" * 50 + "}", 0, "more than 40 brackets"),
        ("${ " + "a " * 2000 + "}", 0, "more than 2,000 characters"),
        ("${a}" * (MAX_PLACEHOLDERS + 1), 4 * MAX_PLACEHOLDERS, "more than 1,000 placeholders"),
    ],
)
def test_what_cannot_be_read(text: str, offset: int, message: str) -> None:
    with pytest.raises(TemplateError, match=message.replace("(", r"\(").replace(")", r"\)")) as caught:
        scan(text)
    assert caught.value.offset == offset

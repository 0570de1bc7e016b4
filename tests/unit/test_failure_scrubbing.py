"""What is kept of an error is JSON-ready and carries no secret, wherever one is planted."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.clock import utc
from orchestrator.failure import ErrorCategory, ErrorInfo, ErrorSeverity, plain, scrub

PLANTED = "hunter2Sesame"

TEXTS = [
    f"password={PLANTED}",
    f"db_password: '{PLANTED} with a space'",
    f'{{"api_key": "{PLANTED}", "n": 1}}',
    f"{{'client_secret': '{PLANTED}'}}",
    f"X-Api-Key: {PLANTED}",
    f"Authorization: Bearer {PLANTED}",
    f"authorization: {PLANTED}",
    f"Proxy-Authorization: Basic {PLANTED}==",
    f"sent bearer {PLANTED}",
    f"Set-Cookie: sid={PLANTED}; Path=/",
    f"postgres://me:{PLANTED}@db/x",
    f"redis://:{PLANTED}@db:6379",
    f"amqp://me:p@{PLANTED}@host/x",
    f"GET /x?access_token={PLANTED}&page=2",
    f"aws_secret_access_key = {PLANTED}",
    f"passphrase={PLANTED}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_loses_its_secret_and_keeps_the_rest(text: str) -> None:
    scrubbed = scrub(f"before {text} after")
    assert PLANTED not in scrubbed
    assert scrubbed.startswith("before ")
    assert "***" in scrubbed
    assert scrub(scrubbed) == scrubbed


@pytest.mark.parametrize(
    "token",
    [
        "sk-abcdefghijklmnop1234",
        "ghp_" + "a1" * 12,
        "xoxb-1234567890-abc",
        "AKIA" + "A1B2C3D4E5F6G7H8",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_tokens_are_known_by_their_shape(token: str) -> None:
    assert scrub(f"used {token} here") == "used *** here"


@pytest.mark.parametrize(
    "text",
    [
        "tokenised 3 rows; the key is missing",
        "max_tokens=512",
        "secretary: Ann",
        "at 12:30, see https://example.org/a?b=c",
        "the task ask-me is done",
        "give --password-file or --token --verbose",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.timeout(10)
def test_long_texts_are_scrubbed_in_no_time() -> None:
    for piece in ("--password ", "--my-token-"):
        scrub(piece * 20_000)
    for piece in ("password=", "://a:", "eyJ", "Authorization: ", "sk-", '"password": "', "a@", "bearer "):
        scrub(piece * 20_000)


def info(**context: Any) -> ErrorInfo:
    return ErrorInfo("1", ErrorCategory.USER, ErrorSeverity.LOW, "m", context=context)


@pytest.mark.parametrize(
    "context",
    [
        {"password": PLANTED},
        {"API-Key": PLANTED},
        {"userPassword2": [PLANTED]},
        {"nested": {"list": [{"auth_token": {"deep": PLANTED}}]}},
        {"request": f"Authorization: Bearer {PLANTED}"},
        {f"password={PLANTED}": 1},
        {"object": type("Client", (), {"__repr__": lambda self: f"Client(token='{PLANTED}')"})()},
        {"set": {f"secret={PLANTED}"}},
        {"error": ValueError(f"password={PLANTED}")},
    ],
    ids=str,
)
def test_a_context_loses_its_secrets(context: dict[str, Any]) -> None:
    assert PLANTED not in json.dumps(info(**context).to_dict())


def test_amounts_and_absent_secrets_stay() -> None:
    kept = {"max_tokens": 512, "token_count": 3, "api_key": None, "password": 1234}
    assert plain(kept) == {**kept, "password": "***"}


def test_everything_of_an_error_is_scrubbed_also_where_it_was_made_by_hand() -> None:
    made = ErrorInfo(
        "1",
        ErrorCategory.USER,
        ErrorSeverity.LOW,
        f"password={PLANTED}",
        exception=ValueError(f"token={PLANTED}"),
        traceback=f"File x\n  api_key = '{PLANTED}'",
    )
    assert PLANTED not in json.dumps(made.to_dict())


def test_a_cause_is_scrubbed_in_the_traceback() -> None:
    try:
        try:
            raise ValueError(f"password={PLANTED}")
        except ValueError as cause:
            raise RuntimeError("outer") from cause
    except RuntimeError as exc:
        kept = ErrorInfo.of(exc, error_id="1", timestamp=utc(0)).to_dict()
    assert "direct cause" in kept["traceback"]
    assert PLANTED not in kept["traceback"].replace('f"password={PLANTED}"', "")


def test_plain_data_is_ready_for_json() -> None:
    value = {
        "when": datetime(2030, 1, 2, tzinfo=UTC),
        "day": date(2030, 1, 2),
        "path": Path("/a/b"),
        "number": Decimal("1.5"),
        "set": {1},
        "category": ErrorCategory.USER,
        3: (1, 2.5, float("nan")),
        "raw": b"x",
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "when": "2030-01-02T00:00:00+00:00",
        "day": "2030-01-02",
        "path": "/a/b",
        "number": "1.5",
        "set": [1],
        "category": "user",
        "3": [1, 2.5, "nan"],
        "raw": "b'x'",
    }


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=20,
)


@given(anything)
def test_any_value_becomes_json(value: Any) -> None:
    json.dumps(plain(value), allow_nan=False).encode()


def test_endless_huge_and_hostile_values_are_bounded() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert len(json.dumps(plain(endless))) < 1000
    assert len(plain(list(range(10**6)))) <= 1000
    assert len(plain("x" * 10**6)) == 8000

    class Hostile(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("no")

        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert plain({"a": 1, "b": Hostile()}) == "no"


def test_an_error_gives_its_category_and_severity() -> None:
    category, severity = info()
    assert (category, severity) == (ErrorCategory.USER, ErrorSeverity.LOW)


@pytest.mark.parametrize("option", ["--password", "-password", "--db-password", "--api-key"])
def test_an_option_loses_its_secret(option: str) -> None:
    assert scrub(f"psql {option} {PLANTED} -v ended with exit code 3") == f"psql {option} *** -v ended with exit code 3"

"""Exceptions as data: out of a worker and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.errors import EncodeError, HandlerExitError, HandlerNotFoundError, RemoteError
from orchestrator.failure import ErrorCategory, classify
from orchestrator.runners.handler_errors import as_failure, describe, rebuild


def travelled(exc: BaseException) -> Exception:
    return rebuild(json.loads(json.dumps(describe(exc))))


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("no", 3),
        KeyError("name"),
        ZeroDivisionError(),
        ConnectionRefusedError(111, "refused"),
        FileNotFoundError(2, "No such file", "/a/path"),
        TimeoutError("late"),
    ],
    ids=repr,
)
def test_builtins_come_back_as_they_were(exc: Exception) -> None:
    back = travelled(exc)
    assert (type(back), back.args, str(back)) == (type(exc), exc.args, str(exc))
    assert vars(back)["remote_traceback"]


@pytest.mark.parametrize(
    "exc", [EncodeError("rows[3]", "io.TextIOWrapper", "open"), HandlerNotFoundError("no such", "a:b", ["c"])], ids=repr
)
def test_our_own_keep_their_sentence_and_facts(exc: Exception) -> None:
    back = travelled(exc)
    assert (type(back), str(back)) == (type(exc), str(exc))
    assert {k: v for k, v in vars(exc).items() if isinstance(v, str)}.items() <= vars(back).items()


class OwnError(Exception):
    def __init__(self, status_code: int, handle: Any) -> None:
        self.status_code, self.handle = status_code, handle
        super().__init__(f"status {status_code}")


def test_foreign_ones_become_remote_errors_that_still_tell_their_kind() -> None:
    back = travelled(OwnError(401, object()))
    assert isinstance(back, RemoteError)
    assert str(back) == f"{OwnError.__module__}.OwnError: status 401"
    assert classify(back).category is ErrorCategory.AUTHENTICATION
    assert not hasattr(back, "handle")


@pytest.mark.parametrize(
    "exc", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), ExceptionGroup("g", [ValueError()])]
)
def test_builtins_that_take_more_than_text_are_named(exc: Exception) -> None:
    back = travelled(exc)
    assert isinstance(back, RemoteError)
    assert back.type_name == f"builtins.{type(exc).__name__}"


def test_an_argument_that_is_no_plain_data_leaves_the_message() -> None:
    back = travelled(ValueError(object))
    assert (type(back), str(back)) == (ValueError, str(object))


def test_causes_travel_and_are_classified() -> None:
    try:
        try:
            raise ConnectionResetError(104, "reset")
        except OSError as inner:
            raise OwnError(0, None) from inner
    except OwnError as exc:
        back = travelled(exc)
    assert isinstance(back.__cause__, ConnectionResetError)
    assert classify(back).category is ErrorCategory.NETWORK
    assert "OwnError" in vars(back)["remote_traceback"]


def test_a_loop_of_causes_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert str(travelled(one)) == "one"


@pytest.mark.parametrize("exc", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_would_end_the_program_fails_the_attempt(exc: BaseException) -> None:
    failure = as_failure(exc)
    assert isinstance(failure, HandlerExitError)
    assert failure.__cause__ is exc
    assert type(exc).__name__ in str(failure)


def test_stop_iteration_becomes_an_error_that_can_travel() -> None:
    assert isinstance(as_failure(StopIteration(1)), RuntimeError)

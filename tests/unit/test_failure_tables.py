"""The tables of classification: every row is reachable, the most specific base decides, a user's row goes first."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import (
    DeadlineError,
    FailStepError,
    InnerStepError,
    InputError,
    RemoteError,
    TooManyIterationsError,
)
from orchestrator.failure import Classifier, ErrorCategory, ErrorSeverity, Rules, classify
from orchestrator.failure.tables import (
    BROAD_TYPES,
    ERRNOS,
    MESSAGES,
    SERVICE_CODES,
    SQLSTATES,
    STATUSES,
    TYPES,
    Verdict,
)
from orchestrator.types import StepKey

C, S = ErrorCategory, ErrorSeverity
#: What no table says.
NOTHING = (C.EXECUTION, S.MEDIUM)


def verdict_of(exc: BaseException, rules: Rules | None = None) -> Verdict:
    found = (rules or Rules()).classify(exc, 0.0)
    return found.category, found.severity


def a_class(address: str, *bases: type[BaseException]) -> type[BaseException]:
    """The class of that address where it is built in, else one that looks like it."""
    module, _, name = address.rpartition(".")
    if module == "builtins":
        return getattr(builtins, name)  # type: ignore[no-any-return]
    return type(name, bases or (Exception,), {"__module__": module})


def below(kind: type[BaseException]) -> type[BaseException]:
    return type("Own", (kind,), {"__module__": "own"})


TYPE_ROWS = sorted(TYPES.items())


@pytest.mark.parametrize(("address", "verdict"), TYPE_ROWS, ids=[row[0] for row in TYPE_ROWS])
def test_every_type_has_its_row_and_so_do_its_subclasses(address: str, verdict: Verdict) -> None:
    kind = a_class(address)
    assert verdict_of(kind()) == verdict
    assert verdict_of(below(kind)()) == verdict
    assert verdict_of(RemoteError(address, "", "")) == verdict


@pytest.mark.parametrize("address", [address for address, _ in TYPE_ROWS if not address.startswith("builtins.")])
def test_a_class_is_known_also_where_it_is_defined_deeper_in_its_package(address: str) -> None:
    package, _, name = address.rpartition(".")
    assert verdict_of(a_class(f"{package}._impl.{name}")()) == TYPES[address]
    assert verdict_of(a_class(f"{package}ish.{name}")()) == NOTHING


@pytest.mark.parametrize(("address", "verdict"), sorted(BROAD_TYPES.items()))
def test_a_broad_type_is_asked_after_codes_and_messages(address: str, verdict: Verdict) -> None:
    kind = below(a_class(address))
    assert verdict_of(kind()) == verdict
    coded = kind()
    coded.status_code = 504  # type: ignore[attr-defined]
    assert verdict_of(coded) == (C.TIMEOUT, S.MEDIUM)
    assert verdict_of(kind("the quota exceeded")) == (C.RESOURCE, S.HIGH)


def carrying(**attributes: Any) -> Exception:
    exc = a_class("other.ApiError")()
    vars(exc).update(attributes)
    assert isinstance(exc, Exception)
    return exc


def in_response(**attributes: Any) -> Exception:
    return carrying(response=type("Response", (), attributes)())


@pytest.mark.parametrize(("number", "verdict"), ERRNOS.items())
def test_every_errno(number: int, verdict: Verdict) -> None:
    assert verdict_of(carrying(errno=number)) == verdict


@pytest.mark.parametrize(("status", "verdict"), STATUSES.items())
def test_every_status_wherever_it_stands(status: int, verdict: Verdict) -> None:
    code = status if status >= 100 else status * 100 + 90
    for exc in (
        carrying(status_code=code),
        carrying(status=code),
        carrying(code=code),
        in_response(status_code=code),
        in_response(status=code),
        carrying(response={"ResponseMetadata": {"HTTPStatusCode": code}}),
    ):
        assert verdict_of(exc) == verdict


@pytest.mark.parametrize(("state", "verdict"), SQLSTATES.items())
def test_every_sqlstate_wherever_it_stands(state: str, verdict: Verdict) -> None:
    full = state if len(state) == 5 else f"{state}ZZ9"
    for exc in (carrying(sqlstate=full), carrying(pgcode=full.lower()), carrying(orig=carrying(sqlstate=full))):
        assert verdict_of(exc) == verdict


@pytest.mark.parametrize(("word", "verdict"), SERVICE_CODES.items())
def test_every_word_of_a_service_wherever_it_stands(word: str, verdict: Verdict) -> None:
    throttled_as_400 = {"Error": {"Code": word}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    status = Enum("StatusCode", [word])[word]
    of_grpc = a_class("grpc.RpcError")
    called = type("InactiveRpcError", (of_grpc,), {"__module__": "grpc._channel", "code": lambda self: status})
    for exc in (carrying(code=word), carrying(response=throttled_as_400), carrying(sqlite_errorname=word), called()):
        assert verdict_of(exc) == verdict


TEXTS = [
    ("the read timed out", (C.TIMEOUT, S.MEDIUM)),
    ("certificate verify failed", (C.AUTHENTICATION, S.HIGH)),
    ("Invalid API key", (C.AUTHENTICATION, S.HIGH)),
    ("Cannot allocate memory", (C.RESOURCE, S.CRITICAL)),
    ("No space left on device", (C.RESOURCE, S.HIGH)),
    ("database is locked", (C.RESOURCE, S.MEDIUM)),
    ("Connection refused", (C.NETWORK, S.MEDIUM)),
    ("could not connect to server", (C.NETWORK, S.MEDIUM)),
    ("Temporary failure in name resolution", (C.NETWORK, S.MEDIUM)),
    ("No module named 'x'", (C.DEPENDENCY, S.HIGH)),
    ("invalid configuration: x", (C.CONFIGURATION, S.HIGH)),
]


def test_every_message_rule_is_reached() -> None:
    reached = set()
    for text, verdict in TEXTS:
        assert verdict_of(RuntimeError(text)) == verdict
        reached.add(next(rule.pattern.pattern for rule in MESSAGES if rule.pattern.search(text)))
    assert reached == {rule.pattern.pattern for rule in MESSAGES}


def test_numbers_that_are_no_status_say_nothing() -> None:
    for exc in (carrying(code=7), carrying(code=True), carrying(status=200), carrying(errno=99999), carrying(code="x")):
        assert verdict_of(exc) == NOTHING


# -- rows of users -----------------------------------------------------------------------------------------------------

verdicts = st.tuples(st.sampled_from(C), st.sampled_from(S))
addresses = st.sampled_from([address for address, _ in TYPE_ROWS])


@given(addresses, verdicts, st.booleans())
def test_a_users_row_goes_before_the_built_in_one_of_the_same_type(address: str, own: Verdict, by_name: bool) -> None:
    kind = a_class(address)
    classifier = Classifier()
    classifier.add(address if by_name else kind, *own)
    assert verdict_of(below(kind)(), classifier.rules) == own
    assert verdict_of(RemoteError(address, "", ""), classifier.rules) == own
    assert verdict_of(kind()) == TYPES[address]  # nobody else's tables changed


@given(addresses, verdicts, verdicts)
def test_the_most_specific_base_decides(address: str, own: Verdict, base: Verdict) -> None:
    kind = a_class(address)
    classifier = Classifier()
    classifier.add(Exception, *base)
    classifier.add(BaseException, *base)
    assert verdict_of(kind(), classifier.rules) == TYPES[address]
    assert verdict_of(carrying(status=503), classifier.rules) == base
    mine = below(kind)
    classifier.add("own.Own", *own)
    assert verdict_of(below(mine)(), classifier.rules) == own


def test_a_row_by_a_public_address_and_one_by_the_private_address() -> None:
    classifier = Classifier()
    classifier.add("shop.OutOfStock", "resource", "low")
    assert verdict_of(a_class("shop._errors.OutOfStock")(), classifier.rules) == (C.RESOURCE, S.LOW)
    classifier.add("shop._errors.OutOfStock", "user")
    assert verdict_of(a_class("shop._errors.OutOfStock")(), classifier.rules) == (C.USER, S.MEDIUM)


def test_rows_for_codes_and_texts() -> None:
    classifier = Classifier()
    classifier.add_codes(
        "user", "low", errnos=[9], service_codes=["Mine"], sqlstates=["zz001"], statuses=[404], messages=["timed out"]
    )
    for exc in (
        carrying(errno=9),
        carrying(code="Mine"),
        carrying(sqlstate="ZZ001"),
        carrying(status=404),
        RuntimeError("it Timed Out"),
    ):
        assert verdict_of(exc, classifier.rules) == (C.USER, S.LOW)
        assert verdict_of(exc) != (C.USER, S.LOW)


@pytest.mark.parametrize(
    "row", [(3, "user"), ("plain", "user"), (int, "user"), (ValueError, "nothing"), (ValueError, "user", "huge")]
)
def test_a_row_that_cannot_be_is_refused(row: Any) -> None:
    with pytest.raises(InputError):
        Classifier().add(*row)
    with pytest.raises(InputError, match="regular expression"):
        Classifier().add_codes("user", messages=["("])


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TYPES["builtins.ValueError"] = NOTHING  # type: ignore[index]


# -- causes and groups -------------------------------------------------------------------------------------------------


def chained(*links: BaseException, explicit: bool = True) -> BaseException:
    for above, cause in pairwise(links):
        if explicit:
            above.__cause__ = cause
        else:
            above.__context__ = cause
    return links[0]


@given(st.integers(0, 5), st.booleans())
def test_a_cause_counts_where_nothing_above_it_says_more(depth: int, explicit: bool) -> None:
    exc = chained(*(a_class("own.Vague")("timed out") for _ in range(depth + 1)), MemoryError(), explicit=explicit)
    assert verdict_of(exc) == (C.RESOURCE, S.CRITICAL)


def test_a_code_above_goes_before_a_type_below() -> None:
    assert verdict_of(chained(carrying(status_code=429), ValueError("no JSON"))) == (C.RESOURCE, S.MEDIUM)


def test_a_context_that_was_suppressed_does_not_count() -> None:
    exc = chained(a_class("own.Vague")(), MemoryError(), explicit=False)
    exc.__suppress_context__ = True
    assert verdict_of(exc) == NOTHING


def test_a_loop_of_causes_and_of_groups_ends() -> None:
    one, two = a_class("own.One")(), a_class("own.Two")()
    one.__cause__, two.__cause__ = two, one
    assert verdict_of(one) == NOTHING
    leaf = RuntimeError("leaf")
    group = ExceptionGroup("g", [leaf])
    leaf.__cause__ = group
    assert verdict_of(group) == NOTHING


def test_a_group_means_what_its_worst_member_means() -> None:
    members = [ValueError(), ConnectionError(), TimeoutError()]
    assert verdict_of(ExceptionGroup("timed out", members)) == (C.NETWORK, S.MEDIUM)
    assert verdict_of(ExceptionGroup("g", [ExceptionGroup("h", [*members, MemoryError()])])) == (C.RESOURCE, S.CRITICAL)
    assert verdict_of(chained(RuntimeError(), ExceptionGroup("g", [ValueError()]))) == (C.VALIDATION, S.LOW)
    assert verdict_of(ExceptionGroup("g", [ValueError() for _ in range(5000)])) == (C.VALIDATION, S.LOW)


def ends() -> Iterator[BaseException]:
    import asyncio

    yield KeyboardInterrupt()
    yield SystemExit(404)
    yield asyncio.CancelledError()
    yield GeneratorExit()
    yield a_class("own.End", BaseException)()


@pytest.mark.parametrize("exc", list(ends()), ids=repr)
def test_what_ends_a_program_or_a_task_is_critical(exc: BaseException) -> None:
    assert classify(exc).severity is S.CRITICAL


class Hostile(Exception):
    """Raises wherever one looks."""

    def __getattribute__(self, name: str) -> Any:
        if name in {"__class__", "__cause__", "__context__", "__suppress_context__"}:
            return super().__getattribute__(name)
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_nothing_that_an_exception_does_makes_classification_raise() -> None:
    assert verdict_of(Hostile()) == NOTHING


@pytest.mark.parametrize(
    ("real", "verdict"),
    [
        ("import apsw; raise apsw.BusyError('x')", (C.RESOURCE, S.MEDIUM)),
        ("import subprocess; subprocess.run(['sleep', '9'], timeout=0)", (C.TIMEOUT, S.MEDIUM)),
        ("import json; json.loads('{')", (C.VALIDATION, S.LOW)),
        (
            "import socket; socket.getaddrinfo('no.such.host.invalid', 1, flags=socket.AI_NUMERICHOST)",
            (C.NETWORK, S.MEDIUM),
        ),
        ("import concurrent.futures.process as p; raise p.BrokenProcessPool", (C.RESOURCE, S.MEDIUM)),
        ("import urllib.error as u; raise u.HTTPError('x', 429, 'slow', {}, None)", (C.RESOURCE, S.MEDIUM)),
        ("import urllib.error as u; raise u.URLError('no')", (C.NETWORK, S.MEDIUM)),
        ("import ssl; raise ssl.SSLCertVerificationError('x')", (C.AUTHENTICATION, S.HIGH)),
        ("import http.client as h; raise h.RemoteDisconnected('x')", (C.NETWORK, S.MEDIUM)),
        ("open('/no/such/file')", (C.SYSTEM, S.HIGH)),
        ("raise PermissionError('no')", (C.AUTHENTICATION, S.HIGH)),
        ("1 / 0", (C.EXECUTION, S.LOW)),
    ],
)
def test_real_exceptions(real: str, verdict: Verdict) -> None:
    with pytest.raises(Exception) as caught:
        exec(real, {})
    assert verdict_of(caught.value) == verdict


def test_what_a_step_came_to_by_one_inside_of_it_means_the_same() -> None:
    kept = {"message": "refused", "category": "network", "severity": "medium"}
    assert verdict_of(InnerStepError(StepKey("b.x"), kept)) == (C.NETWORK, S.MEDIUM)
    assert verdict_of(InnerStepError(StepKey("b.x"), {})) == NOTHING
    assert verdict_of(InnerStepError(StepKey("b.x"), {**kept, "category": "of another version"})) == NOTHING


def test_our_own_errors_of_waits_and_ends() -> None:
    assert verdict_of(DeadlineError("paid", "signal 'paid'"))[0] is C.TIMEOUT
    assert verdict_of(FailStepError("no rows: connection refused"))[0] is C.USER
    assert verdict_of(TooManyIterationsError("poll", 1000))[0] is C.EXECUTION

"""What errors mean, as tables: the only place that knows it.

A type is named by its class and a module in which, or below which, it is defined, so that the public address of a class
serves as well as the private one. The most specific base that has a row decides. A type that says less than the code it
carries (`OSError`, a database's `OperationalError`, an HTTP client's base class) stands among the *broad* ones, which
are asked last.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, TypeVar

from orchestrator.failure.words import ErrorCategory, ErrorSeverity

_C, _V = ErrorCategory, ErrorSeverity
Verdict: TypeAlias = tuple[ErrorCategory, ErrorSeverity]
K = TypeVar("K")

_PASSING_NETWORK = (_C.NETWORK, _V.MEDIUM)
_TIMEOUT = (_C.TIMEOUT, _V.MEDIUM)
_BUSY = (_C.RESOURCE, _V.MEDIUM)
_FULL = (_C.RESOURCE, _V.HIGH)
_NO_MEMORY = (_C.RESOURCE, _V.CRITICAL)
_REFUSED = (_C.AUTHENTICATION, _V.HIGH)
_INVALID = (_C.VALIDATION, _V.LOW)
_BUG = (_C.EXECUTION, _V.HIGH)
_FAILED = (_C.EXECUTION, _V.MEDIUM)
_SYSTEM = (_C.SYSTEM, _V.HIGH)
_MISSING = (_C.DEPENDENCY, _V.HIGH)
_SETUP = (_C.CONFIGURATION, _V.HIGH)


class MessageRule(NamedTuple):
    """A pattern, looked for in an error's text, and what it means."""

    pattern: re.Pattern[str]
    category: ErrorCategory
    severity: ErrorSeverity


def _table(*rows: tuple[Verdict, Iterable[K]]) -> Mapping[K, Verdict]:
    return MappingProxyType({key: verdict for verdict, keys in rows for key in keys})


def _names(text: str) -> list[str]:
    """`package: A B` lines as `package.A`, `package.B`."""
    found = []
    for line in text.strip().splitlines():
        package, _, names = line.partition(":")
        found += [f"{package.strip()}.{name}" for name in names.split()]
    return found


def _words(text: str) -> list[str]:
    return text.split()


TYPES = _table(
    (
        _PASSING_NETWORK,
        _names("""
            builtins: ConnectionError
            socket: gaierror herror
            ssl: SSLError
            asyncio: IncompleteReadError
            http.client: RemoteDisconnected IncompleteRead BadStatusLine
            requests.exceptions: ConnectionError ChunkedEncodingError
            urllib3.exceptions: ProtocolError NewConnectionError MaxRetryError ProxyError SSLError IncompleteRead
            httpx: TransportError
            httpcore: NetworkError ProtocolError ProxyError
            aiohttp: ClientConnectionError ClientPayloadError
            websockets.exceptions: ConnectionClosed
            redis.exceptions: ConnectionError
            pymongo.errors: ConnectionFailure
            asyncpg.exceptions: PostgresConnectionError
            botocore.exceptions: ConnectionError EndpointConnectionError ConnectionClosedError HTTPClientError
            google.auth.exceptions: TransportError
            azure.core.exceptions: ServiceRequestError ServiceResponseError IncompleteReadError
            openai: APIConnectionError
            anthropic: APIConnectionError
            paramiko.ssh_exception: NoValidConnectionsError
        """),
    ),
    (
        _TIMEOUT,
        _names("""
            orchestrator.errors: StepTimeoutError DeadlineError
            builtins: TimeoutError
            subprocess: TimeoutExpired
            multiprocessing: TimeoutError
            requests.exceptions: Timeout ConnectTimeout ReadTimeout
            urllib3.exceptions: TimeoutError
            httpx: TimeoutException
            httpcore: TimeoutException
            aiohttp: ServerTimeoutError
            redis.exceptions: TimeoutError
            pymongo.errors: NetworkTimeout ServerSelectionTimeoutError ExecutionTimeout
            psycopg.errors: QueryCanceled ConnectionTimeout
            sqlalchemy.exc: TimeoutError
            botocore.exceptions: ConnectTimeoutError ReadTimeoutError
            google.api_core.exceptions: RetryError DeadlineExceeded
            azure.core.exceptions: ServiceRequestTimeoutError ServiceResponseTimeoutError
            openai: APITimeoutError
            anthropic: APITimeoutError
        """),
    ),
    (
        _BUSY,
        _names("""
            orchestrator.errors: WorkerLostError StoreBusyError
            builtins: BlockingIOError
            concurrent.futures: BrokenExecutor
            urllib3.exceptions: PoolError
            httpx: PoolTimeout
            httpcore: PoolTimeout
            redis.exceptions: BusyLoadingError
            apsw: BusyError LockedError
            google.api_core.exceptions: ResourceExhausted TooManyRequests
            openai: RateLimitError
            anthropic: RateLimitError OverloadedError
        """),
    ),
    (_FULL, _names("apsw: FullError\nredis.exceptions: OutOfMemoryError")),
    (_NO_MEMORY, _names("builtins: MemoryError\napsw: NoMemError")),
    (
        _REFUSED,
        _names("""
            ssl: SSLCertVerificationError
            requests.exceptions: ProxyAuthenticationRequired
            redis.exceptions: AuthenticationError AuthorizationError NoPermissionError
            botocore.exceptions: NoCredentialsError PartialCredentialsError TokenRetrievalError
            google.auth.exceptions: DefaultCredentialsError RefreshError
            azure.core.exceptions: ClientAuthenticationError
            openai: AuthenticationError PermissionDeniedError
            anthropic: AuthenticationError PermissionDeniedError
            paramiko.ssh_exception: AuthenticationException
            psycopg.errors: InvalidPassword
        """),
    ),
    (
        _INVALID,
        _names("""
            orchestrator.errors: InputError
            builtins: ValueError TypeError LookupError AssertionError
            sqlite3: IntegrityError DataError
            apsw: ConstraintError MismatchError TooBigError
            jsonschema.exceptions: ValidationError
            marshmallow.exceptions: ValidationError
            openai: BadRequestError UnprocessableEntityError NotFoundError
            anthropic: BadRequestError UnprocessableEntityError NotFoundError
        """),
    ),
    ((_C.VALIDATION, _V.HIGH), _names("orchestrator.errors: CodecError")),
    ((_C.EXECUTION, _V.LOW), _names("builtins: ArithmeticError AttributeError")),
    (
        _FAILED,
        _names("""
            orchestrator.errors: ShellError
            subprocess: CalledProcessError
            requests.exceptions: TooManyRedirects
        """),
    ),
    (_BUG, _names("builtins: RecursionError NameError NotImplementedError SyntaxError")),
    (_MISSING, _names("builtins: ImportError")),
    (_SETUP, _names("orchestrator.errors: PipelineError\nconfigparser: Error")),
    (_SYSTEM, _names("orchestrator.errors: HandlerStillRunningError\nsqlite3: InternalError\napsw: CorruptError")),
    (
        (_C.SYSTEM, _V.CRITICAL),
        _names("orchestrator.errors: TooManyInterruptionsError\nbuiltins: SystemExit GeneratorExit"),
    ),
    ((_C.USER, _V.HIGH), _names("orchestrator.errors: FailStepError")),
    (_FAILED, _names("orchestrator.errors: TooManyIterationsError")),
    ((_C.USER, _V.CRITICAL), _names("builtins: KeyboardInterrupt\nasyncio: CancelledError")),
)

#: Types that are asked last, since a code or a text says more.
BROAD_TYPES = _table(
    (_REFUSED, _names("builtins: PermissionError")),
    (_SYSTEM, _names("builtins: OSError\napsw: Error\nsqlite3: Error")),
    (
        _PASSING_NETWORK,
        _names("""
            urllib.error: URLError
            http.client: HTTPException
            requests: RequestException
            httpx: HTTPError
            aiohttp: ClientError
            urllib3.exceptions: HTTPError
            grpc: RpcError
            psycopg: OperationalError InterfaceError
            psycopg2: OperationalError InterfaceError
            pymysql.err: OperationalError InterfaceError
            mysql.connector.errors: OperationalError InterfaceError
            sqlalchemy.exc: OperationalError InterfaceError
            asyncpg.exceptions: InterfaceError
            pymongo.errors: AutoReconnect
            google.api_core.exceptions: GoogleAPICallError
            azure.core.exceptions: HttpResponseError
            openai: APIError
            anthropic: APIError
        """),
    ),
    (
        _INVALID,
        _names("""
            psycopg: IntegrityError DataError
            psycopg2: IntegrityError DataError
            sqlalchemy.exc: IntegrityError DataError
            redis.exceptions: ResponseError
        """),
    ),
    (
        _BUG,
        _names("""
            sqlite3: ProgrammingError
            psycopg: ProgrammingError
            psycopg2: ProgrammingError
            sqlalchemy.exc: ProgrammingError
        """),
    ),
)

ERRNOS = _table(
    (
        _PASSING_NETWORK,
        [
            *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN, errno.EPIPE, errno.ESHUTDOWN),
            *(errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET),
        ],
    ),
    (_TIMEOUT, [errno.ETIMEDOUT]),
    (_BUSY, [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EBUSY, errno.ENOBUFS, errno.EADDRINUSE]),
    (_FULL, [errno.ENOSPC, errno.EDQUOT]),
    (_NO_MEMORY, [errno.ENOMEM]),
    (_REFUSED, [errno.EACCES]),
    (_SYSTEM, [errno.EPERM]),
)

#: HTTP statuses. One digit stands for the statuses of that hundred that have no row of their own.
STATUSES = _table(
    (_INVALID, [4]),
    (_PASSING_NETWORK, [5, 421, 425]),
    (_REFUSED, [401, 403, 407, 511]),
    (_TIMEOUT, [408, 504]),
    (_BUSY, [423, 429, 529]),
    (_FULL, [507]),
    (_BUG, [501, 505]),
)

#: SQLSTATE. Two characters stand for the states of that class that have no row of their own.
SQLSTATES = _table(
    (_PASSING_NETWORK, ["08", "57P01", "57P02", "57P03"]),
    (_BUSY, ["40", "53", "55006", "55P03", "57P05"]),
    (_FULL, ["53100"]),
    (_TIMEOUT, ["57014", "25P03", "25P04", "HYT00", "HYT01"]),
    (_REFUSED, ["28", "42501"]),
    (_INVALID, ["21", "22", "23", "44"]),
    (_BUG, ["26", "34", "42", "0A"]),
    (_SETUP, ["3D", "3F", "F0"]),
    (_SYSTEM, ["54", "55", "57", "58", "XX"]),
)

#: The words by which services and databases name a fault (gRPC, AWS, SQLite).
SERVICE_CODES = _table(
    (
        _BUSY,
        _words("""
        RESOURCE_EXHAUSTED ABORTED Throttling ThrottlingException ThrottledException RequestThrottled
        RequestThrottledException RequestLimitExceeded BandwidthLimitExceeded LimitExceededException
        ProvisionedThroughputExceededException TransactionInProgressException TooManyRequestsException SlowDown
        PriorRequestNotComplete EC2ThrottledException SQLITE_BUSY SQLITE_LOCKED rate_limit_exceeded overloaded_error
        """),
    ),
    (_PASSING_NETWORK, _words("UNAVAILABLE ServiceUnavailable InternalError InternalFailure")),
    (_TIMEOUT, _words("DEADLINE_EXCEEDED RequestTimeout RequestTimeoutException")),
    (
        _REFUSED,
        _words("""
        UNAUTHENTICATED PERMISSION_DENIED AccessDenied AccessDeniedException ExpiredToken ExpiredTokenException
        InvalidClientTokenId InvalidAccessKeyId SignatureDoesNotMatch UnrecognizedClientException AuthFailure
        UnauthorizedOperation
        """),
    ),
    (
        _INVALID,
        _words("INVALID_ARGUMENT NOT_FOUND ALREADY_EXISTS OUT_OF_RANGE FAILED_PRECONDITION ValidationException"),
    ),
    (_BUG, ["UNIMPLEMENTED"]),
    (_SYSTEM, _words("INTERNAL DATA_LOSS SQLITE_CORRUPT SQLITE_IOERR SQLITE_READONLY SQLITE_CANTOPEN")),
    (_FULL, _words("SQLITE_FULL insufficient_quota")),
)

#: The last resort, for types that say nothing. The first that is found decides.
MESSAGES = tuple(
    MessageRule(re.compile(pattern, re.IGNORECASE), *verdict)
    for pattern, verdict in (
        (r"\btimed? ?out\b|deadline exceeded", _TIMEOUT),
        (r"certificate verify failed|unauthori[sz]ed|authentication (failed|required|error)|access denied", _REFUSED),
        (r"permission denied|forbidden|invalid (api key|token|credentials?|password)", _REFUSED),
        (r"out of memory|cannot allocate memory", _NO_MEMORY),
        (r"no space left|disk (is )?full|quota exceeded", _FULL),
        (r"too many (requests|open files|connections)|rate limit|throttl|database is locked|deadlock", _BUSY),
        (r"connection (was )?(refused|reset|aborted|closed|lost|failed|error)|closed the connection", _PASSING_NETWORK),
        (r"(could not|cannot|failed to|unable to) connect|network (is unreachable|error)", _PASSING_NETWORK),
        (r"name or service|name resolution|no route to host|broken pipe|temporarily unavailable", _PASSING_NETWORK),
        (r"no module named|missing dependency", _MISSING),
        (r"(missing|invalid|bad) configuration|not configured|misconfigured", _SETUP),
    )
)

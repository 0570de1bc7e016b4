"""What steps raise: the same exception in the first life and in each later one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.functions.lives import RAN, Lives, at_the_end, everywhere, lives

from orchestrator import ExecutionStatus, pipeline, step
from orchestrator.errors import ExecutionFailedError, StepFailedError, StepTimeoutError
from orchestrator.journal import events as ev

__all__ = ["lives"]


class Refused(Exception):
    """With arguments and attributes of its own."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Picky(Exception):
    """Made of more than its arguments."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port}")
        self.address = (host, port)


class OwnOSError(PermissionError):
    def __init__(self, path: str) -> None:
        super().__init__(13, "Keep out", path)
        self.path = path


class Response:
    """No value that can be recorded."""

    def __repr__(self) -> str:
        return "<response>"


class HttpError(Exception):
    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response, self.status = response, 503


class WithLock(Exception):
    """One whose arguments cannot be recorded."""


def raised_by(kind: str) -> Exception:
    local = type("Local", (ValueError,), {"__module__": __name__, "__qualname__": "raised_by.<locals>.Local"})
    made: dict[str, Any] = {
        "value": lambda: ValueError("no", 3, ("a", None)),
        "key": lambda: KeyError("a"),
        "os": lambda: FileNotFoundError(2, "No such file", "/x"),
        "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        "own_os": lambda: OwnOSError("/y"),
        "import": lambda: ImportError("no module"),
        "refused": lambda: Refused(404, reason="gone"),
        "picky": lambda: Picky("h", 1),
        "http": lambda: HttpError("busy", Response()),
        "lock": lambda: WithLock(Response()),
        "local": lambda: local("lost"),
        "group": lambda: ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
        "timeout": lambda: TimeoutError("late"),
        "stop": lambda: StopIteration(7),
        "empty": lambda: RuntimeError(),
        "notes": lambda: noted(ValueError("x"), "in the third row"),
    }
    exc: Exception = made[kind]()
    return exc


def noted(exc: Exception, note: str) -> Exception:
    exc.add_note(note)
    return exc


@step
def raises(kind: str) -> None:
    RAN.append(kind)
    raise raised_by(kind)


@step
async def later() -> int:
    RAN.append("later")
    return 1


def seen(exc: BaseException) -> list[Any]:
    state = {k: v for k, v in vars(exc).items() if not k.startswith("__")}
    return [type(exc).__qualname__, str(exc), repr(exc.args), sorted(map(repr, state.items()))]


@pipeline
async def catches(kinds: list[str]) -> list[Any]:
    found = []
    for kind in kinds:
        try:
            await raises.aio(kind)
        except Exception as exc:  # noqa: BLE001 - whatever it is
            found.append(seen(exc))
    return [*found, await later()]


@pipeline
def catches_plainly(kinds: list[str]) -> list[Any]:
    found = []
    for kind in kinds:
        try:
            raises(kind)
        except Exception as exc:  # noqa: BLE001 - whatever it is
            found.append(seen(exc))
    return [*found, later.wait()]


@pipeline
async def catches_in_place(kinds: list[str]) -> list[Any]:
    found = []
    for kind in kinds:
        try:
            raises(kind)
        except Exception as exc:  # noqa: BLE001 - whatever it is
            found.append(seen(exc))
    return [*found, await later()]


KINDS = ("value", "key", "os", "unicode", "refused", "picky", "timeout", "empty", "notes", "own_os", "import")


@pytest.mark.parametrize("function", [catches, catches_plainly, catches_in_place])
def test_an_exception_has_its_class_arguments_and_attributes(function: Any) -> None:
    assert at_the_end(function, KINDS) == [*(seen(raised_by(kind)) for kind in KINDS), 1]


@pytest.mark.parametrize("function", [catches, catches_plainly, catches_in_place])
def test_an_exception_that_cannot_be_recorded_is_the_same_in_every_life(function: Any) -> None:
    assert len(at_the_end(function, ["http", "lock", "local", "group", "stop"])) == 6


def test_an_exception_is_the_same_wherever_the_engine_dies() -> None:
    everywhere(catches, ["refused", "local"])


@pytest.mark.parametrize("kind", ["os", "own_os"])
def test_an_os_error_has_its_number_and_its_file(lives: Lives, kind: str) -> None:
    @pipeline
    async def tells() -> list[Any]:
        try:
            await raises.aio(kind)
        except OSError as exc:
            return [exc.errno, exc.strerror, exc.filename]
        return []

    exc = raised_by(kind)
    assert isinstance(exc, OSError)
    assert lives.result(tells) == [exc.errno, exc.strerror, exc.filename]


def test_a_class_that_no_process_finds_again_is_another_from_the_first_run_on(lives: Lives) -> None:
    (name, text, *_), _ = lives.result(catches, ["local"])
    assert name == "StepFailedError"
    assert "lost" in text
    assert "Local" in text


def test_attributes_that_cannot_be_recorded_are_left_out_with_a_note(lives: Lives) -> None:
    @pipeline
    async def tells() -> list[Any]:
        try:
            await raises.aio("http")
        except HttpError as exc:
            return [hasattr(exc, "response"), exc.status, str(exc), exc.__notes__]
        return []

    has, status, text, notes = lives.result(tells)
    assert (has, status) == (False, 503)
    assert "response" in notes[0]
    assert "busy" in text


def test_notes_are_kept(lives: Lives) -> None:
    @pipeline
    async def tells() -> Any:
        try:
            await raises.aio("notes")
        except ValueError as exc:
            return getattr(exc, "__notes__", None)

    assert lives.result(tells) == ["in the third row"]


@pipeline
async def lets_pass(kind: str) -> None:
    await raises.aio(kind)


@pytest.mark.parametrize("kind", ["value", "refused", "os"])
def test_what_a_function_lets_pass_is_the_cause_of_its_failure(lives: Lives, kind: str) -> None:
    result = lives.run(lets_pass, kind)
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, "raises")
    with pytest.raises(ExecutionFailedError) as caught:
        result.raise_for_status()
    assert caught.value.__cause__ is not None
    assert seen(caught.value.__cause__) == seen(raised_by(kind))


@pipeline
async def chains() -> None:
    try:
        await raises.aio("value")
    except ValueError as exc:
        raise RuntimeError("all is lost") from exc


def test_an_exception_from_that_of_a_step_names_the_step(lives: Lives) -> None:
    result = lives.run(chains)
    assert result.failed_step == "raises"
    with pytest.raises(ExecutionFailedError) as caught:
        result.raise_for_status()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_exception_of_the_function_itself_names_no_step(lives: Lives) -> None:
    @pipeline
    async def own() -> None:
        await later()
        raise Refused(1, reason="by myself")

    result = lives.run(own)
    assert (result.status, result.failed_step) == (ExecutionStatus.FAILED, None)
    with pytest.raises(ExecutionFailedError) as caught:
        result.raise_for_status()
    assert isinstance(caught.value.__cause__, Refused)
    assert caught.value.__cause__.code == 1


SECRET = "sk-abcdefghijklmnopqrstuvwx"


class Leaky(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text, [text], {"nested": text})
        self.url, self.api_key = f"https://me:{SECRET}@host/", SECRET[3:]
        self.headers = {"Authorization": "opensesame123"}


@step
def leaks() -> None:
    raise noted(Leaky(f"token={SECRET}"), f"password: {SECRET}")


@pipeline
async def tells_of_a_leak() -> str:
    try:
        await leaks.aio()
    except Leaky as exc:
        return str(exc)
    return ""


def test_no_secret_of_an_exception_is_recorded(lives: Lives) -> None:
    lives.run(tells_of_a_leak)
    recorded = repr([entry.event for entry in lives.app().history("x")])
    assert "Leaky" in recorded
    for secret in (SECRET, SECRET[3:], "opensesame123"):
        assert secret not in recorded


@step
async def refuses_later() -> None:
    await asyncio.sleep(30)
    raise Refused(1, reason="never")


@pipeline
async def grouped() -> list[Any]:
    found: list[Any] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(raises.aio("refused"))
            group.create_task(refuses_later())
    except* Refused as errors:
        found.append([seen(exc) for exc in errors.exceptions])
    return [found, await later()]


def test_a_task_group_raises_a_group_of_what_its_steps_raised(lives: Lives) -> None:
    assert lives.result(grouped) == [[[seen(raised_by("refused"))]], 1]
    assert lives.status("refuses_later") == "cancelled"


def test_a_task_group_is_the_same_wherever_the_engine_dies() -> None:
    everywhere(grouped)


@pipeline
async def group_passes() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(raises.aio("value"))


def test_a_group_that_passes_names_the_step_and_keeps_what_is_in_it(lives: Lives) -> None:
    result = lives.run(group_passes)
    assert result.failed_step == "raises"
    assert result.error is not None
    assert "ExceptionGroup" in str(result.error["type"])
    with pytest.raises(ExecutionFailedError) as caught:
        result.raise_for_status()
    cause = caught.value.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert [type(exc) for exc in cause.exceptions] == [ValueError]


@step
def group_step() -> None:
    raise ExceptionGroup("two", [ValueError("a"), Refused(3, reason="r")])


@pipeline
async def catches_group() -> list[Any]:
    found: list[Any] = []
    try:
        await group_step.aio()
    except* ValueError as errors:
        found.append(["value", len(errors.exceptions)])
    except* Refused as errors:
        found += [exc.code for exc in errors.exceptions if isinstance(exc, Refused)]
    return found


def test_a_group_that_a_step_raised_can_be_caught_by_its_parts(lives: Lives) -> None:
    assert lives.result(catches_group) == [["value", 1], 3]


def test_a_group_that_a_step_raised_is_the_same_wherever_the_engine_dies() -> None:
    everywhere(catches_group)


@step(timeout=0.05)
async def slow() -> None:
    await asyncio.sleep(30)


@pipeline
async def waits_for_slow() -> str:
    try:
        await slow()
    except StepTimeoutError as exc:
        return f"{exc.step_key} {exc}"
    return ""


def test_an_error_of_the_engine_is_raised_with_its_class(lives: Lives) -> None:
    assert lives.result(waits_for_slow).startswith("slow ")


def test_an_error_of_the_engine_is_the_same_wherever_it_dies() -> None:
    everywhere(waits_for_slow)


@step
async def exits() -> None:
    raise SystemExit(3)


@step
async def cancels_itself() -> None:
    raise asyncio.CancelledError


@pipeline
async def catches_what_ends() -> list[str]:
    found = []
    for call in (exits, cancels_itself):
        try:
            await call()
        except Exception as exc:  # noqa: BLE001 - whatever it is
            found.append(type(exc).__name__)
    return found


def test_what_would_end_a_program_is_an_exception_of_its_step() -> None:
    assert everywhere(catches_what_ends) == ["HandlerExitError", "HandlerExitError"]


@pipeline
async def inner(kind: str) -> None:
    await raises.aio(kind)


@pipeline
async def catches_a_child(kind: str) -> list[Any]:
    try:
        await inner(kind)
    except Exception as exc:  # noqa: BLE001 - whatever it is
        return seen(exc)
    return []


@pytest.mark.parametrize("kind", ["refused", "os", "http", "local"])
def test_what_a_child_lets_pass_is_the_same_as_what_its_step_raised(lives: Lives, kind: str) -> None:
    name, _, args, *_ = lives.result(catches_a_child, kind)
    wanted, _, wanted_args, *_ = Lives().result(catches, [kind])[0]
    assert (name, args.replace("inner/", "")) == (wanted, wanted_args)


def test_the_failure_of_a_step_names_the_cause_in_the_journal(lives: Lives) -> None:
    lives.run(catches_a_child, "refused")
    failed = {str(event.key): event.cause for event in lives.history(ev.StepFailed)}
    assert failed == {"inner/raises": None, "inner": "inner/raises"}


def test_an_unknown_class_shows_what_it_was(lives: Lives) -> None:
    with pytest.raises(ExecutionFailedError) as caught:
        lives.run(lets_pass, "local").raise_for_status()
    assert isinstance(caught.value.__cause__, StepFailedError)

"""Shell steps: one command in a session of its own, its output streamed as notes and kept as the step's value.

A command is over when its leader has ended; what it leaves behind is ended by its keeper, so that a pipe held open by
a grandchild keeps nobody waiting. stdout is kept up to `STDOUT_BYTES`: it is the step's value, so that more of it
fails the step instead of being cut. Of stderr the end is kept. Either may be a flood: what is not kept costs a read.
"""

from __future__ import annotations

import contextlib
import errno
import json
import textwrap
from collections.abc import Callable
from typing import Any

from orchestrator.clock import Clock
from orchestrator.errors import CommandNotStartedError, OutputError, ShellError, WorkerLostError
from orchestrator.execution.driver import Attempt, ShellCommand
from orchestrator.runners.environment import for_command
from orchestrator.runners.guard_client import Guard, Spawn
from orchestrator.runners.lines import LineSplitter
from orchestrator.runners.notes import NoteFunnel
from orchestrator.runners.pipes import ChildPipe
from orchestrator.runners.supervise import supervise

STDOUT_BYTES = 16 * 1024 * 1024
STDERR_BYTES = 64 * 1024
#: How much of stderr, and of the command itself, an error message shows.
_SHOWN_STDERR, _SHOWN_COMMAND = 2000, 200


async def run_command(
    attempt: Attempt, command: ShellCommand, *, guard: Guard, owner_token: str, clock: Clock, grace_seconds: float
) -> dict[str, Any]:
    """Run a shell step's command; see `ShellCommand` for its value and `Runner.invoke` for what is raised."""
    shown = textwrap.shorten(command.shown or " ".join(command.argv), _SHOWN_COMMAND)
    output = _Output(NoteFunnel(attempt, clock))
    spawn = Spawn(command.argv, for_command(attempt, command.env, owner_token), command.cwd)
    with contextlib.ExitStack() as stack:
        pipes = [stack.enter_context(ChildPipe(feed)) for feed in output.feeds]
        stack.callback(output.finish)
        try:
            child = await guard.spawn(spawn, [pipe.write_end for pipe in pipes])
        except (OSError, ValueError) as exc:
            raise _not_started(shown, spawn, exc) from exc
        for pipe in pipes:
            pipe.handed_over()
        output.on_too_much = child.kill
        try:
            await supervise(
                child.gone,
                child.reins(grace_seconds),
                step_key=attempt.step_key,
                timeout_seconds=attempt.timeout_seconds,
            )
        finally:
            for pipe in pipes:
                pipe.drain()
    return _value(shown, command, child.gone.result(), output)


class _Output:
    """What a command writes: to stdout, to stderr, and to its progress descriptor."""

    def __init__(self, funnel: NoteFunnel) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.too_much = False
        self.on_too_much: Callable[[], object] = lambda: None
        self.feeds = (self._on_stdout, self._on_stderr, self._on_progress)
        self._funnel = funnel
        self._splitters = {kind: LineSplitter() for kind in ("stdout", "stderr", "progress")}

    def finish(self) -> None:
        """Nothing more will come: unfinished lines are told as they stand."""
        for kind in ("stdout", "stderr"):
            self._funnel.lines(kind, self._splitters[kind].finish())
        self._tell_progress(self._splitters["progress"].finish().lines)
        self._funnel.flush()

    def _on_stdout(self, data: bytes) -> None:
        self._funnel.lines("stdout", self._splitters["stdout"].feed(data))
        if len(self.stdout) + len(data) <= STDOUT_BYTES:
            self.stdout += data
        elif not self.too_much:
            self.too_much = True
            self.on_too_much()

    def _on_stderr(self, data: bytes) -> None:
        self._funnel.lines("stderr", self._splitters["stderr"].feed(data))
        self.stderr += data
        if len(self.stderr) > 2 * STDERR_BYTES:
            del self.stderr[:-STDERR_BYTES]

    def _on_progress(self, data: bytes) -> None:
        self._tell_progress(self._splitters["progress"].feed(data).lines)

    def _tell_progress(self, lines: list[str]) -> None:
        """`0.4 message` each; what is no number is told as a log line."""
        for line in lines:
            fraction, _, text = line.strip().partition(" ")
            try:
                self._funnel.progress(float(fraction), text.strip())
            except ValueError:
                self._funnel.texts("log", [f"not understood on the progress descriptor: {line}"])


def _value(shown: str, command: ShellCommand, exit_code: int | None, output: _Output) -> dict[str, Any]:
    """The step's value, or why there is none."""
    if output.too_much:
        limit = STDOUT_BYTES // 1024**2
        raise OutputError(shown, f"it wrote more than {limit} MiB to stdout; let it write to a file and print its path")
    stderr = output.stderr[-STDERR_BYTES:].decode("utf-8", "replace")
    if exit_code is None:
        raise WorkerLostError(f"the process that watched over {shown} was killed, and the command with it")
    if exit_code != 0:
        raise ShellError(shown, exit_code, stderr.strip()[-_SHOWN_STDERR:])
    value = {"exit_code": exit_code, "stdout": output.stdout.decode("utf-8", "replace"), "stderr": stderr}
    if command.parse == "json":
        value["json"] = _parse_json(shown, output.stdout)
    return value


def _parse_json(shown: str, stdout: bytearray) -> Any:
    try:
        return json.loads(stdout)
    except (ValueError, RecursionError) as exc:
        what = "stdout is empty"
        if isinstance(exc, json.JSONDecodeError) and (text := exc.doc.strip()):
            what = (
                f"stdout is no JSON ({exc.msg} at line {exc.lineno} column {exc.colno}); it begins with {text[:80]!r}"
            )
        elif stdout.strip():
            what = f"stdout cannot be read as JSON ({exc})"
        raise OutputError(shown, f"{what}; `parse: json` was asked for") from exc


def _not_started(shown: str, spawn: Spawn, exc: OSError | ValueError) -> CommandNotStartedError:
    """The kernel's reason in words."""
    if isinstance(exc, ValueError):
        return CommandNotStartedError(shown, str(exc))
    program, number = spawn.argv[0], exc.errno or 0
    found = "/" in program or exc.filename == spawn.cwd
    reason = f"{exc.strerror}"
    if exc.filename == spawn.cwd:
        reason = f"its working folder {spawn.cwd} cannot be entered ({exc.strerror})"
    elif number == errno.ENOENT and not found:
        reason = f"there is no command {program!r} on PATH ({spawn.env.get('PATH', '')})"
    elif number == errno.ENOENT:
        reason = f"there is no file {program!r} (or its first line names an interpreter that does not exist)"
    elif number == errno.EACCES:
        reason = f"{program!r} may not be executed (is it a program, and does it have the x permission?)"
    elif number == errno.ENOEXEC:
        reason = f"{program!r} is no program: a script needs a first line like `#!/bin/sh`"
    elif number == errno.E2BIG:
        size = sum(len(text) for text in (*spawn.argv, *spawn.env.values()))
        longest = max(len(text) for text in (*spawn.argv, *spawn.env.values()))
        reason = (
            f"its arguments and environment are too large ({size:,} characters, {longest:,} in the longest)"
            "; pass large values in a file"
        )
    return CommandNotStartedError(shown, reason, number)

"""Sessions of the command line for its tests: as a child with pipes, and as a person's session in a terminal."""

import atexit
import fcntl
import functools
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.acceptance.forked import Forks

COMMAND = [sys.executable, "-m", "orchestrator"]
#: No test is right only because something took less time than this; it is there for what never comes.
PATIENCE_SECONDS = 30.0

#: Handlers that the pipelines of these tests call. A gate is a file that somebody makes when it is time.
HANDLERS = '''
import logging, os, subprocess, time
from pathlib import Path
from orchestrator import current_attempt, progress

def give(value=None): return value

def witness(file, value=None):
    with open(file, "a") as f: f.write(f"{value}\\n")
    return value

def gate(opened, reached="", value=None):
    if reached: Path(reached).touch()
    while not Path(opened).exists(): time.sleep(0.01)
    return value

def tell(opened, reached):
    progress(0.5, "half way")
    return gate(opened, reached)

def loud(value=None):
    print("printed")
    os.write(1, b"raw line\\n")
    subprocess.run(["echo", "of a child"])
    logging.getLogger("shop").warning("logged")
    return value

async def hold(reached):
    """Does what an async handler must not: it holds the loop."""
    Path(reached).touch()
    time.sleep(600)

def fail_until(file):
    """Fails until the file is there."""
    if not Path(file).exists():
        raise ConnectionError(f"attempt {current_attempt().attempt}: no connection")
    return "connected"
'''


def write_pipeline(folder: Path, *steps: str, name: str = "shop", rest: str = "") -> Path:
    """A pipeline file with these steps (one line of YAML each), beside the handlers."""
    (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    file = folder / "pipeline.yaml"
    file.write_text(f"pipeline: {name}\nsteps:\n" + "".join(f"  - {step}\n" for step in steps) + rest, encoding="utf-8")
    return file


def environment(**changes: str) -> Mapping[str, str]:
    """The environment of a session, without what the machine of the tests may have set."""
    unset = ("NO_COLOR", "ORCHESTRATOR_STORE", "COLUMNS", "LINES", "FORCE_COLOR", "PYTHONIOENCODING", "LC_ALL")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return {**kept, "LANG": "C.UTF-8", "TERM": "xterm-256color", **changes}


def orchestrator(folder: Path, *arguments: object, exits: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder` to its end; fails where its exit code is not `exits`.

    It is forked from a process that has loaded it; with variables that Python reads at its start, Python is started.
    """
    words = [*map(str, arguments)]
    if any(name.startswith(("PYTHON", "LC_", "TERM")) for name in env):
        done = started(folder, *words, **env)
    else:
        done = _forks().run(words, folder, environment(**env), PATIENCE_SECONDS * 2)
    told = f"{arguments} ended with {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
    assert done.returncode == exits, told
    return done


def started(folder: Path, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Start Python for the command, and wait for its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@functools.cache
def _forks() -> Forks:
    """What all commands of this run are forked from."""
    made = Forks(environment())
    atexit.register(made.close)
    return made


def as_json(folder: Path, *arguments: object, exits: int = 0) -> Any:
    """Run the command with `--json` and read what it printed."""
    return json.loads(orchestrator(folder, *arguments, "--json", exits=exits).stdout)


def start(folder: Path, *arguments: object, **env: str) -> subprocess.Popen[str]:
    """Start the command in `folder`, with pipes."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env=environment(**env),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)


class Screen:
    """A terminal as far as our views need one: lines, the cursor up and down, erasing, colours counted, not shown."""

    _PART = re.compile(r"\x1b\[(?P<args>[?0-9;]*)(?P<verb>[A-Za-z])|(?P<text>[^\x1b\r\n]+)|(?P<control>[\r\n])")

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[str] = [""]
        self.row = self.column = 0
        self.colours: set[str] = set()
        self.cursor_shown = True
        #: What was wider than the terminal.
        self.wrapped: list[str] = []

    def feed(self, text: str) -> None:
        for part in self._PART.finditer(text):
            if part["text"]:
                self._write(part["text"])
            elif part["control"] == "\r":
                self.column = 0
            elif part["control"] == "\n":
                self.row += 1
            else:
                self._escape(part["verb"], part["args"])

    def _escape(self, verb: str, args: str) -> None:
        if verb == "A":
            self.row -= int(args or 1)
        elif verb == "K":
            self._line()
            self.lines[self.row] = "" if args == "2" else self.lines[self.row][: self.column]
        elif verb == "m":
            self.colours.update(args.split(";"))
        elif args == "?25":
            self.cursor_shown = verb == "h"

    def _line(self) -> None:
        self.lines += [""] * (self.row + 1 - len(self.lines))

    def _write(self, text: str) -> None:
        while (room := self.columns - self.column) < len(text):
            self.wrapped.append(text)
            self._write(text[:room])
            self.row, self.column, text = self.row + 1, 0, text[room:]
        self._line()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + text + line[self.column + len(text) :]
        self.column += len(text)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    """The command in a terminal of its own, with a person's keys. Use it as a `with` block."""

    def __init__(self, folder: Path, *arguments: object, columns: int = 100, rows: int = 30, **env: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        login = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
        command = [sys.executable, "-c", login, *COMMAND, *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=folder, env=environment(**env), stdin=slave, close_fds=True)
        os.close(slave)
        self.screen = Screen(columns)
        self._undecoded = b""

    def __enter__(self) -> Self:
        return self

    def type(self, keys: bytes) -> None:
        """Press keys; b"\\x03" is Ctrl-C."""
        os.write(self._master, keys)

    def wait_for(self, text: str) -> str:
        """Wait until the screen shows this; what it shows then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.screen.text:
            assert self._read(deadline), f"never shown: {text!r}; shown was\n{self.screen.text}"
        return self.screen.text

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE_SECONDS)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        try:
            data = os.read(self._master, 65536) if ready else b""
        except OSError:  # the last one has closed its side
            data = b""
        whole = (self._undecoded + data).decode("utf-8", "ignore")
        self._undecoded = (self._undecoded + data)[len(whole.encode()) :]
        self.screen.feed(whole)
        return bool(data)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

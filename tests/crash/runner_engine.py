"""An engine for the tests beside it: starts what it is told to in the folder it is given, then waits to be killed.

Arguments: the kind (shell, process, thread, fork), the folder, the owner token.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from orchestrator.execution.driver import PythonCall, Work
from orchestrator.runners.local import LocalRunner
from orchestrator.testing.runner_contract import make_attempt, sh

#: Every way out of a process group at once; each of these writes its pid.
ESCAPES = """
me='echo $$ >> pids; exec sleep 600'
sh -c "$me" &
nohup sh -c "$me" >/dev/null 2>&1 &
setsid sh -c "$me" &
( setsid sh -c "sh -c '$me' &" & )
(trap '' TERM INT HUP; sh -c "$me" & sleep 600) &
echo $$ > leader; echo $$ >> pids
"""
#: One that carries no mark: only who watches over the tree can know it.
UNMARKED = "env -i PATH=$PATH setsid sh -c '(sh -c \"echo \\$\\$ >> pids; exec sleep 600\" &)' &\n"

HANDLERS = """
import os, subprocess, time, warnings
def note():
    with open("pids", "a") as file: file.write(f"{os.getpid()}\\n")
def starts(script):
    subprocess.Popen(["sh", "-c", script])
    if script: time.sleep(600)
def in_process(script):
    note(); starts(script)
def forks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if os.fork() == 0: note()
    time.sleep(600)
"""


def work(kind: str, folder: Path) -> Work:
    everything = ESCAPES + UNMARKED + "sleep 600"
    match kind:
        case "shell":
            return sh(everything, folder)
        case "marked":
            return sh(ESCAPES + "sleep 600", folder)
        case "process":
            return PythonCall("handlers:in_process", {"script": everything}, process=True)
        case "thread":
            return PythonCall("handlers:starts", {"script": ESCAPES + "sleep 600"})
        case _:
            return PythonCall("handlers:forks", {})


async def main(kind: str, folder: Path, token: str) -> None:
    (folder / "handlers.py").write_text(HANDLERS)
    runner = LocalRunner(token, mark_environment=True)
    await runner.open()
    await runner.invoke(make_attempt(work(kind, folder), folder))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))

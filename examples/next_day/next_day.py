"""A report that needs two days: what was written into a folder until the next morning.

    python examples/next_day/next_day.py docs              # counts the words of today, and ends with exit code 3
    orchestrator scheduler                                 # goes on with it tomorrow at seven, in whatever process
    orchestrator show next-day                             # when it is due, and what came of it
    python examples/next_day/next_day.py docs --id try --after 65     # the same, in a minute

Between the two counts no process is needed: the execution is a row in the store, with the time at which it is due.
`now()` is read once and recorded, so that "tomorrow" is the same day after any restart; a `datetime.now()` in its place
would be a later one each time.
"""

import argparse
import sys
from datetime import datetime, timedelta
from pathlib import Path

from orchestrator import now, pipeline, run, sleep, step
from orchestrator.errors import ExecutionWaitsError


@step
def count(folder: Path) -> dict[str, int]:
    """The words of each Markdown file below a folder."""
    return {
        str(file.relative_to(folder)): len(file.read_text(encoding="utf-8").split())
        for file in sorted(folder.rglob("*.md"))
    }


@step
def write_report(lines: list[str], report: Path) -> Path:
    """The report, as a file."""
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return report


@pipeline
async def next_day(folder: Path, report: Path, after: float | None = None) -> Path:
    """Count, wait until seven in the morning (UTC), count again; what is different."""
    began = now()
    before = await count.aio(folder)
    await sleep(tomorrow(began) if after is None else after)
    words = await count.aio(folder)
    lines = [f"# {began:%Y-%m-%d} to {now():%Y-%m-%d}", ""]
    for file in sorted({*before, *words}):
        if change := words.get(file, 0) - before.get(file, 0):
            lines.append(f"- {file}: {change:+} words")
    return await write_report.aio(lines if len(lines) > 2 else [*lines, "Nothing was written."], report)


def tomorrow(moment: datetime) -> datetime:
    """Seven in the morning of the day after."""
    return (moment + timedelta(days=1)).replace(hour=7, minute=0, second=0, microsecond=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path, default=Path("words.md"))
    parser.add_argument("--id", default="next-day")
    parser.add_argument("--after", type=float, help="seconds, in place of the next morning")
    given = parser.parse_args()
    try:
        done = run(
            next_day.options(execution_id=given.id), given.folder.absolute(), given.report.absolute(), given.after
        )
        print(done.read_text(encoding="utf-8"), end="")
    except ExecutionWaitsError as waits:
        print(waits)
        sys.exit(3)

"""Handlers: plain functions, called by the steps of pipeline.yaml. What they return is recorded."""

from pathlib import Path
from typing import TypedDict

from orchestrator import progress


class Measure(TypedDict):
    """What there is in one file."""

    name: str
    lines: int
    words: int


def find(folder: Path, pattern: str) -> list[str]:
    """The files of the folder, sorted."""
    found = sorted(str(path) for path in Path(folder).glob(pattern) if path.is_file())
    print(f"{len(found)} files in {folder}")
    return found


def measure(path: str) -> Measure:
    """Count the lines and words of one file."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    progress(0.5, "read")
    return Measure(name=Path(path).name, lines=len(text.splitlines()), words=len(text.split()))


def write_report(files: list[Measure], size: str, out: Path) -> str:
    """Write a table of the files, longest first, and return its path."""
    rows = sorted(files, key=lambda file: file["lines"], reverse=True)
    lines = ["| file | lines | words |", "|---|---:|---:|"]
    lines += [f"| {row['name']} | {row['lines']} | {row['words']} |" for row in rows]
    path = Path(out) / "report.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{size.split()[0]} KiB in all\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return str(path)

"""`orchestrator init`: a starter pipeline, the files of the folder `starter` beside this module."""

from __future__ import annotations

import os
import sys
from importlib import resources
from pathlib import Path

import click

from orchestrator.cli.options import hints

STARTER_FILES = ("pipeline.yaml", "tasks.py")


@click.command()
@click.argument("directory", required=False, default=".", metavar="[DIR]", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a small pipeline that runs, to start from.

    Writes pipeline.yaml and tasks.py into DIR (the working folder by default), and never overwrites a file.
    """
    from orchestrator.cli.paper import Paper
    from orchestrator.errors import InputError

    there = [name for name in STARTER_FILES if os.path.lexists(directory / name)]
    if there:
        names = " and ".join(str(directory / name) for name in there)
        raise InputError(f"{names} would be overwritten; give another DIR")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in STARTER_FILES:
            with (directory / name).open("x", encoding="utf-8") as file:
                file.write(resources.files("orchestrator.cli").joinpath("starter", name).read_text(encoding="utf-8"))
    except OSError as exc:
        raise InputError(f"{directory} cannot be written to: {exc.strerror or exc}") from exc
    paper = Paper(sys.stdout)
    paper.lines(f"{paper.symbol('completed')} {directory / name}" for name in STARTER_FILES)
    paper.line()
    paper.line(f"  run it   {paper.bold(hints(None).command('run', str(directory / STARTER_FILES[0])))}")

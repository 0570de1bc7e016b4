"""A shell text with `${…}` in it: every placeholder becomes a reference to an environment variable.

So a value is never read as shell code. Where the placeholder stands outside of quotes it is put between double quotes,
so that the shell neither splits nor globs it: one placeholder is one word. Between single quotes (and in a
here-document with a quoted delimiter) the shell expands nothing, so a placeholder there is a fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import TemplateError
from orchestrator.pipelines.scanner import Placeholder, scan
from orchestrator.pipelines.shell_quoting import Quoting
from orchestrator.pipelines.wording import shorten

#: Prefix of the environment variables that carry the values.
ARGUMENT_PREFIX = "ORCHESTRATOR_ARG_"
#: Linux takes at most 128 KiB as one argument.
MAX_SCRIPT = 100_000


@dataclass(frozen=True, slots=True)
class ShellParts:
    """The script for `sh -c`, and the placeholder whose value each `${ORCHESTRATOR_ARG_n}` is."""

    script: str
    placeholders: tuple[Placeholder, ...]


def split_shell(text: str) -> ShellParts:
    """Take the placeholders out of a shell text. Raises TemplateError."""
    if len(text) > MAX_SCRIPT:
        raise TemplateError(f"a shell text of more than {MAX_SCRIPT:,} characters; put it into a file and run that")
    quoting = Quoting()
    script: list[str] = []
    placeholders: list[Placeholder] = []
    for part in scan(text):
        if isinstance(part, str):
            quoting.feed(part)
            script.append(part)
            continue
        if fault := quoting.fault(shorten(part.text)):
            raise TemplateError(fault, part.text, part.offset)
        reference = f"${{{ARGUMENT_PREFIX}{len(placeholders)}}}"
        script.append(f'"{reference}"' if quoting.bare else reference)
        quoting.feed("x")
        placeholders.append(part)
    return ShellParts("".join(script), tuple(placeholders))

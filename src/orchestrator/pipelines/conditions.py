"""Fields whose text must be one lone `${…}`: conditions, and what a loop goes through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.errors import TemplateError
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.scanner import Placeholder, has_placeholder, scan
from orchestrator.pipelines.wording import Path, kind_of


def condition_rules(owner: Mapping[str, Any], field: str, path: Path) -> Iterator[Finding]:
    """A condition is true, false or one `${…}`: any other text would always be true."""
    if field not in owner or isinstance(condition := owner[field], bool):
        return
    where = (*path, field)
    if not isinstance(condition, str):
        yield Finding(where, f"expected a condition such as ${{rows | length > 0}}, got {kind_of(condition)}")
    elif not is_faulty(condition) and not is_lone(condition):
        what = "is text around a ${…}" if has_placeholder(condition) else "has no ${…}"
        yield Finding(where, f"the condition {what}: a text is always true", hint=lone_hint(condition))


def is_faulty(value: object) -> bool:
    """Whether a text cannot even be scanned, which is reported where its templates are compiled."""
    try:
        scan(value if isinstance(value, str) else "")
    except TemplateError:
        return True
    return False


def is_lone(text: str) -> bool:
    """Whether a text is one placeholder and nothing else."""
    parts = scan(text)
    return len(parts) == 1 and isinstance(parts[0], Placeholder)


def lone_hint(text: str) -> str:
    """What to write in the place of a text that should be one placeholder."""
    if is_lone(text.strip()):
        return "a block text ends with a line break: begin it with >- or |-"
    bare = "".join(part if isinstance(part, str) else part.body for part in scan(text)).strip()
    return f"write ${{{bare}}}" if bare else "write one ${…}"

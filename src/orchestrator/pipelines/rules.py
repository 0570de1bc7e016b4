"""What holds between the fields of one step, and within an input."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from orchestrator.errors import TemplateError
from orchestrator.pipelines.definition import KINDS, InputDef, StepDef
from orchestrator.pipelines.error_rules import error_rules, retry_rules
from orchestrator.pipelines.input_types import unfit
from orchestrator.pipelines.positions import Finding
from orchestrator.pipelines.scanner import Placeholder, has_placeholder, scan
from orchestrator.pipelines.wording import Path, kind_of, nearest, one_of

#: A field -> the kinds that it belongs to.
_ONLY_WITH = {
    "with": ("call",),
    "runner": ("call",),
    "returns": ("call",),
    "env": ("run",),
    "cwd": ("run",),
    "parse": ("run",),
    "timeout": ("call", "run"),
    "retry": ("call", "run"),
    "on_error": ("call", "run"),
}


def step_rules(step: StepDef, path: Path, keys: Collection[str]) -> Iterator[Finding]:
    """`keys` are those that the step has, also the ones whose value was at fault and is not in `step`."""
    kinds = [kind for kind in KINDS if kind in keys]
    if len(kinds) > 1:
        found = one_of(kinds).replace(" or ", " and ")
        yield Finding((*path, kinds[1]), f"a step is one of call, run and set; this one has {found}", at_key=True)
    elif not kinds and not _misspelt(keys):
        yield Finding(path, "a step is one of call, run and set; this one has none of them")
    for field, allowed in _ONLY_WITH.items():
        if field in keys and kinds and not set(kinds) & set(allowed):
            yield Finding(
                (*path, field), f"{field!r} belongs to {one_of(allowed)}, this step is {kinds[0]!r}", at_key=True
            )
    for field in ("as", "max_parallel"):
        if field in keys and "for_each" not in keys:
            yield Finding((*path, field), f"{field!r} belongs to for_each, which this step has not", at_key=True)
    if step.get("set", ...) == {}:
        yield Finding((*path, "set"), "this step sets nothing")
    yield from _condition(step, path)
    yield from _loop(step, path)
    yield from retry_rules(step.get("retry", {}), (*path, "retry"))
    if "on_error" in step:
        yield from error_rules(step["on_error"], (*path, "on_error"))


def _misspelt(keys: Collection[str]) -> bool:
    """Whether an unknown key, which is reported for itself, is likely to be meant as the kind."""
    return any(nearest(key, KINDS) for key in keys if key not in StepDef.__annotations__)


def _condition(step: StepDef, path: Path) -> Iterator[Finding]:
    if "when" not in step or isinstance(condition := step["when"], bool):
        return
    where = (*path, "when")
    if not isinstance(condition, str):
        yield Finding(where, f"expected a condition such as ${{rows | length > 0}}, got {kind_of(condition)}")
    elif not _faulty(condition) and not _is_lone(condition):
        what = "is text around a ${…}" if has_placeholder(condition) else "has no ${…}"
        yield Finding(where, f"the condition {what}: a text is always true", hint=_hint(condition))


def _loop(step: StepDef, path: Path) -> Iterator[Finding]:
    items = step.get("for_each")
    where = (*path, "for_each")
    if isinstance(items, str) and not _faulty(items) and not _is_lone(items):
        yield Finding(where, "for_each takes a list, this is text", hint=_hint(items))
    elif items is not None and not isinstance(items, (str, list, Mapping)):
        yield Finding(where, f"for_each takes a list, a mapping or one ${{…}}, got {kind_of(items)}")


def input_rules(spec: InputDef, path: Path) -> Iterator[Finding]:
    """A default must be of its type, and is no template."""
    if "default" not in spec or (default := spec["default"]) is None:
        return
    if _faulty(default) or has_placeholder(default):
        message = "an input is a plain value: a ${…} in it is not filled in"
        yield Finding((*path, "default"), message, hint="compute it in a `set` step")
    elif fault := unfit(default, spec.get("type", "any")):
        yield Finding((*path, "default"), f"{fault} as default", hint="or change the type")


def _faulty(value: object) -> bool:
    """Whether a text cannot even be scanned, which is reported where its templates are compiled."""
    try:
        scan(value if isinstance(value, str) else "")
    except TemplateError:
        return True
    return False


def _is_lone(text: str) -> bool:
    parts = scan(text)
    return len(parts) == 1 and isinstance(parts[0], Placeholder)


def _hint(text: str) -> str:
    """What to write in the place of a text that should be one placeholder."""
    if _is_lone(text.strip()):
        return "a block text ends with a line break: begin it with >- or |-"
    bare = "".join(part if isinstance(part, str) else part.body for part in scan(text)).strip()
    return f"write ${{{bare}}}" if bare else "write one ${…}"

"""A reference page made from the docstrings of a module: what is public, what it takes, what it says of itself."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

#: Page -> its module, and the names that a user of the contract's rooms has no need for.
PAGES = {
    "variables": "orchestrator.execution.variables",
    "state": "orchestrator.execution.state",
    "progress": "orchestrator.execution.progress",
    "recovery": "orchestrator.execution.recovery",
    "integration": "orchestrator.execution.integration",
    "engine": "orchestrator.execution.engine",
    "test-kit": "orchestrator.testing",
}
_NOTE = "<!-- Made from the docstrings: ORCHESTRATOR_WRITE_REFERENCE=1 pytest tests/docs/test_reference_pages.py -->"


def page(module_name: str) -> str:
    """The page of a module, in Markdown."""
    module = importlib.import_module(module_name)
    parts = [f"# {module_name}", _NOTE, text_of(module)]
    for name in module.__all__:
        parts += describe(name, getattr(module, name))
    return "\n\n".join(part for part in parts if part) + "\n"


def text_of(thing: Any) -> str:
    """The docstring as Markdown: ``code`` and indentation as they are."""
    return inspect.cleandoc(inspect.getdoc(thing) or "")


def describe(name: str, thing: Any) -> list[str]:
    """A heading, a signature, the docstring; of a class its members as well."""
    if isinstance(thing, type) and issubclass(thing, enum.Enum):
        words = ", ".join(f"`{member.name}`" for member in thing)
        return [f"## {name}", text_of(thing), words]
    if isinstance(thing, type):
        return [f"## {name}", code(f"class {name}{signature(thing)}"), own_text(thing), *members(thing)]
    if inspect.isfunction(thing):
        return [f"## {name}", code(f"{name}{signature(thing)}"), text_of(thing)]
    if isinstance(thing, int | float | str):
        return [f"## {name}", f"`{thing!r}`"]
    return []


def own_text(kind: type) -> str:
    """The docstring of a class, but not the signature that a dataclass has instead of one."""
    text = text_of(kind)
    return "" if text.startswith(f"{kind.__name__}(") else text


def code(text: str) -> str:
    """A block of code, folded where it is long."""
    if len(text) > 100 and "(" in text:
        head, _, rest = text.partition("(")
        arguments, _, tail = rest.rpartition(")")
        text = f"{head}(\n" + "".join(f"    {argument},\n" for argument in split(arguments)) + f"){tail}"
    return f"```python\n{text}\n```"


def split(arguments: str) -> Iterator[str]:
    """The arguments of a signature, one by one: commas within brackets do not part them."""
    depth, start = 0, 0
    for place, char in enumerate(arguments):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and not depth:
            yield arguments[start:place].strip()
            start = place + 1
    if last := arguments[start:].strip():
        yield last


def signature(thing: Any) -> str:
    """As it is written, without the names of modules and the addresses of defaults."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    parameters = [p.replace(default=_shown(p.default)) for p in found.parameters.values() if p.name != "self"]
    text = str(found.replace(parameters=parameters))
    text = re.sub(r"'([^'\"]*)'", r"\1", text) if "'" in text else text
    text = re.sub(r"\b(?:orchestrator|collections|typing|datetime)\.(?:\w+\.)*(?=\w)", "", text)
    return re.sub(r"<(\w+)\.(\w+): [^>]*>", r"\1.\2", text)


class _Text(str):
    """A text whose repr is itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _shown(default: Any) -> Any:
    if default is inspect.Parameter.empty or default is None or isinstance(default, bool | int | float):
        return default
    if isinstance(default, enum.Enum):
        return _Text(f"{type(default).__name__}.{default.name}")
    if isinstance(default, str):
        return _Text(f'"{default}"')
    if isinstance(default, frozenset | set):
        return _Text("{" + ", ".join(sorted(str(item) for item in default)) + "}")
    return _Text("…")


def members(kind: type) -> list[str]:
    """The public methods and properties that a class has from this package, in the order in which they are written."""
    parts: list[str] = []
    for name, member in written(kind).items():
        if isinstance(member, property):
            parts.append(f"- **`{name}`** — {one_paragraph(member)}")
        elif isinstance(member, classmethod | staticmethod | types.FunctionType):
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            prefix = "async " if inspect.iscoroutinefunction(function) else ""
            called = signature(function).replace("(cls, ", "(").replace("(cls)", "()")
            parts.append(f"- **`{prefix}{name}{called}`** — {one_paragraph(function)}")
    return ["\n".join(parts)] if parts else []


def written(kind: type) -> dict[str, Any]:
    """What a class and its bases of this package define under public names."""
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("orchestrator"):
            found |= {n: m for n, m in vars(base).items() if not n.startswith("_") and n not in fields}
    return found


def one_paragraph(thing: Any) -> str:
    """The docstring in one line."""
    return " ".join(text_of(thing).split())

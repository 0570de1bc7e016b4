"""Templates as the model reads them: the part of the expression language that is Python's as well.

`${a.b}` reads a field of a mapping; a text that is one lone placeholder gives the value as it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any, Protocol

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_WORDS = {"none": None, "true": True, "false": False}


class Scope(Protocol):
    """Names and their values; raises KeyError for one that it does not have."""

    def __getitem__(self, name: str) -> Any: ...


def resolve(value: Any, scope: Scope) -> Any:
    """A value with every placeholder inside of it filled in."""
    if isinstance(value, str):
        lone = _PLACEHOLDER.fullmatch(value)
        return _evaluate(lone[1], scope) if lone else _PLACEHOLDER.sub(lambda m: str(_evaluate(m[1], scope)), value)
    if isinstance(value, Mapping):
        return {key: resolve(child, scope) for key, child in value.items()}
    return [resolve(child, scope) for child in value] if isinstance(value, list) else value


def names_in(value: Any) -> Iterator[str]:
    """Every name that stands in a placeholder, at any depth."""
    if isinstance(value, str):
        for found in _PLACEHOLDER.finditer(value):
            yield from _compiled(found[1])[1]
    elif isinstance(value, Mapping):
        for child in value.values():
            yield from names_in(child)
    elif isinstance(value, list):
        for child in value:
            yield from names_in(child)


def _evaluate(expression: str, scope: Scope) -> Any:
    return eval(_compiled(expression)[0], {"__builtins__": {}, **_WORDS}, scope)


@lru_cache(4096)
def _compiled(expression: str) -> tuple[CodeType, frozenset[str]]:
    tree = _Fields().visit(ast.parse(expression.strip(), mode="eval"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - _WORDS.keys()
    return compile(ast.fix_missing_locations(tree), expression, "eval"), frozenset(names)


class _Fields(ast.NodeTransformer):
    """`a.b` is `a['b']`."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Subscript(self.visit(node.value), ast.Constant(node.attr), ast.Load())

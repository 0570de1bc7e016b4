"""Rewriting an expression before it is compiled.

Every constant path in it (`load.rows[0].day`) becomes one name, whose value our own walk fetches. So the names and
fields that an expression needs are known before the run, and what is missing is told in our words. What the language
of templates leaves out is refused here, before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from orchestrator.errors import TemplateError
from orchestrator.pipelines.paths import check_name
from orchestrator.pipelines.sandbox import LEFT_OUT, REQUIRED, Sandbox
from orchestrator.pipelines.wording import Path, did_you_mean

#: Expressions inside of each other.
MAX_DEPTH = 60

_FUNCTIONS = frozenset({"range", "dict"})


@dataclass(frozen=True, slots=True)
class Use:
    """A path that an expression reads; `guarded` where it may be missing."""

    path: Path
    guarded: bool


class Rewriter(NodeTransformer):
    """Puts one name in the place of each constant path, and refuses what the language of templates leaves out."""

    def __init__(self, environment: Sandbox) -> None:
        self.inputs: dict[Path, str] = {}
        self.uses: dict[Use, None] = {}
        self._environment = environment
        self._depth = 0

    def rewrite(self, source: str) -> nodes.Expr:
        """The tree of an expression, rewritten. Raises TemplateError, or TemplateSyntaxError of Jinja2."""
        parser = Parser(self._environment, source, state="variable")  # as Environment.compile_expression does
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError(f"{parser.stream.current.value!r} does not fit here", 1)
        tree.set_environment(self._environment)
        rewritten: nodes.Expr = self.visit(tree)
        return rewritten

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TemplateError(f"more than {MAX_DEPTH} expressions inside of each other")
        try:
            return super().visit(node, *args, **kwargs)
        finally:
            self._depth -= 1

    def _input(self, path: Path, guarded: bool = False) -> nodes.Name:
        self.uses[Use(path, guarded)] = None
        return nodes.Name(self.inputs.setdefault(path, f"path_{len(self.inputs)}"), "load", lineno=1)

    # -- paths ----------------------------------------------------------------------------------------------------

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        return self._input((node.name,))

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        if (path := _constant_path(node)) is not None:
            return self._input(path)
        check_name(node.attr)
        return self.generic_visit(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        if (path := _constant_path(node)) is not None:
            return self._input(path)
        return self.generic_visit(node)

    # -- filters, tests, calls ------------------------------------------------------------------------------------

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        self._check_filter(node.name)
        return self._guarding(node, node.name in ("default", "d"))

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        if node.name not in self._environment.tests:
            raise TemplateError(_unknown("test", node.name, self._environment.tests))
        return self._guarding(node, node.name in ("defined", "undefined"))

    def _guarding(self, node: nodes.Filter | nodes.Test, guards: bool) -> nodes.Node:
        subject = node.node
        path = _constant_path(subject) if guards and subject is not None else None
        if path is None:
            return self.generic_visit(node)
        node.node = nodes.Const(None, lineno=1)
        self.generic_visit(node)
        node.node = self._input(path, guarded=True)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise TemplateError("a call cannot take '*' or '**'")
        match node.node:
            case nodes.Name(name=name) if name in _FUNCTIONS:
                pass
            case nodes.Getattr(node=owner, attr=name):
                check_name(name)
                node.node.node = self.visit(owner)
            case _:
                raise TemplateError("only range(), dict() and methods of plain values can be called")
        node.args = [_required(self.visit(argument)) for argument in node.args]
        for keyword in node.kwargs:
            keyword.value = _required(self.visit(keyword.value))
        return node

    def _check_filter(self, name: str) -> None:
        if reason := LEFT_OUT.get(name):
            raise TemplateError(f"there is no filter {name!r} here: {reason}")
        if name not in self._environment.filters:
            raise TemplateError(_unknown("filter", name, self._environment.filters))

    # -- containers: nothing undefined may hide inside ------------------------------------------------------------

    def visit_List(self, node: nodes.List) -> nodes.Node:
        node.items = [_required(self.visit(item)) for item in node.items]
        return node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        node.items = [_required(self.visit(item)) for item in node.items]
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        node.key, node.value = _required(self.visit(node.key)), _required(self.visit(node.value))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """`a ~ b` as `[a, b] | join`, which is bounded."""
        items = [_required(self.visit(item)) for item in node.nodes]
        return nodes.Filter(nodes.List(items, lineno=1), "join", [], [], None, None, lineno=1)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:
        if node.expr2 is None:
            raise TemplateError("an 'if' needs an 'else'")
        return self.generic_visit(node)


def _required(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const):
        return node
    return nodes.Filter(node, REQUIRED, [], [], None, None, lineno=1)


def _constant_path(node: nodes.Node) -> Path | None:
    """The path that a chain of names, attributes and constant subscripts stands for; None for anything else."""
    parts: list[str | int] = []
    while not isinstance(node, nodes.Name):
        match node:
            case nodes.Getattr(node=inner, attr=attr):
                parts.append(attr)
            case nodes.Getitem(node=inner, arg=nodes.Const(value=str() | int() as key)):
                parts.append(key)
            case nodes.Getitem(node=inner, arg=nodes.Neg(node=nodes.Const(value=int() as key))):
                parts.append(-key)
            case _:
                return None
        node = inner
    for part in parts:
        check_name(part)
    return (node.name, *reversed(parts))


def _unknown(what: str, name: str, known: Mapping[str, Any]) -> str:
    hint = did_you_mean(name, known)
    return f"there is no {what} {name!r}" + (f"; {hint}" if hint else "")

"""Expressions: what stands in a `${…}` that is more than a plain path.

Jinja2 reads and runs them: operators, filters, tests, conditionals, in the sandbox of `sandbox`. The paths in an
expression are walked by our own code, see `rewriting`, so that a path means the same in an expression and alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.environment import Template
from jinja2.exceptions import TemplateSyntaxError, UndefinedError

from orchestrator.errors import TemplateError
from orchestrator.pipelines.paths import Way, fetch, ways
from orchestrator.pipelines.rewriting import Rewriter, Use
from orchestrator.pipelines.sandbox import Sandbox, plain
from orchestrator.pipelines.wording import Path


class Unresolved(Exception):
    """The path behind `ways` leads nowhere in the scope, and the expression needs it."""

    def __init__(self, ways: tuple[Way, ...]) -> None:
        self.ways = ways


class Expression:
    """A compiled expression: immutable, shared by all who wrote the same text."""

    __slots__ = ("_body", "_inputs", "_template", "uses")

    def __init__(self, body: nodes.Expr, inputs: Mapping[Path, str], uses: tuple[Use, ...]) -> None:
        self.uses = uses
        self._body = body
        self._template: Template | None = None  # made when first asked for: it costs ten times what the tree did
        self._inputs = tuple((name, ways(path)) for path, name in inputs.items())

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Its value. Raises Unresolved for a missing path, TemplateError (without the placeholder) for the rest."""
        values: dict[str, Any] = {}
        missing: dict[str, tuple[Way, ...]] = {}
        for name, candidates in self._inputs:
            try:
                values[name] = fetch(scope, candidates)
            except LookupError:
                values[name] = StrictUndefined(hint=name)
                missing[name] = candidates
        try:
            return self._run(values)
        except UndefinedError as error:
            if (candidates := missing.get(str(error))) is not None:  # type: ignore[assignment]
                raise Unresolved(candidates) from None
            raise TemplateError(str(error)) from error
        except Exception as error:
            raise TemplateError(_sentence(error)) from error

    def _run(self, values: dict[str, Any]) -> Any:
        template = self._template
        if template is None:
            assign = nodes.Assign(nodes.Name("result", "store"), self._body, lineno=1)
            template = self._template = _sandbox().from_string(nodes.Template([assign], lineno=1))
        context = template.new_context(values)
        for _ in template.root_render_func(context):
            pass
        return plain(context.vars["result"])


@lru_cache(maxsize=1)
def _sandbox() -> Sandbox:
    return Sandbox()


@lru_cache(maxsize=4096)
def compile_expression(source: str) -> Expression:
    """Compile the body of a placeholder. Raises TemplateError (without the placeholder's text)."""
    environment = _sandbox()
    try:
        rewriter = Rewriter(environment)
        body = rewriter.rewrite(source)
    except TemplateSyntaxError as error:
        raise TemplateError(_syntax(str(error.message))) from None
    except RecursionError:
        raise TemplateError("this expression is nested too deeply") from None
    return Expression(body, rewriter.inputs, tuple(rewriter.uses))


def _syntax(message: str) -> str:
    message = message.replace("end of print statement", "the end").replace("end of template", "the end")
    return f"this is no expression: {message[:1].lower()}{message[1:]}"


def _sentence(error: Exception) -> str:
    name = "" if type(error).__module__.startswith("jinja2") else f"{type(error).__name__}: "
    return f"{name}{error}"

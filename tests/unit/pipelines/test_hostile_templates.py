"""Templates that mean harm: each is refused with one clear error, at once."""

from __future__ import annotations

import time
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import TemplateError
from orchestrator.pipelines.templates import compile_value

HOSTILE = [
    # -- ways to the interpreter
    "a.__class__",
    "a['__class__']",
    "''.__class__.__mro__[1].__subclasses__()",
    "(a.x).__init__.__globals__",
    "(rows | first)['__cla' ~ 'ss__']",
    "a['__' ~ 'class__']",
    "rows | map(attribute='__class__') | list",
    "rows | attr('__class__')",
    "rows | map('attr', '__class__') | list",
    "rows | sort(attribute='__class__.x')",
    "name.format(a)",
    "'{0.__class__}'.format(a)",
    "'{x.__class__}'.format_map(a)",
    "'%s' % a",
    "lipsum.__globals__",
    "cycler.__init__",
    "self.__init__",
    "namespace(a=1)",
    "handler()",
    "handler.__globals__",
    "handler.__code__.co_code",
    "(handler).gi_frame",
    "generator.gi_frame.f_globals",
    "[generator][0].gi_frame",
    "name.encode.__self__",
    "(name).upper",
    "day.today()",
    "now.timestamp()",
    "now.astimezone()",
    "day.fromtimestamp(0)",
    # -- files and change
    "file.unlink()",
    "file.read_text()",
    "file.write_text('x')",
    "file.open()",
    "file.iterdir()",
    "file.resolve()",
    "(file).parent.glob('*')",
    "rows.append(1)",
    "a.update({})",
    "a.get('list').append(1)",
    # -- too much
    "'a' * 10**9",
    "10**9 * 'a'",
    "[0] * 10**9",
    "[[0] * 1000] * 1000",
    "(range(100000) | list) * 100000",
    "['x' * 100000] * 10000",
    "10 ** (10 ** 8)",
    "10 ** 10000000",
    "2 ** (2 ** 30)",
    "price ** 1000000",
    "(9999999 ** 400) * (9999999 ** 400)",
    "range(10**9)",
    "name | center(10**9)",
    "name.ljust(10**9)",
    "name.rjust(10**9)",
    "'1'.zfill(10**9)",
    "'%1000000000d' | format(1)",
    "'%*d' | format(10**9, 1)",
    "day.strftime('%1000000000d')",
    "'x' | replace('', 'y' * 1000000) | replace('y', 'z' * 1000000)",
    "('x' * 100000).replace('x', 'y' * 100000)",
    "('x\n' * 1000) | indent('y' * 1000000)",
    "('x' * 1000000) | wordwrap(1, wrapstring='y' * 1000)",
    "[1] | batch(10**9, 'x') | list",
    "[1] | slice(10**9) | list",
    "','.join(['x' * 1000000] * 100)",
    "['x' * 1000000] * 5 | join(',' * 10000000)",
    "('x' * 1000000) ~ ('x' * 9000001)",
    "('x' * 9000000) + ('x' * 9000000)",
    "('x' * 100000) | list | map('center', 1000) | list",
    "(['%s'] * 1000) | map('format', 'x' * 100000) | list",
    "[[1], [2]] | sum(start=[])",
    "1.5 | round(10**9, 'ceil')",
    "rows | tojson(indent=10**9)",
    "name.encode('utf-8').hex() * 10**9",
    "name.translate({})",
    # -- too deep
    "(" * 2000 + ")" * 2000,
    "[" * 900 + "]" * 900,
    "not " * 450 + "a",
    "-" * 1900 + "1",
    "a" + " + a" * 450,
    "a" + " | list" * 250,
    "a" + ".b" * 900 + "()",
    "a" + "[a" * 39 + "]" * 39 + "|abs" * 60,
    "'" + "x" * 3000 + "'",
]


def generator() -> Any:
    yield 1


SCOPE = {
    "a": {"x": 1, "list": [1]},
    "rows": [{"m": 1}, {"m": 2}],
    "name": "Ada",
    "day": date(2020, 1, 2),
    "file": Path(__file__),
    "handler": generator,
    "price": Decimal("1.1"),
    "now": datetime(2020, 1, 2),
    "generator": generator(),
}


@pytest.mark.parametrize("expression", HOSTILE, ids=lambda expression: expression[:50])
def test_it_is_refused_at_once(expression: str) -> None:
    before = repr(SCOPE["a"])
    started = time.process_time()
    with pytest.raises(TemplateError) as caught:
        compile_value(f"${{{expression}}}").resolve(SCOPE)
    assert time.process_time() - started < 0.5
    assert 10 < len(str(caught.value)) < 400
    assert "\n" not in str(caught.value).replace(f"${{{expression}}}", "")
    assert repr(SCOPE["a"]) == before
    assert Path(__file__).exists()


@pytest.mark.parametrize(
    "template", ["${" * 50_000, "${a" * 50_000, "${'" * 50_000, "$" * 100_000 + " ${x", "${a}" * 100_000]
)
def test_long_texts_take_no_time(template: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateError):
        compile_value(template)
    assert time.process_time() - started < 0.5


def test_the_allowance_is_that_of_one_evaluation() -> None:
    compiled = compile_value("${'x' * 6000000}")
    assert len(compiled.resolve({})) == len(compiled.resolve({})) == 6_000_000

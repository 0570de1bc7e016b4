"""Templates over variables, and the cache of what they gave."""

from __future__ import annotations

import pytest

from orchestrator.errors import CircularDependencyError, TemplateError, UnknownNameError
from orchestrator.execution.variables import VariableManager, VariableScope


def test_a_lone_placeholder_is_native_and_text_is_text() -> None:
    manager = VariableManager()
    manager.set_variable("load", {"rows": [{"n": 1}, {"n": 2}], "count": 2})
    assert manager.resolve_template("${load.rows}") == [{"n": 1}, {"n": 2}]
    assert manager.resolve_template("${load.rows[1].n} of ${load.count}") == "2 of 2"
    assert manager.resolve_template({"sum": "${load.rows | sum(attribute='n')}", "n": 5}) == {"sum": 3, "n": 5}
    assert manager.resolve_template("$${load}") == "${load}"
    assert manager.resolve_template("${nothing} ${load.nothing}") == "${nothing} ${load.nothing}"
    assert manager.resolve_template("${nothing | default('x')}") == "x"
    assert manager.resolve_template("${load.count}", {"load": {"count": 7}}) == 7


def test_the_longest_name_wins() -> None:
    manager = VariableManager()
    manager.set_variable("progress", {"load": {"percentage": 1}})
    assert manager.resolve_template("${progress.load.percentage}") == 1
    manager.set_variable("progress.load", {"percentage": 2})
    assert manager.resolve_template("${progress.load.percentage}") == 2
    manager.set_variable("progress.load.percentage", 3)
    assert manager.resolve_template("${progress.load.percentage}") == 3
    manager.delete_variable("progress.load.percentage")
    assert manager.resolve_template("${progress.load.percentage}") == 2


def test_strict_names_placeholder_place_and_nearest() -> None:
    manager = VariableManager()
    manager.set_variable("user", {"name": "Ada"})
    with pytest.raises(UnknownNameError) as caught:
        manager.resolve_template("Dear ${usr.name}", strict=True)
    assert caught.value.placeholder == "${usr.name}"
    assert caught.value.nearest == ("user",)
    assert "Dear" in caught.value.where
    manager.set_template("greeting", "Dear ${usr.name}")
    with pytest.raises(UnknownNameError, match="variable 'greeting'"):
        manager.resolve_template("<p>${greeting}</p>", strict=True)
    with pytest.raises(TemplateError, match="has no 'nam'"):
        manager.resolve_template("${user.nam}", strict=True)


def test_data_is_never_scanned() -> None:
    manager = VariableManager()
    manager.set_variable("a", "${b}")
    manager.set_variable("b", "secret")
    assert manager.get_variable("a") == "${b}"
    assert manager.resolve_template("-${a}-") == "-${b}-"
    manager.set_template("t", "${a}")
    assert manager.get_variable("t") == "${b}"


def test_a_template_variable_is_computed_when_it_is_read() -> None:
    manager = VariableManager()
    manager.set_template("greeting", "Hello ${user.name}")
    assert manager.get_variable("greeting") == "Hello ${user.name}"
    manager.set_variable("user", {"name": "Ada"})
    assert manager.get_variable("greeting") == "Hello Ada"
    assert manager.get_variable("greeting", resolve_templates=False) == "Hello ${user.name}"
    manager.set_template("loud", {"text": ["${greeting | upper}"]})
    assert manager.get_variable("loud") == {"text": ["HELLO ADA"]}
    context = manager.create_context()
    manager.set_variable("user", {"name": "Bob"}, context_id=context)
    assert manager.get_variable("greeting", context_id=context) == "Hello Bob"
    assert manager.resolve_template("${loud.text[0]}", {"user": {"name": "Eve"}}) == "HELLO EVE"
    assert manager.list_variables()["greeting"] == "Hello Ada"
    assert manager.shared("greeting") == ("Hello Ada", False)
    manager.set_variable("greeting", "plain")
    assert manager.get_variable("greeting") == "plain"
    assert manager.get_dependencies("greeting") == set()


def test_an_unrelated_change_leaves_the_result_in_the_cache() -> None:
    manager = VariableManager()
    manager.set_variable("user", {"name": "Ada"})
    manager.set_template("greeting", "Hello ${user.name}")
    for template in ("${greeting}!", {"a": ["${greeting}"]}, "${missing}", "${user.name | upper}"):
        manager.resolve_template(template)
        before = manager.cache_info()
        manager.set_variable("other", 1)
        manager.resolve_template(template)
        manager.resolve_template(template)
        after = manager.cache_info()
        assert (after.hits - before.hits, after.misses - before.misses) == (2, 0)


def test_every_way_of_changing_is_seen() -> None:
    manager = VariableManager()
    manager.set_template("shown", "<${name}>")

    def shown() -> object:
        return manager.resolve_template("${shown}")

    assert shown() == "<${name}>"
    manager.set_variable("name", 1)
    assert shown() == "<1>"
    state = manager.export_state()
    mark = manager.mark()
    manager.set_variable("name", 2)
    assert shown() == "<2>"
    manager.restore(mark)
    assert shown() == "<1>"
    manager.set_variable("name", 3)
    assert shown() == "<3>"
    manager.import_state(state)
    assert shown() == "<1>"
    manager.delete_variable("name")
    manager.set_variable("other", 4)
    manager.push_scope({"name": "other"})
    assert shown() == "<4>"
    manager.pop_scope()
    assert shown() == "<${name}>"
    manager.set_template("shown", "[${name}]")
    assert shown() == "[${name}]"


class Meddling:
    """A cell that sets a variable while it is read, as another thread might."""

    def __init__(self, manager: VariableManager) -> None:
        self.manager = manager

    def read(self) -> int:
        return self.measure()[0]

    def measure(self) -> tuple[int, int]:
        self.manager.set_variable("n", 2)
        return 0, 1


@pytest.mark.parametrize("template", ["${n}${meddling}", "${t}${meddling}"])
def test_a_change_during_a_resolution_is_seen_by_the_next(template: str) -> None:
    manager = VariableManager()
    manager.set_variable("n", 1)
    manager.set_template("t", "${n}")
    manager.bind("meddling", Meddling(manager), 0.0)
    assert manager.resolve_template(template) == "10"
    assert manager.resolve_template(template) == "20"


def test_what_may_change_by_itself_is_not_kept() -> None:
    class Counter:
        count = 0

    counter = Counter()
    manager = VariableManager()
    manager.set_variable("counter", counter)
    manager.set_variable("rows", counter_rows := [1], scope=VariableScope.TEMPORARY)
    assert manager.resolve_template("${counter.count} ${rows}") == "0 [1]"
    counter.count = 1
    counter_rows.append(2)
    assert manager.resolve_template("${counter.count} ${rows}") == "1 [1, 2]"


def test_the_cache_is_bounded() -> None:
    manager = VariableManager()
    manager.set_variable("a", "x" * 100_000)
    for number in range(3_000):
        manager.resolve_template(f"{number}${{a}}" if number % 10 == 0 else f"{number}")
    assert manager.cache_info().size <= 1_000


def test_a_circle_by_aliases_is_an_error() -> None:
    manager = VariableManager()
    manager.set_template("t", "${x}")
    manager.push_scope({"x": "t"})
    with pytest.raises(CircularDependencyError) as caught:
        manager.get_variable("t")
    assert caught.value.cycle == ("t", "x", "t") or caught.value.cycle == ("t", "t")
    manager.pop_scope()


def test_a_long_chain_is_refused_with_one_error() -> None:
    manager = VariableManager()
    manager.set_variable("t0", 1)
    for number in range(1, 60):
        manager.set_template(f"t{number}", f"${{t{number - 1}}}")
    assert manager.get_variable("t40") == 1
    with pytest.raises(TemplateError, match="more than 50"):
        manager.get_variable("t59")


def test_large_values_are_decoded_once_for_templates() -> None:
    manager = VariableManager()
    manager.set_variable("rows", list(range(1000)))
    manager.resolve_template("${rows[0]}")
    first, shared = manager.shared("rows")
    assert shared
    assert manager.shared("rows")[0] is first
    manager.set_variable("rows", [5])
    assert manager.shared("rows") == ([5], True)
    with pytest.raises(KeyError):
        manager.shared("nothing")

"""From a name to a handler: what is found, and what is said where it is not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import HandlerNotFoundError
from orchestrator.journal.codec import pack, unpack
from orchestrator.runners.handlers import modules_of, resolve_handler


@pytest.fixture(autouse=True)
def modules_restored() -> Iterator[None]:
    modules, path = sys.modules.copy(), sys.path.copy()
    yield
    sys.modules.clear()
    sys.modules.update(modules)
    sys.path[:] = path
    importlib.invalidate_caches()


def write(folder: Path, **modules: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return str(folder)


def test_a_module_beside_the_pipeline(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        steps_a="from helper_a import double\ndef load(x): return double(x)",
        helper_a="def double(x): return 2 * x",
    )
    assert resolve_handler("steps_a:load", folder)(4) == 8


def test_the_same_function_each_time(tmp_path: Path) -> None:
    folder = write(tmp_path, steps_b="def f(): pass")
    assert resolve_handler("steps_b:f", folder) is resolve_handler("steps_b:f", folder)


def test_an_installed_module_and_a_dotted_path(tmp_path: Path) -> None:
    assert resolve_handler("os.path:join", str(tmp_path))("a", "b") == "a/b"
    assert resolve_handler("pathlib:Path.cwd", "")() == Path.cwd()


def test_a_package_beside_the_pipeline(tmp_path: Path) -> None:
    write(tmp_path / "pack_c", __init__="", inner="from . import other\ndef f(): return other.VALUE", other="VALUE = 3")
    assert resolve_handler("pack_c.inner:f", str(tmp_path))() == 3


def test_main_is_the_program() -> None:
    main = sys.modules["__main__"]
    main.a_handler = lambda: "mine"  # type: ignore[attr-defined]
    try:
        assert resolve_handler("__main__:a_handler", "")() == "mine"
    finally:
        del main.a_handler  # type: ignore[attr-defined]


def test_two_folders_each_have_their_own_modules(tmp_path: Path) -> None:
    folders = [
        write(
            tmp_path / name,
            handlers_d=f"import util_d\nNAME = {name!r}\ndef f(): return NAME, util_d.NAME",
            util_d=f"NAME = {name!r}",
        )
        for name in ("one", "two", "three")
    ]
    functions = [resolve_handler("handlers_d:f", folder) for folder in folders]
    assert [f() for f in functions] == [(n, n) for n in ("one", "two", "three")]
    assert [resolve_handler("handlers_d:f", folder) for folder in folders] == functions
    assert sys.modules["handlers_d"].NAME == "one"


def test_a_second_module_of_a_folder_finds_its_own_neighbours(tmp_path: Path) -> None:
    """Both modules of the second folder share one copy of their neighbour."""
    text = "import shared_e\ndef f(): return shared_e"
    first = write(tmp_path / "one", first_e=text, second_e=text, shared_e="")
    second = write(tmp_path / "two", first_e=text, second_e=text, shared_e="")
    resolve_handler("first_e:f", first)
    one, two = (resolve_handler(f"{name}:f", second)() for name in ("first_e", "second_e"))
    assert one is two
    assert one.__file__ == str(tmp_path / "two" / "shared_e.py")


def test_a_file_named_like_a_module_of_the_library_changes_nothing_else(tmp_path: Path) -> None:
    import json

    folder = write(tmp_path, json="def f(): return 'mine'", steps_f="import json\ndef f(): return json.dumps([1])")
    assert resolve_handler("steps_f:f", folder)() == "[1]"
    assert resolve_handler("json:f", folder)() == "mine"
    assert sys.modules["json"] is json


def test_recorded_values_find_the_classes_of_their_own_folder(tmp_path: Path) -> None:
    text = "from dataclasses import dataclass\n@dataclass\nclass Row:\n    x: int\ndef f(): return Row(1)"
    for name in ("one", "two"):
        folder = write(tmp_path / name, rows_l=text)
        row = resolve_handler("rows_l:f", folder)()
        with modules_of(folder):
            assert unpack(pack(row)) == row
    assert sys.modules["rows_l"].__file__ == str(tmp_path / "one" / "rows_l.py")


def test_dataclasses_of_each_folder_are_their_own(tmp_path: Path) -> None:
    text = "from dataclasses import dataclass\n@dataclass\nclass Row:\n    {}: int\ndef f(): return Row(1)"
    rows = [
        resolve_handler("rows_g:f", write(tmp_path / field, rows_g=text.format(field)))() for field in ("left", "right")
    ]
    assert [vars(row) for row in rows] == [{"left": 1}, {"right": 1}]


@pytest.mark.parametrize(
    "target", ["", "load", "weather:", ":load", "a b:c", "weather:load()", "weather.load", "a:b:c"]
)
def test_what_names_no_handler(target: str) -> None:
    with pytest.raises(HandlerNotFoundError, match="write it as `module:function`"):
        resolve_handler(target, "")


def test_no_such_module_names_the_nearest(tmp_path: Path) -> None:
    folder = write(tmp_path, weather_h="")
    with pytest.raises(
        HandlerNotFoundError, match=r"no module 'waether_h' beside the pipeline .*did you mean 'weather_h'"
    ):
        resolve_handler("waether_h:load", folder)


def test_no_such_function_names_the_nearest(tmp_path: Path) -> None:
    folder = write(tmp_path, weather_i="def load(): pass")
    with pytest.raises(HandlerNotFoundError, match=r"no 'laod' in .*weather_i.py; did you mean 'load'") as caught:
        resolve_handler("weather_i:laod", folder)
    assert caught.value.nearest == ("load",)


def test_what_cannot_be_called(tmp_path: Path) -> None:
    folder = write(tmp_path, weather_j="load = 3")
    with pytest.raises(HandlerNotFoundError, match="is a int, which cannot be called"):
        resolve_handler("weather_j:load", folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = x / 0", r"ZeroDivisionError: division by zero \(.*weather_k.py:2: y = x / 0\)"),
        ("import a_package_that_is_missing", "ModuleNotFoundError: No module named 'a_package_that_is_missing'"),
        ("def f(:", r"SyntaxError: .*weather_k.py:1: def f\(:"),
        ("import sys\nsys.exit(2)", r"SystemExit: 2 \(.*weather_k.py:2"),
        ("import json\njson.loads('{')", r"JSONDecodeError: .*weather_k.py:2: json.loads"),
    ],
)
def test_a_module_that_raises_is_told_from_one_that_is_missing(tmp_path: Path, text: str, said: str) -> None:
    folder = write(tmp_path, weather_k=text)
    with pytest.raises(HandlerNotFoundError, match=f"raised while it was imported: {said}"):
        resolve_handler("weather_k:load", folder)
    (tmp_path / "weather_k.py").write_text("def load(): return 'mended'  # and of another size")
    assert resolve_handler("weather_k:load", folder)() == "mended"

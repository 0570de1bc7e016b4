"""From `module:function` to the function itself.

A module that stands beside the pipeline's file is preferred to an installed one, as with a script; the folder goes to
the front of `sys.path`, so that such modules find their neighbours. Python knows a module by its name alone, and two
pipelines may each have a `handlers.py`. So each folder has a view of `sys.modules` of its own: while a module is
loaded for a folder, same-named modules of other folders are set aside, and afterwards the first comer has the plain
name again. Where the view is kept: in `sys.modules`, under `name@folder`. (Not reached by this: an `import` that runs
later, inside a function, of a name that two folders share. Worker processes serve one folder each and do not have the
problem.)
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.errors import HandlerNotFoundError
from orchestrator.failure import scrub

#: Names that keep their meaning for a handler's imports, whatever files stand beside it.
_PROTECTED = sys.stdlib_module_names | {"orchestrator"}


def resolve_handler(target: str, base_dir: str) -> Callable[..., Any]:
    """The callable that `module:function` names; `function` may be a dotted path within the module.

    Imports the module, which runs its code. Raises HandlerNotFoundError; OSError where no more files can be opened.
    """
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path) or not all(map(str.isidentifier, f"{module_name}.{path}".split("."))):
        raise HandlerNotFoundError(f"{target!r} names no handler; write it as `module:function`", target)
    module = _load(target, module_name, str(Path(base_dir).absolute()) if base_dir else "")
    return _attribute(target, module, path)


def source_hash(target: str, base_dir: str) -> str:
    """A short hash (12 hex digits) of a handler's source text; empty where that cannot be had."""
    try:
        source = inspect.getsource(inspect.unwrap(resolve_handler(target, base_dir)))
    except (HandlerNotFoundError, OSError, TypeError):
        return ""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@contextmanager
def modules_of(base_dir: str) -> Iterator[None]:
    """Within the block `sys.modules` shows this folder's modules where two folders have modules of one name.

    For reading recorded values, whose classes are looked up by the name of their module.
    """
    suffix = f"@{Path(base_dir).absolute()}"
    mine = {name.removesuffix(suffix): module for name, module in sys.modules.copy().items() if name.endswith(suffix)}
    others = {name: sys.modules[name] for name in mine if name in sys.modules}
    sys.modules.update(mine)
    try:
        yield
    finally:
        sys.modules.update(others)


def _attribute(target: str, module: ModuleType, path: str) -> Callable[..., Any]:
    found: Any = module
    for name in path.split("."):
        owner, found = found, getattr(found, name, None)
        if found is None:
            callables = [n for n, value in vars(owner).items() if callable(value) and not n.startswith("_")]
            nearest = difflib.get_close_matches(name, callables, n=3)
            where = getattr(module, "__file__", None) or module.__name__
            raise HandlerNotFoundError(f"{target}: there is no {name!r} in {where}", target, nearest)
    if not callable(found):
        raise HandlerNotFoundError(f"{target} is a {type(found).__name__}, which cannot be called", target)
    return found  # type: ignore[no-any-return]  # callable, of whatever type


# -- loading -------------------------------------------------------------------------------------------------------


def _load(target: str, name: str, folder: str) -> ModuleType:
    top = name.partition(".")[0]
    if top == "__main__" or not _stands_in(folder, top):
        return _import(target, name, folder)
    if f"{name}@{folder}" in sys.modules:
        return sys.modules[f"{name}@{folder}"]
    if name in sys.modules and _is_of(folder, name, sys.modules[name]):
        return _import(target, name, folder)  # which waits, where another thread is still at it
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
    invalidate_caches()  # a file may be younger than the last look at its folder
    with _view_of(folder, _modules_beside(folder) - _PROTECTED | {top}):
        return _import(target, name, folder)


def _import(target: str, name: str, folder: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise _raised_in_import(target, folder, exc) from exc
        places = f"beside the pipeline (in {folder}) or installed" if folder else "on sys.path"
        known = _modules_beside(folder) | {module for module in sys.modules if "." not in module}
        nearest = difflib.get_close_matches(exc.name, known, n=3)
        raise HandlerNotFoundError(f"{target}: there is no module {exc.name!r} {places}", target, nearest) from exc
    except (Exception, SystemExit) as exc:  # the module's own code may raise anything
        if isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE):
            raise  # too many open files: no fault of the pipeline
        raise _raised_in_import(target, folder, exc) from exc


def _raised_in_import(target: str, folder: str, exc: BaseException) -> HandlerNotFoundError:
    """Names the line at fault: the last one of the pipeline's own folder, where there is one."""
    frames = traceback.extract_tb(exc.__traceback__)
    own = [frame for frame in frames if folder and frame.filename.startswith(folder)]
    last = (own or frames)[-1]
    place = f"{last.filename}:{last.lineno}" + (f": {last.line}" if last.line else "")
    if isinstance(exc, SyntaxError) and exc.filename:
        place = f"{exc.filename}:{exc.lineno}" + (f": {exc.text.strip()}" if exc.text else "")
    what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    told = scrub(f"{what} ({place})")  # the address of a database, as often as not
    return HandlerNotFoundError(f"{target}: its module raised while it was imported: {told}", target)


def _stands_in(folder: str, name: str) -> bool:
    return bool(folder) and (Path(folder, f"{name}.py").is_file() or any(Path(folder, name).rglob("*.py")))


def _modules_beside(folder: str) -> set[str]:
    """The top-level names that an import finds in this folder."""
    if not folder:
        return set()
    packages = {path.parent.name for path in Path(folder).glob("*/*.py")}
    return {name for name in packages | {path.stem for path in Path(folder).glob("*.py")} if name.isidentifier()}


def _is_of(folder: str, name: str, module: ModuleType) -> bool:
    """Whether a module was loaded from this very folder (not from a venv that happens to be in it)."""
    origin = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if origin is None:
        return False
    path, root = Path(origin).resolve(), Path(folder).resolve()
    return path.is_relative_to(root) and path.relative_to(root).parts[0].partition(".")[0] == name.partition(".")[0]


@contextmanager
def _view_of(folder: str, own_names: set[str]) -> Iterator[None]:
    """Let `sys.modules` show this folder's modules in place of same-named ones from elsewhere."""
    suffix = f"@{folder}"

    def loaded() -> list[tuple[str, ModuleType]]:
        return [(n, m) for n, m in sys.modules.copy().items() if "@" not in n and n.partition(".")[0] in own_names]

    others = {name: module for name, module in loaded() if not _is_of(folder, name, module)}
    for name in others:
        del sys.modules[name]
    for name, module in sys.modules.copy().items():
        if name.endswith(suffix):
            sys.modules[name.removesuffix(suffix)] = module
    try:
        yield
    finally:
        shared = {name.partition(".")[0] for name in others}
        for name, _ in loaded():
            if name.partition(".")[0] in shared:
                sys.modules[name + suffix] = sys.modules.pop(name)
        sys.modules.update(others)

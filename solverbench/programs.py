"""A user's own file, run as a module; the modules beside it that it imports are found, and are its own.

Two programs may each have a `helpers.py`: a name belongs to the folder of the first program that imports it, and is
another's only while that one is run.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from solverbench.errors import SolverbenchError, UsageError


def run_file(path: Path, name: str) -> ModuleType:
    """Run `path` as the module `name`; UsageError with file, line and reason when it raises, and no module is left.

    Also when it imports, inside a function, a module beside it whose name another program's has: only imports that
    happen while the file is run can be told apart.
    """
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        with _its_own_come_first(path):
            found.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, SolverbenchError):
            raise UsageError(f"{path.name}: {error}") from error
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
        line = frames[-1].lineno if frames else getattr(error, "lineno", None)
        where = path.name if line is None else f"{path.name}, line {line}"
        raise UsageError(f"{where}: {type(error).__name__}: {error}") from error
    return module


def sources(program: Path) -> tuple[Path, ...]:
    """The program, then the modules of its folder that its import statements name, and what these name in turn, and
    the files that its constant FILES names: `FILES = ("table.npy", "tables/*.csv")`, beside it or deeper.

    Of a package all modules. What is imported otherwise, or is found elsewhere, is not among them. Raises UsageError
    for a FILES that is not written out, or names what is not there.
    """
    importlib.invalidate_caches()
    program = program.absolute()
    named = _named(program)
    found = dict.fromkeys([program, *named])
    todo = [file for file in found if file.suffix == ".py"]
    while todo:
        for name in _imported(ast.walk(_parsed(todo.pop()))):
            new = [file for file in _beside(program.parent, name) if file not in found]
            found |= dict.fromkeys(new)
            todo += new
    return program, *sorted(found.keys() - {program})


def _parsed(file: Path) -> ast.Module:
    """Of what is no Python, and of extensions, an empty module: running the file says why."""
    if file.suffix == ".py":
        with suppress(OSError, SyntaxError, ValueError):
            return ast.parse(file.read_bytes())
    return ast.Module([], [])


def _named(program: Path) -> list[Path]:
    """The files that a program's FILES names."""
    named = []
    for node in _parsed(program).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="FILES")], value=ast.Tuple() | ast.List() as value):
                for pattern in value.elts:
                    named += _matching(program, pattern)
            case ast.Assign(targets=[ast.Name(id="FILES")]):
                raise UsageError(f'{program.name}: FILES must be a tuple that is written out, as in ("table.npy",)')
    return named


def _matching(program: Path, pattern: ast.expr) -> list[Path]:
    name = pattern.value if isinstance(pattern, ast.Constant) else None
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise UsageError(f"{program.name}: FILES may have names of files beside it, not {ast.unparse(pattern)}")
    if not (found := sorted(file for file in program.parent.glob(name) if file.is_file())):
        raise UsageError(f"{program.name}: FILES names {name!r}, and no such file is beside it")
    return found


def _imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Top-level names in import statements; relative ones stay in a package."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


_NEVER = {"solverbench", *sys.builtin_module_names}
"""Names that are nobody's own."""


def _beside(folder: Path, name: str) -> list[Path]:
    """The files of the module or package `name` if an import would find it in that folder; a package whole."""
    found = None if name in _NEVER else PathFinder.find_spec(name, [str(folder), *sys.path])
    if found is None:
        return []
    if found.submodule_search_locations is None:
        return [file for file in [Path(found.origin or "")] if file.parent == folder]
    files = []
    for place in found.submodule_search_locations:
        for at, folders, names in os.walk(place) if Path(place).parent == folder else ():
            folders[:] = sorted(filter(str.isidentifier, folders))  # others cannot be imported from
            files += [Path(at, file) for file in sorted(names) if file.endswith((".py", *EXTENSION_SUFFIXES))]
    return files


# --- whose a name is --------------------------------------------------------------------------------------------------

_HOMES: dict[str, Path] = {}
"""Top-level name -> the folder in which it is found."""


class _Finder:
    """Finds the modules of `_HOMES`, of which `sys.path` need not know."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(_HOMES[name])]) if name in _HOMES else None


sys.meta_path.insert(0, _Finder)


@contextmanager
def _its_own_come_first(program: Path) -> Iterator[None]:
    """Names of modules beside a program are that program's: for good, or meanwhile where others have them."""
    folder, files = program.absolute().parent, sources(program)
    modules = [file for file in files[1:] if file.name.endswith((".py", *EXTENSION_SUFFIXES))]
    names = {file.relative_to(folder).parts[0].partition(".")[0] for file in modules}
    taken = {name for name in names if _is_elsewhere(name, folder)}
    for file in files if taken else ():
        functions = (f for f in ast.walk(_parsed(file)) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef))
        for late in taken.intersection(_imported(node for f in functions for node in ast.walk(f))):
            raise UsageError(
                f"{file.name} imports {late} inside a function, and another module of that name is in use: "
                "import it at the top of the file, or rename it"
            )
    before = {name: _HOMES[name] for name in taken & _HOMES.keys()}
    others = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] in taken}
    _HOMES.update(dict.fromkeys(names, folder))
    try:
        yield
    finally:
        for name in taken:
            del _HOMES[name]
        for name in [name for name in sys.modules if name.partition(".")[0] in taken]:
            del sys.modules[name]
        _HOMES.update(before)
        sys.modules.update(others)


def _is_elsewhere(name: str, folder: Path) -> bool:
    """Whether a top-level name is another folder's, by claim or because it has been imported from there."""
    if name in _HOMES:
        return _HOMES[name] != folder
    if (module := sys.modules.get(name)) is None:
        return False
    place = Path(getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), ""))
    return (place.parent if place.stem == "__init__" else place).parent != folder

"""Solvers from outside the package: a file named on the command line, or an installed package's entry points."""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path

from solverbench.errors import UsageError, nearest
from solverbench.methods.registry import SOLVERS
from solverbench.programs import run_file

GROUP = "solverbench.solvers"


def is_file(spec: str) -> bool:
    """Whether a solver is given as `file.py` or `file.py:name` rather than by name."""
    return spec.endswith(".py") or ".py:" in spec


def load_file(spec: str) -> list[str]:
    """Run `file.py` and return the names it registers; `file.py:name[option=value]` returns that one alone.

    The file is the user's own program and is executed as such. A file named twice runs once. Raises UsageError if it
    cannot be read, raises, registers nothing or not the name asked for, or takes a name that is in use.
    """
    file, _, wanted = spec.partition(".py:")
    path = Path(file if file.endswith(".py") else f"{file}.py").resolve()
    if path not in _LOADED:
        _LOADED[path] = _execute(path)
    names = _LOADED[path]
    if not wanted:
        return names
    if wanted.split("[")[0] not in names:
        raise UsageError(f"{path.name} registers no solver {wanted!r}{nearest(wanted, names)}")
    return [wanted]


def files() -> list[Path]:
    """The files that were run, in order."""
    return list(_LOADED)


_LOADED: dict[Path, list[str]] = {}


def _execute(path: Path) -> list[str]:
    if not path.is_file():
        raise UsageError(f"no such solver file: {path}")
    before = set(SOLVERS)
    try:
        run_file(path, f"solverbench_user_{path.stem}")
    except UsageError:
        for added in set(SOLVERS) - before:
            SOLVERS.discard(added)
        raise
    names = [n for n in SOLVERS if n not in before]
    if not names:
        raise UsageError(f"{path.name} registers no solver: decorate a function with @solverbench.solver('name')")
    return names


def load_entry_points() -> None:
    """Import every installed package that announces solvers under the group `solverbench.solvers`, once.

    A package that fails to import is a warning that names it; it must not keep others from working.
    """
    for point in metadata.entry_points(group=GROUP):
        if point in _POINTS:
            continue
        _POINTS.add(point)
        try:
            point.load()
        except Exception as error:
            warnings.warn(f"solvers of {point.value!r} could not be loaded: {error}", RuntimeWarning, stacklevel=2)


_POINTS: set[metadata.EntryPoint] = set()

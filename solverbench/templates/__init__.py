"""Files to start a solver from: a solver that works, and the test that holds it to what it claims."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template

from solverbench.errors import UsageError
from solverbench.methods.registry import solvers


def write(name: str, folder: Path, stochastic: bool = False) -> list[Path]:
    """Write NAME.py and test_NAME.py into a folder, which is made if need be, and return both.

    A name with - + or . gives files with _ in their place. Raises UsageError for a name that no solver or module can
    have, for one that is taken, for files that are there already, and for a folder that cannot be written.
    """
    module = _module(name)
    words = {"name": name, "module": module}
    texts = {f"{module}.py": "stochastic" if stochastic else "deterministic", f"test_{module}.py": "test"}
    paths = [folder / file for file in texts]
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} is there already: remove it, or choose another name or --out")
    if keyword.iskeyword(module) or find_spec(module) is not None:
        raise UsageError(f"solver name {name!r}: {module}.py would hide the Python module of that name; choose another")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts.values(), strict=True):
            with path.open("x", encoding="utf-8") as file:
                file.write(Template(_read(text)).substitute(words))
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; choose another --out") from None
    return paths


def _module(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+._-]*", name):
        raise UsageError(f"solver name {name!r}: use lower-case letters, digits and - + . _, a letter first")
    if name in solvers():
        raise UsageError(f"solver name {name!r} is taken: `solverbench show {name}` says by what; choose another")
    return re.sub(r"[^a-z0-9]", "_", name)


def _read(text: str) -> str:
    return resources.files("solverbench").joinpath("templates", f"{text}.txt").read_text("utf-8")

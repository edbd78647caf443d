"""A user's own file, run as a module."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from solverbench.errors import SolverbenchError, UsageError


def run_file(path: Path, name: str) -> ModuleType:
    """Run `path` as the module `name`; UsageError with file, line and reason when it raises, and no module is left."""
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, SolverbenchError):
            raise UsageError(f"{path.name}: {error}") from error
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
        line = frames[-1].lineno if frames else getattr(error, "lineno", "?")
        raise UsageError(f"{path.name}, line {line}: {type(error).__name__}: {error}") from error
    return module

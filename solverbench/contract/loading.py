"""The first check: does a file of solvers load."""

from __future__ import annotations

from pathlib import Path

from solverbench.contract.base import Finding
from solverbench.errors import UsageError
from solverbench.methods.user import is_file, load_file


def loads(spec: str) -> tuple[list[str], Finding]:
    """The solvers that `file.py`, `file.py:name` or a name stands for, and the finding; none where the file fails.

    Raises UsageError if there is no such file, or it does not register the name asked for.
    """
    if not is_file(spec):
        return [spec], Finding("loads", "pass", "registered")
    file = Path(f"{spec.partition('.py')[0]}.py")
    if not file.is_file():
        raise UsageError(f"no such solver file: {file}")
    try:
        names = load_file(str(file))
    except UsageError as error:
        return [], Finding(
            "loads", "fail", str(error), "the file runs as it is, and names its solvers by @solver(name)"
        )
    told = f"{file.name} registers {', '.join(names)}"
    return load_file(spec), Finding("loads", "pass", told)

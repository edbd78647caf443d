"""The errors a user can meet. Each message names the thing, the value and the remedy; each class has its exit code."""

from __future__ import annotations

import difflib
import math
import os
import re
import traceback
from collections.abc import Iterable
from numbers import Integral
from pathlib import Path, PurePath
from typing import Any


class SolverbenchError(Exception):
    """Base of every error this package raises on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(SolverbenchError, ValueError):
    """The caller asked for what does not exist or cannot be: unknown names, impossible grids, wrong shapes."""

    exit_code = 2


class PlanError(UsageError):
    """A solver function raised, or did what is not a linear program, or made a coefficient that is not finite."""


class UndefinedError(PlanError):
    """A solver evaluates the field where it is not defined, at sigma = 0."""


class BudgetError(UsageError):
    """A method cannot do with so few evaluations; the message says what it needs."""


class ArtifactError(SolverbenchError):
    """A file that should be trusted is missing, truncated or altered."""

    exit_code = 2


class StorageError(SolverbenchError):
    """Results can no longer be written, for instance because the disk is full; what was written stays."""

    exit_code = 3


class NothingSelectedError(SolverbenchError):
    """The filters of a run left no cell."""

    exit_code = 5


def in_words(error: BaseException) -> str:
    """What was raised and where: "ZeroDivisionError: division by zero (mine.py:12)"."""
    return f"{type(error).__name__}: {error}{place(error)}"


def place(error: BaseException) -> str:
    """Where it was raised, " (mine.py:12)": the last line outside this package and what it is made of, if any.

    Lines of files come before those that were typed in or generated.
    """
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not _INSIDE.match(f.filename)]
    files = [f for f in outside if not f.filename.startswith("<")]
    return "".join(f" ({PurePath(f.filename).name}:{f.lineno})" for f in (files or outside or frames)[-1:])


_HOME, _PYTHON = (re.escape(str(Path(module).parent) + os.sep) for module in (__file__, os.__file__))
_INSIDE = re.compile(rf"{_HOME}|{_PYTHON}(?!site-packages)|<frozen |.*site-packages.(numpy|mpmath|torch)\W")


def damage(error: BaseException) -> str:
    """What numpy says of a file it cannot read; but not its advice to unpickle what may be anybody's program."""
    return "it is damaged or holds objects" if "pickle" in str(error) else str(error) or type(error).__name__


def check_known(what: str, name: object, known: Iterable[str], where: str = "") -> None:
    """Raise UsageError, beginning with `where` and ending with the nearest names, unless `name` is a known one."""
    known = list(known)
    if name not in known:
        raise UsageError(f"{where}unknown {what} {name!r}{nearest(str(name), known)}")


def check_whole(name: str, value: Any, least: int, below: float = math.inf) -> None:
    """Raise UsageError unless `value` is a whole number, not less than `least` and less than `below`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) < below:
        most = "" if below == math.inf else f", below {below:.3g}"
        raise UsageError(f"{name} must be at least {least} and whole{most}, got {value!r}")


_FEW = 24
"""Names that a message can list."""


def nearest(name: str, known: Iterable[str], listed: str = "") -> str:
    """Return ' (did you mean ...?)' for the closest known names, or the list of them all when none is close.

    listed: the command that lists them, named instead of them where they are many.
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.55)
    if close:
        return f" (did you mean {' or '.join(close)}?)"
    if listed and len(known) > _FEW:
        return f": `{listed}` prints what there is"
    return f" (known: {', '.join(known)})" if known else ""

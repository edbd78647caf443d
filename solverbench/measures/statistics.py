"""Files of feature statistics that say what they are of: .npz without pickles, with the extractor's key inside.

Files of other tools hold `mu` and `sigma` alone. They are read too, but only with a key given by hand.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from solverbench.errors import ArtifactError, UsageError, damage
from solverbench.measures.extractors import Key
from solverbench.measures.moments import Normal


def save(path: str | Path, law: Normal, key: Key) -> None:
    """Write mean, covariance (or its factor, below full rank), n and key to an .npz file."""
    held: dict[str, Any] = {"factor": law.factor} if law.low_rank else {"covariance": law.covariance}
    about = json.dumps(dataclasses.asdict(key) | {"n": law.n})
    with Path(path).open("wb") as file:
        np.savez(file, mean=law.mean, about=np.array(about), **held)


def load(path: str | Path, assume: Key | None = None) -> tuple[Normal, Key]:
    """Statistics and their key; `assume` is the key of a file with `mu` and `sigma` alone.

    Raises UsageError for a file without a key where none is assumed, or of another one, and ArtifactError for what is
    no statistics file, or holds what is no mean and covariance.
    """
    path = Path(path)
    held = _read(path)
    theirs = {"mu", "sigma"} <= held.keys()
    if theirs and assume is None:
        raise UsageError(f"{path} does not say which features it is of: state the extractor by hand (assume=)")
    try:
        law, key = (Normal(held["mu"], held["sigma"]), assume) if theirs and assume else _ours(held)
        _ = law.factor  # there is none of what is no covariance
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is no file of feature statistics: {error}") from None
    if assume is not None:
        check_alike(assume, key, str(path))
    return law, key


def _read(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        raise UsageError(f"there is no statistics file {str(path)!r}") from None
    except Exception as error:  # damage comes as errors of many kinds
        raise ArtifactError(f"{path} is not a readable .npz file of numbers: {damage(error)}") from None


def _ours(held: dict[str, Any]) -> tuple[Normal, Key]:
    about: dict[str, Any] = json.loads(str(held["about"]))
    n = about.pop("n")
    if not (n is None or (type(n) is int and n > 1)) or not all(isinstance(part, str) for part in about.values()):
        raise ValueError(f"n is {n!r} and the key {about}")
    return Normal(held["mean"], held.get("covariance"), factor=held.get("factor"), n=n), Key(**about)


def check_alike(one: Key, other: Key, where: str = "the other set") -> None:
    """Raise UsageError, naming what differs, unless two sets of features may be compared."""
    a, b = dataclasses.asdict(one), dataclasses.asdict(other)
    unlike = [f"{name} {b[name]!r} instead of {a[name]!r}" for name in a if a[name] != b[name]]
    if unlike:
        raise UsageError(f"{where} cannot be compared: it has {', '.join(unlike)}; extract both in the same way")


def is_one(path: str | Path) -> bool:
    """Whether this is an .npz file with the entries of statistics, ours or another tool's."""
    if Path(path).suffix != ".npz":
        return False
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {"mean", "about"} <= set(archive.files) or {"mu", "sigma"} <= set(archive.files)
    except (OSError, TypeError, ValueError, EOFError, BadZipFile):
        return False

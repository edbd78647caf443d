"""Suites: TOML files that say what to run, read strictly: an unknown key is an error that names the nearest known.

schema = 1
name, title          identity and heading
nfe                  budgets of model evaluations, everything counted
solvers              names with options, "unipc-2[variant=bh1]"
[[problems]]         the fields of `ProblemSpec`
[quick]              what --quick changes: nfe, solvers, and any number of `problems.<name>` tables
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from solverbench.errors import UsageError, nearest
from solverbench.problems.base import ProblemSpec

SCHEMA = 1


@dataclass(frozen=True)
class Suite:
    """What a suite file says, after --quick if asked for."""

    name: str
    title: str
    nfe: tuple[int, ...]
    solvers: tuple[str, ...]
    problems: tuple[ProblemSpec, ...]
    quick: bool
    digest: str
    """sha256 of the file's text and of whether it is quick."""


def names() -> list[str]:
    """Suites that ship."""
    folder = resources.files("solverbench").joinpath("suites")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load(name: str, *, quick: bool = False) -> Suite:
    """Read a shipped suite by name or any file by path.

    Raises UsageError for unknown suites, unreadable TOML, another schema, unknown keys and impossible values.
    """
    path = Path(name)
    if name in names():
        text = resources.files("solverbench").joinpath("suites", f"{name}.toml").read_text("utf-8")
    elif path.suffix == ".toml":
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read suite file {name}: {error}") from None
    else:
        raise UsageError(f"unknown suite {name!r}{nearest(name, names())}, or give a file ending in .toml")
    try:
        return _read(tomllib.loads(text), quick, hashlib.sha256(f"{text}{quick}".encode()).hexdigest(), name)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"suite {name}: not TOML: {error}") from None


def _read(table: dict[str, Any], quick: bool, digest: str, where: str) -> Suite:
    _known(table, ("schema", "name", "title", "nfe", "solvers", "problems", "quick"), where)
    if table.get("schema") != SCHEMA:
        raise UsageError(f"suite {where}: schema {table.get('schema')!r} is not {SCHEMA}, the one this version reads")
    for key in ("name", "nfe", "solvers", "problems"):
        if not table.get(key):
            raise UsageError(f"suite {where}: {key} is missing or empty")
    problems = [_problem(entry, where) for entry in table["problems"]]
    nfe, solvers = table["nfe"], table["solvers"]
    change = table.get("quick", {})
    _known(change, ("nfe", "solvers", "problems"), f"{where} [quick]")
    if quick:
        nfe, solvers = change.get("nfe", nfe), change.get("solvers", solvers)
        changes = change.get("problems", {})
        _known(changes, [p.name for p in problems], f"{where} [quick.problems]")
        for name, entry in changes.items():
            _known(entry, _PROBLEM_KEYS, f"{where} [quick.problems.{name}]")
        problems = [replace(p, **changes.get(p.name, {})) for p in problems]
    if not all(isinstance(n, int) and n > 0 for n in nfe):
        raise UsageError(f"suite {where}: nfe must be positive whole numbers, got {nfe}")
    title = table.get("title", table["name"])
    return Suite(table["name"], title, tuple(nfe), tuple(solvers), tuple(problems), quick, digest)


_PROBLEM_KEYS = tuple(f.name for f in fields(ProblemSpec))


def _problem(entry: dict[str, Any], where: str) -> ProblemSpec:
    _known(entry, _PROBLEM_KEYS, f"{where} [[problems]]")
    try:
        return ProblemSpec(**entry)
    except TypeError as error:
        raise UsageError(f"suite {where} [[problems]]: {error}") from None


def _known(table: Any, known: Any, where: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"suite {where}: expected a table, got {table!r}")
    for key in table:
        if key not in known:
            raise UsageError(f"suite {where}: unknown key {key!r}{nearest(key, known)}")

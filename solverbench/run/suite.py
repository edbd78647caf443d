"""Suites: TOML files that say what to run, read strictly: an unknown key is an error that names the nearest known.

schema = 1
name, title          identity and heading
nfe                  budgets of model evaluations, everything counted
solvers              names with options, "unipc-2[variant=bh1]", or patterns of shipped names, "dpmpp-*"
[[problems]]         the fields of `ProblemSpec`
                     with `table`, problems share one table of errors by start and budget
[quick], [paper]     what these scales change: nfe, solvers, and any number of `problems.<name>` tables
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from solverbench.errors import UsageError, nearest
from solverbench.problems.base import ProblemSpec

SCHEMA = 1
SCALES = ("full", "quick", "paper")
"""As the file says; a first look in under a minute; as many samples as papers report."""


@dataclass(frozen=True)
class Suite:
    """What a suite file says at a scale."""

    name: str
    title: str
    nfe: tuple[int, ...]
    solvers: tuple[str, ...]
    problems: tuple[ProblemSpec, ...]
    scale: str
    digest: str
    """sha256 of the file's text and of the scale."""

    def on(self, spectrum: str | None) -> Suite:
        """The suite with the Gaussian of all its problems of kind law replaced; None leaves them as they are.

        Raises UsageError if there are none.
        """
        if spectrum is None:
            return self
        if not any(problem.kind == "law" for problem in self.problems):
            raise UsageError(f"suite {self.name!r} has no problem of kind 'law' whose spectrum could be {spectrum!r}")
        changed = (replace(p, field=spectrum) if p.kind == "law" else p for p in self.problems)
        return replace(self, problems=tuple(changed))

    def by(self, device: str) -> Suite:
        """The suite with its samples computed on "cpu" or "cuda"; laws in closed form are the CPU's."""
        changed = (p if p.kind == "law" else replace(p, device=device) for p in self.problems)
        return replace(self, problems=tuple(changed))


def names() -> list[str]:
    """Suites that ship."""
    folder = resources.files("solverbench").joinpath("suites")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load(name: str, *, scale: str = "full") -> Suite:
    """Read a shipped suite by name or any file by path, at one of `SCALES`; one the file does not have is "full".

    Raises UsageError for unknown suites and scales, unreadable TOML, another schema, unknown keys, impossible values.
    """
    if scale not in SCALES:
        raise UsageError(f"unknown scale {scale!r}{nearest(scale, SCALES)}")
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
        return _read(tomllib.loads(text), scale, hashlib.sha256(f"{text}{scale}".encode()).hexdigest(), name)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"suite {name}: not TOML: {error}") from None


def _read(table: dict[str, Any], scale: str, digest: str, where: str) -> Suite:
    _known(table, ("schema", "name", "title", "nfe", "solvers", "problems", *SCALES[1:]), where)
    if table.get("schema") != SCHEMA:
        raise UsageError(f"suite {where}: schema {table.get('schema')!r} is not {SCHEMA}, the one this version reads")
    for key in ("name", "nfe", "solvers", "problems"):
        if not table.get(key):
            raise UsageError(f"suite {where}: {key} is missing or empty")
    name, title = table["name"], table.get("title", table["name"])
    if not (isinstance(name, str) and re.fullmatch(r"[\w.+-]*\w", name) and isinstance(title, str)):
        raise UsageError(f"suite {where}: name must be a text of letters, digits and _ - + ., and title a text")
    if not isinstance(table["problems"], list):
        raise UsageError(f"suite {where}: problems must be [[problems]] tables, got {table['problems']!r}")
    problems = [_problem(entry, f"{where} [[problems]]") for entry in table["problems"]]
    called = [p.name for p in problems]
    if len(set(called)) < len(called):
        raise UsageError(f"suite {where}: two problems have the same name, among {', '.join(called)}")

    full = Suite(
        name, title, _numbers(table["nfe"], where), _texts(table["solvers"], where), tuple(problems), "full", digest
    )
    # all readings are checked whichever is asked for
    return {"full": full, **{other: _scaled(full, table.get(other, {}), other, where) for other in SCALES[1:]}}[scale]


def _scaled(full: Suite, change: Any, scale: str, where: str) -> Suite:
    """The suite with what its table for that scale changes."""
    _known(change, ("nfe", "solvers", "problems"), f"{where} [{scale}]")
    changes = change.get("problems", {})
    _known(changes, [p.name for p in full.problems], f"{where} [{scale}.problems]")
    problems = []
    for problem in full.problems:
        at, entry = f"{where} [{scale}.problems.{problem.name}]", changes.get(problem.name, {})
        _known(entry, _PROBLEM_KEYS, at)
        problems.append(_problem({**{key: getattr(problem, key) for key in _PROBLEM_KEYS}, **entry}, at))
    return replace(
        full,
        nfe=_numbers(change.get("nfe", list(full.nfe)), f"{where} [{scale}]"),
        solvers=_texts(change.get("solvers", list(full.solvers)), f"{where} [{scale}]"),
        problems=tuple(problems),
        scale=scale,
    )


def _numbers(value: Any, where: str) -> tuple[int, ...]:
    if not (isinstance(value, list) and value and all(type(n) is int and n > 0 for n in value)):
        raise UsageError(f"suite {where}: nfe must be a list of positive whole numbers, got {value!r}")
    return tuple(value)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not (isinstance(value, list) and value and all(isinstance(name, str) for name in value)):
        raise UsageError(f"suite {where}: solvers must be a list of names, got {value!r}")
    return tuple(value)


_PROBLEM_KEYS = tuple(f.name for f in fields(ProblemSpec) if f.name != "device")


def _problem(entry: dict[str, Any], where: str) -> ProblemSpec:
    _known(entry, _PROBLEM_KEYS, where)
    for key in ("name", "field", "kind"):
        if key not in entry:
            raise UsageError(f"suite {where}: {key} is missing")
    entry = {key: value for key, value in entry.items() if value is not None}
    for key, value in entry.items():
        kinds, what = _PROBLEM_VALUES.get(key, ((str,), "a text"))
        if type(value) not in kinds:
            raise UsageError(f"suite {where}: {key} must be {what}, got {value!r}")
    if entry.get("nfe"):
        entry["nfe"] = _numbers(list(entry["nfe"]), where)
    if entry.get("solvers"):
        entry["solvers"] = _texts(list(entry["solvers"]), where)
    return ProblemSpec(**entry)


_PROBLEM_VALUES: dict[str, tuple[tuple[type, ...], str]] = {
    "grid_options": ((dict,), "a table"),
    "samples": ((int,), "a whole number"),
    "paired": ((int,), "a whole number"),
    "steps": ((int,), "a whole number"),
    "rtol": ((float, int), "a number"),
    "label": ((int,), "a whole number"),
    "guidance": ((float, int), "a number"),
    "points": ((bool,), "true or false"),
    "charge": ((dict,), "a table of whole numbers"),
    "likelihood": ((bool,), "true or false"),
    "pictures": ((bool,), "true or false"),
    "nfe": ((list, tuple), "a list of positive whole numbers"),
    "solvers": ((list, tuple), "a list of names"),
}


def _known(table: Any, known: Any, where: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"suite {where}: expected a table, got {table!r}")
    for key in table:
        if key not in known:
            raise UsageError(f"suite {where}: unknown key {key!r}{nearest(key, known)}")

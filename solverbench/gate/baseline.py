"""A baseline: the numbers of a suite's cells that later runs are held against, in a small JSON file one cell a line.

Exact numbers (laws, counts of evaluations) are kept as they are; sampled ones with their standard errors and numbers of
samples. Times are not: they are of a machine, not of a solver.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from solverbench.errors import SolverbenchError, StorageError

SCHEMA = 1
EXACT = ("nfe", "w2", "kl", "w2_discretisation", "kl_discretisation")
"""Of a record, computed without a sample; of all, less is better."""
SAMPLED = {"rmse": ("rmse_se", "n_paired"), "fd": ("fd_se", "n")}
"""Of a record, estimated: with the keys of the standard error and of the number of samples; less is better."""
_MATTERS = ("python", "numpy", "scipy", "torch")
"""Versions that can move the last digits of a number."""


class NoBaselineError(SolverbenchError):
    """There is nothing to compare with, or it is of something else."""

    exit_code = 4


@dataclass(frozen=True)
class Entry:
    """What is known of one cell."""

    problem: str
    solver: str
    budget: int
    status: str
    exact: Mapping[str, float]
    sampled: Mapping[str, tuple[float, float, int]]
    """Quantity -> (value, standard error, samples)."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Which cell it is."""
        return self.problem, self.solver, self.budget

    def line(self) -> list[Any]:
        """As a line of the file: numbers to twelve digits, more of which are another machine's to decide."""
        exact = {name: _rounded(value) for name, value in self.exact.items()}
        sampled = {name: (_rounded(value), _rounded(se), n) for name, (value, se, n) in self.sampled.items()}
        return [*self.key, self.status, exact, sampled]

    @classmethod
    def read(cls, line: list[Any]) -> Entry:
        """From such a line."""
        problem, solver, budget, status, exact, sampled = line
        return cls(problem, solver, int(budget), status, exact, {key: tuple(value) for key, value in sampled.items()})

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Entry:
        """Of a record, all that is compared."""
        exact = {key: float(record[key]) for key in EXACT if record.get(key) is not None}
        sampled = {
            key: (float(record[key]), float(record[se]), int(record[n]))
            for key, (se, n) in SAMPLED.items()
            if record.get(key) is not None and record.get(se) is not None
        }
        return cls(record["problem"], record["solver"], record["budget"], record["status"], exact, sampled)


@dataclass(frozen=True)
class Baseline:
    """Entries, what was asked for to get them, and where they were computed."""

    asked: Mapping[str, Any]
    suite_hash: str
    made: Mapping[str, Any]
    """Versions, processor, date, commit: said, not compared."""
    entries: tuple[Entry, ...]

    def elsewhere(self, now: Baseline) -> list[str]:
        """What is another where `now` was computed: "numpy 2.4.6, now 2.5.0"."""
        then, here = (
            {name: made.get("versions", {}).get(name) for name in _MATTERS}
            | {"processor": made.get("hardware", {}).get("cpu")}
            for made in (self.made, now.made)
        )
        return [f"{name} {then[name]}, now {here[name]}" for name in then if then[name] != here[name]]

    def write(self, path: Path) -> None:
        """Write the file, one cell a line in a fixed order, so that a change is seen as a change of lines."""
        head = {"schema": SCHEMA, "asked": self.asked, "suite_hash": self.suite_hash, "made": self.made}
        lines = [json.dumps(entry.line()) for entry in sorted(self.entries, key=lambda entry: entry.key)]
        text = json.dumps(head, indent=1, default=str).removesuffix("\n}") + ',\n "cells": [\n  '
        try:
            path.write_text(text + ",\n  ".join(lines) + "\n ]\n}\n", "utf-8")
        except OSError as error:
            raise StorageError(f"cannot write the baseline {path}: {error.strerror}") from None

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Raises NoBaselineError if the file is not there, not readable, or of another schema."""
        if not path.is_file():
            raise NoBaselineError(f"no baseline {path}: make one with `solverbench baseline save --out {path}`")
        try:
            table = json.loads(path.read_text("utf-8"))
            schema = table["schema"]
            if schema == SCHEMA:
                if lacking := {"suite", "scale", "seed"} - table["asked"].keys():
                    raise KeyError(min(lacking))
                return cls(table["asked"], table["suite_hash"], table["made"], tuple(map(Entry.read, table["cells"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoBaselineError(
                f"{path} is not a baseline ({type(error).__name__}: {error}): save it again"
            ) from None
        raise NoBaselineError(f"{path} has schema {schema!r}, this version reads {SCHEMA}: save it again")


def here() -> dict[str, Any]:
    """When and where a baseline is made: date, commit, versions, hardware."""
    from solverbench.run.store import surroundings

    return {"created": datetime.now(UTC).isoformat(timespec="seconds"), **surroundings()}


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")

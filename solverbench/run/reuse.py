"""Cells of earlier runs that need not be run again, because everything their numbers depend on is known to be the same.

A cell is named by a hash of its problem, solver, budget and seed. It stands for the same numbers where the suite, the
problem as stated, the package's version and its source are the same too, the field ships with the package, and so does
the solver. Whatever cannot be established is run again.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solverbench import __version__, pretrained
from solverbench.run.cells import Cell
from solverbench.run.suite import Suite

ROOT = Path(__file__).parents[1]
NUMBERS = (
    "engines", "fields", "grids", "measures", "methods", "networks", "paths", "plans", "problems", "numbers.py",
    "predictions.py", "suites",
)  # fmt: skip
"""What of the package a cell's numbers depend on, beside the shipped parameters."""


@dataclass
class Known:
    """Records of cells by id, with the folder each is from, and why runs that were looked at gave none."""

    records: dict[str, tuple[Path, dict[str, Any]]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def known(runs: Sequence[Path], suite: Suite, cells: Sequence[Cell]) -> Known:
    """Of these cells those that one of the runs has, the first named before the others."""
    found = Known()
    wanted = {cell.id: cell for cell in cells if _ships(cell)}
    for run in runs:
        try:
            manifest = json.loads((run / "manifest.json").read_text("utf-8"))
            lines = (run / "cells.jsonl").read_text("utf-8").splitlines()
            reason = _other(manifest, suite, cells[0].seed)
            stated = {spec["name"]: spec for spec in manifest["problems"]}
        except (OSError, ValueError, KeyError, TypeError):
            reason, lines, stated = "it is no run that can be read", [], {}
        if reason:
            found.refused.append(f"{run}: {reason}")
            continue
        for record in _records(lines):
            cell = wanted.get(str(record["cell"]))
            if cell is not None and stated.get(cell.problem.spec.name) == _stated(cell):
                found.records.setdefault(cell.id, (run, record))
    return found


def candidates(out: Path, suite: str) -> list[Path]:
    """Where to look when no run is named: the runs of that suite below `out`, latest first, then the reference run."""
    runs = sorted(path.parent for path in (out / suite).glob("*/manifest.json"))
    reference = out / "reference" / suite
    return [*runs[::-1], *[reference] * (reference / "manifest.json").is_file()]


def _ships(cell: Cell) -> bool:
    """Whether version and source of this package say all of the cell's solver and field."""
    return cell.solver.function.__module__.startswith("solverbench.") and cell.problem.spec.field in pretrained.names()


def _stated(cell: Cell) -> Any:
    return json.loads(json.dumps(vars(cell.problem.spec)))


def _records(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Those that are whole and did not fail; times were taken on another machine, at another time."""
    for line in lines:
        try:
            record = json.loads(line)
            if record["status"] != "failed" and record["cell"]:
                yield record
        except (ValueError, KeyError, TypeError):
            continue


def _other(manifest: dict[str, Any], suite: Suite, seed: int) -> str:
    """Why nothing of a run can be taken, or ''."""
    if manifest["suite_hash"] != suite.digest:
        return "its suite, or the scale, is another"
    if manifest["seed"] != seed:
        return f"its seed is {manifest['seed']}"
    version = manifest["versions"].get("solverbench")
    if version != __version__:
        return f"it is of version {version}, this is {__version__}"
    return _source(manifest.get("commit"), manifest.get("dirty"))


def _source(commit: str | None, dirty: bool | None) -> str:
    """Why the source of a run may not be this one, or ''. A version that is installed, not checked out, is released."""
    here = (ROOT.parent / ".git").exists()
    if commit is None or not here:
        return "" if commit is None and not here else "whether its source is the same cannot be known"
    if dirty:
        return f"its source was commit {commit[:12]} with changes that are not known"
    paths = [str(ROOT / part) for part in NUMBERS] + [str(ROOT.parent / "pretrained")]
    command = ["git", "-C", str(ROOT), "diff", "--quiet", commit, "--", *paths]
    try:
        same = subprocess.run(command, capture_output=True, check=False, timeout=30).returncode
    except (OSError, subprocess.SubprocessError):
        return "git cannot say whether its source is the same"
    return "" if same == 0 else f"what numbers depend on has changed since its commit {commit[:12]}"

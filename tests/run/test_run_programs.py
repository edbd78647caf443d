"""Runs with programs that import modules beside them: a changed one runs its cells again, and is not resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MINE = """
import solverbench
import pathlib
from helpers import factor

FILES = ("table.txt",)
factor *= float(pathlib.Path(__file__).with_name("table.txt").read_text())


@solverbench.solver("mine")
def mine(x, path, grid):
    for s, t in grid.steps:
        x = x + factor * (t - s) * x.predict("velocity", at=s)
    return x
"""
FIELDS = """
import solverbench as sb


def field():
    from common import variance

    return sb.fields.Gaussian([0.0], [variance], "edm")
"""
SUITE = """
schema = 1
name = "small"
nfe = [3]
solvers = ["ddim", "heun"]
problems = [
  {name = "spectrum", field = "spectrum.npy", kind = "law"},
  {name = "program", field = "fields.py:field", kind = "law"},
]
"""


@pytest.fixture
def home(tmp_path):
    """A folder with programs, and what they import from it."""
    np.save(tmp_path / "spectrum.npy", np.linspace(0.1, 1, 4))
    for name, text in {"programs/mine.py": MINE, "programs/helpers.py": "factor = 1.1", "programs/table.txt": "1.0",
                       "fields.py": FIELDS,
                       "common.py": "variance = 1.0", "small.toml": SUITE}.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def run(home, monkeypatch):
    """run(*arguments): (the process that ended, its records by problem and solver), with a cache, as users do."""
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(home / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    fixed = ["--suite", "small.toml", "--solver", "programs/mine.py", "--solver", "ddim", "--out", "out"]

    def go(*arguments, name="r"):
        words = [sys.executable, "-P", "-m", "solverbench", "run", *fixed, "--in-process", "--no-report", *arguments]
        done = subprocess.run(words, cwd=home, capture_output=True, text=True, timeout=300, check=False)
        cells = home / "out" / "small" / name / "cells.jsonl"
        records = [json.loads(line) for line in cells.read_text().splitlines()] if cells.exists() else []
        return done, {(r["problem"], r["solver"]): r for r in records}

    return go


def test_a_changed_helper_runs_its_cells_again_and_is_not_resumed(home, run):
    first, before = run("--name", "r")
    assert (first.returncode, len(before)) == (0, 4), first.stderr
    kept = json.loads((home / "out/small/r/manifest.json").read_text())["files"]
    names = ["common.py", "fields.py", "programs/helpers.py", "programs/mine.py", "programs/table.txt", "spectrum.npy"]
    assert sorted(kept) == [str(home / name) for name in names]

    (home / "programs/helpers.py").write_text("factor = 1.5")
    second, after = run("--name", "s", name="s")
    assert second.returncode == 0, second.stderr
    assert {cell for cell, record in after.items() if record["reused"]} == {("spectrum", "ddim")}
    different = {cell for cell in before if before[cell]["w2"] != after[cell]["w2"]}
    assert different == {("spectrum", "mine"), ("program", "mine")}

    resumed, _ = run("--resume", "out/small/r")
    assert resumed.returncode == 2
    assert f"{home}/programs/helpers.py has changed since out/small/r was begun" in resumed.stderr
    (home / "programs/table.txt").write_text("1.5")
    third, again = run("--name", "t", name="t")
    assert third.returncode == 0, third.stderr
    assert {cell for cell in after if after[cell]["w2"] != again[cell]["w2"]} == different
    resumed, _ = run("--resume", "out/small/s")
    assert f"{home}/programs/table.txt has changed since out/small/s was begun" in resumed.stderr
    (home / "programs/table.txt").write_text("1.0")
    (home / "common.py").write_text("variance = 2.0")
    resumed, _ = run("--resume", "out/small/s")
    assert f"{home}/common.py has changed since out/small/s was begun" in resumed.stderr

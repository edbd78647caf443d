"""Runs of very many cells: a report takes seconds, memory that a laptop has, and a page that opens."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
from synthetic import measure, write_run

from solverbench.report.html import write_html
from solverbench.run.store import RunFolder

PROBLEMS, PAIRED, STARTS = 10, 2, 64


def cells(solvers, budgets):
    """Records of ten problems, of which two are paired and keep errors by start."""
    rng = np.random.default_rng(7)
    for problem in range(PROBLEMS):
        for solver in range(solvers):
            constant = math.exp(rng.normal(0, 0.5))
            for budget in budgets:
                record = {
                    "cell": f"{problem}-{solver}-{budget}", "problem": f"p{problem}",
                    "kind": "paired" if problem < PAIRED else "law", "solver": f"solver-{solver}",
                    "family": f"family-{solver % 9}", "order": 1 + solver % 4, "stochastic": False, "budget": budget,
                    "nfe": budget, "steps": budget, "grid": "edm", "seed": 0, "status": "ok", "reason": None,
                    "same_as": None, "seconds": 0.3, "field_seconds": 0.2, "overhead_seconds": 0.01, "flops": 1e7,
                    "rows": 4, "identity": f"{rng.integers(2**62):064x}", "reused": False,
                }  # fmt: skip
                measure(record, 12 * constant * budget ** -(1.0 + solver % 4))
                yield record


def large(folder, solvers, budgets):
    """A run folder of that many cells."""
    made = list(cells(solvers, budgets))
    write_run(folder, made)
    (folder / "arrays").mkdir()
    rng = np.random.default_rng(8)
    starts = rng.chisquare(4, STARTS)
    for record in made:
        if record["kind"] == "paired":
            errors = record["rmse"] ** 2 * starts * rng.lognormal(0, 0.3, STARTS)
            np.savez(folder / "arrays" / f"{record['cell']}.npz", squared_errors=errors)
    return len(made)


def reported(folder):
    """(seconds of processor, bytes at most) of `solverbench report` with the page, in a process of its own."""
    words = [sys.executable, "-m", "solverbench", "report", str(folder), "--format", "md,csv,html", "--figures", "png"]
    script = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(code, used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    code, seconds, memory = done.stdout.split()
    assert code == "0", done.stderr
    return float(seconds), int(memory) * 1024

"""Runs of very many cells: a report takes seconds, memory that a laptop has, and a page that opens."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import numpy as np
import pytest
from synthetic import measure, write_run

from solverbench.report import load
from solverbench.report.excerpt import MOST, excerpt, thinned
from solverbench.report.figures import BUDGETS, save
from solverbench.report.html import write_html
from solverbench.report.profiles import undominated
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
    """(seconds of processor, bytes at most) of `solverbench report` with the page and every figure, by itself."""
    words = [sys.executable, "-m", "solverbench", "report", str(folder), "--format", "md,csv,html"]
    script = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(code, used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    code, seconds, memory = done.stdout.split()
    assert code == "0", done.stderr
    return float(seconds), int(memory) * 1024


def resumed(folder):
    """(seconds to open the run for more cells, seconds of one more record at the end)."""
    started = time.process_time()
    run = RunFolder.again(folder)
    opened = time.process_time() - started
    started = time.process_time()
    for k in range(100):
        run.append({"cell": f"more-{k}", "status": "ok"})
    run.close()
    return opened, (time.process_time() - started) / 100


def test_a_page_of_ten_thousand_cells_says_what_it_leaves_out(tmp_path):
    count = large(tmp_path / "run", 125, [4, 6, 10, 16, 25, 40, 100, 250])
    assert count == 10_000
    page = write_html(tmp_path / "run", tmp_path / "page.html")
    assert page.stat().st_size < 8e6
    text = page.read_text()
    assert "complete: 10000 cells" in text
    assert "This page shows 6,250 of 10,000 cells: NFE 4, 10, 25, 40, 250." in text
    opened, each = resumed(tmp_path / "run")
    assert opened < 5
    assert each < 0.01


def test_an_excerpt_has_whole_budgets_and_is_of_small_runs_all(tmp_path):
    run = load(write_run(tmp_path / "small", list(cells(3, [4, 10]))))
    assert excerpt(run) is run
    run = load(write_run(tmp_path / "run", list(cells(20, list(range(4, 104))))))
    some = excerpt(run)
    assert len(some.records) <= MOST
    assert some.complete
    assert 10 in set(some.records["budget"])
    assert set(some.records.groupby("budget").size()) == {20 * PROBLEMS}
    assert len(some.warnings) == 1


def test_figures_of_many_budgets_show_some_and_say_so(tmp_path):
    run = load(write_run(tmp_path / "run", list(cells(3, list(range(4, 44))))))
    paths = save(run, tmp_path / "figures", ["svg"], ["work-precision", "split-p9"])
    assert [f"{BUDGETS} of 40 budgets" in path.read_text() for path in paths] == [True, True]
    few = load(write_run(tmp_path / "few", list(cells(3, list(range(4, 4 + BUDGETS))))))
    assert thinned(few, BUDGETS) is few


def test_what_is_not_undercut_is_what_comparing_all_pairs_says():
    costs = np.random.default_rng(3).integers(0, 6, (300, 3)).astype(float)
    costs[::50, 1] = np.inf
    beaten = [any((other <= row).all() and (other < row).any() for other in costs) for row in costs]
    assert undominated(costs).tolist() == [
        not b and np.isfinite(row).all() for b, row in zip(beaten, costs, strict=True)
    ]


def test_problems_are_left_out_where_one_budget_is_too_much(tmp_path):
    run = load(write_run(tmp_path / "run", list(cells(MOST // 4, [10]))))
    some = excerpt(run)
    assert set(some.records["problem"]) == {"p0", "p1", "p2", "p3"}
    assert "NFE 10 of p0, p1, p2, p3." in some.warnings[0]


@pytest.mark.slow  # minutes
def test_a_report_of_a_hundred_thousand_cells(tmp_path):
    count = large(tmp_path / "run", 125, sorted({int(n) for n in np.geomspace(4, 9000, 104)})[:80])
    assert count == 100_000
    seconds, memory = reported(tmp_path / "run")
    opened, each = resumed(tmp_path / "run")
    print(f"{seconds:.0f} s, {memory / 1e9:.2f} GB, resumed in {opened:.1f} s, {each * 1e3:.2f} ms a record")
    assert seconds < 60
    assert memory < 2e9
    assert len(list((tmp_path / "run" / "figures").glob("*.pdf"))) == 5 + PROBLEMS  # of the run, fd-compute or split
    assert (tmp_path / "run" / "report.html").stat().st_size < 8e6
    assert opened < 10
    assert each < 0.01

"""Very many solvers at one budget: what a cell costs does not grow with their number."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import solverbench as sb
from solverbench.methods import SOLVERS
from solverbench.problems.base import ProblemSpec
from solverbench.run import cells, suite, workers
from solverbench.run.desk import Desk

COUNT = 12


@pytest.fixture
def traced(tmp_path):
    """(cells of many solvers at a budget, how often each has been traced so far)."""
    np.save(tmp_path / "spectrum.npy", np.linspace(0.1, 1, 4))
    counts = dict.fromkeys(range(COUNT), 0)

    @sb.solver("counted")
    def counted(x, path, grid, *, k: int = 0):
        counts[k] += 1
        for s, t in grid.steps:
            x = x + (1 + 1e-4 * k) * (t - s) * x.predict("velocity", at=s)
        return x

    problem = ProblemSpec("gaussian", f"{tmp_path}/spectrum.npy", "law")
    many = suite.Suite("many", "", (4,), ("ddim",), (problem,), "full", "")
    chosen = cells.select(many, solvers=[f"counted[k={k}]" for k in counts]).cells
    counts.update(dict.fromkeys(counts, 0))
    yield chosen, counts
    SOLVERS.discard("counted")


def test_a_worker_traces_a_solver_as_often_for_the_first_cell_as_for_all(traced):
    chosen, counts = traced
    station, desk = workers._Station(SimpleNamespace(send=lambda _: None), None), Desk(chosen)
    seen = []
    for cell in chosen:
        assert station.finish(desk.task(cell)).record["status"] == "ok"
        seen.append(counts[0])
    assert seen[2:] == [seen[1]] * (COUNT - 2)
    assert max(counts.values()) <= 4  # its plan, and what is derived of it


def test_plans_that_differ_are_told_apart_before_anything_of_a_tableau_is_compared(monkeypatch):
    plans = [sb.plan(name, "edm", sb.grid("edm", "edm", 6)) for name in ("ddim", "dpmpp-2m", "ipndm4", "deis-tab2")]
    monkeypatch.setattr("numpy.allclose", lambda *_, **__: pytest.fail("compared in full"))
    assert not any(a.equivalent(b) for a in plans for b in plans if a is not b)

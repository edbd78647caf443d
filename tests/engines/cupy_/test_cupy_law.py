"""Exact laws of many plans in one launch: the numpy law engine's, for every solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines import law as reference
from solverbench.engines.cupy import law
from solverbench.fields import Gaussian
from solverbench.plans import trace

MEAN, VARIANCE = np.array([0.3, -1.0, 0.0, 2.0, -0.7]), np.array([0.0, 1e-4, 0.09, 1.0, 25.0])
SOLVERS = [*sb.solvers(), "ddim[eta=0.4]", "sde-dpmpp-2m[eta=0.3,variant=heun]", "edm-stochastic[s_churn=60,s_max=100]"]


def assert_same(got, plans, field):
    """Equal to rounding, in units of what the plan's coefficients are at most."""
    for K, plan in zip(got, plans, strict=True):
        expected = reference.kernel(plan, field)
        scale = max(1.0, np.abs(plan.tableau().astype(float)).sum(axis=1).max())
        for name in "AbQ":
            a, b = getattr(K, name), getattr(expected, name)
            np.testing.assert_allclose(a, b, atol=1e-13 * scale, rtol=1e-9, err_msg=f"{plan.solver} {name}")


@pytest.mark.parametrize("path", ["edm", "vp-linear", "rectified"])
def test_every_solver_and_budget_in_one_launch(host, path):
    field = Gaussian(MEAN, VARIANCE, path)
    grids = [sb.grid("edm" if path == "edm" else "uniform", path, n) for n in (1, 3, 6)]
    plans = [sb.plan(name, path, grid, prediction="x0") for name in SOLVERS for grid in grids]
    program = law.Program(plans)
    for f in (field, Gaussian(-MEAN, VARIANCE + 0.1, path)):
        host.launches.clear()
        assert_same(program(f, host, "cpu"), plans, f)
        assert [name for name, _ in host.launches] == ["law"]


def test_directions_and_plans_beyond_one_round_of_the_grid(host, rng):
    d = 1300
    field = Gaussian(rng.normal(size=d), rng.uniform(0, 2, d), "edm", prediction="noise")
    grids = [sb.grid("edm", "edm", n) for n in (2, 7)]
    plans = [sb.plan(s, "edm", grid, prediction="noise") for s in ("dpmpp-3m", "ddpm") for grid in grids]
    assert_same(law.kernels(plans, field, host, "cpu"), plans, field)


def test_what_a_plan_does_not_read_and_slots_that_serve_again(host):
    """No way back to the start; and values that outlive others, in every order."""

    def forgets(x, path, grid):
        return x.noise(*grid.steps[0])

    def braids(x, path, grid):
        s, t = grid.steps[0]
        a = (x.predict("x0", at=s) + x).keep()
        b = (a.predict("x0", at=s) - 2 * x).keep()
        c = (b.predict("x0", at=t) + 3 * a).keep()
        return c.predict("x0", at=s) + 0.5 * b + x.noise(s, t) - a

    field, grid = Gaussian(MEAN, VARIANCE, "edm"), sb.Grid(sb.path("edm"), (4.0, 2.0))
    plans = [trace(f, sb.path("edm"), grid, "x0", name=f.__name__) for f in (forgets, braids)]
    got = law.kernels(plans, field, host, "cpu")
    assert_same(got, plans, field)
    assert not got[0].A.any()
    assert (got[0].Q == 1).all()


def test_no_plans_and_plans_without_a_law(host):
    field, grid = Gaussian(MEAN, VARIANCE, "edm"), sb.grid("edm", "edm", 3)
    assert law.kernels([], field, host, "cpu") == []
    clip = trace(lambda x, p, g: x.map(torch.tanh), sb.path("edm"), grid, "x0", name="clip")
    with pytest.raises(sb.UsageError, match="'clip' maps states by a nonlinear function"):
        law.kernels([sb.plan("ddim", "edm", grid, prediction="x0"), clip], field, host, "cpu")
    with pytest.raises(sb.UsageError, match="expects 'noise', the field predicts 'x0'"):
        law.kernels([sb.plan("ddim", "edm", grid, prediction="noise")], field, host, "cpu")

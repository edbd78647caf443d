"""Every solver on every path and grid, from a single step up, with and without the jump onto the data."""

import numpy as np
import pytest

import solverbench as sb
from solverbench.grids import GRIDS
from solverbench.paths import PATHS

MEAN, VARIANCE = np.array([0.3, -0.2, 0.0]), np.array([1.0, 0.05, 0.0])


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("rule", sorted(GRIDS))
@pytest.mark.parametrize("name", PATHS)
def test_every_solver_runs_and_ends_finite(name, rule, steps):
    """A direction without variance is among them; out of pure noise and onto the data included."""
    if rule == "discrete" and name != "vp-discrete":
        with pytest.raises(sb.UsageError, match="needs a path of discrete times"):
            sb.grid(rule, name, steps)
        return
    field = sb.fields.Gaussian(MEAN, VARIANCE, name)
    for zero in (True, False):
        grid = sb.grid(rule, name, steps, zero=zero)
        for solver in sb.solvers():
            law = sb.law(field, solver, grid, start="prior")
            assert np.isfinite(law.mean).all(), solver
            assert np.isfinite(law.variance).all(), solver
            assert law.nfe >= steps, solver

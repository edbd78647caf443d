"""Every solver on every path and grid, from a single step up, with and without the jump onto the data."""

import numpy as np
import pytest

import solverbench as sb
from solverbench.grids import GRIDS
from solverbench.paths import PATHS

MEAN, VARIANCE = np.array([0.3, -0.2, 0.0]), np.array([1.0, 0.05, 0.0])


ON_EVERY_SOLVER = ("uniform", "quadratic", "exponential", "log-snr", "edm", "tangent", "discrete")
FEW = ("euler", "ddim[eta=0.5]", "dpmpp-3m", "unipc-2", "deis-tab3", "rk4")
"""Solvers for grids that differ from those above in their times alone; other names of a rule are not run at all."""


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("rule", sorted(name for name, rule in GRIDS.items() if not rule.same))
@pytest.mark.parametrize("name", PATHS)
def test_every_solver_runs_and_ends_finite(name, rule, steps):
    """A direction without variance is among them; out of pure noise and onto the data included."""
    if (GRIDS[rule].indexed and name != "vp-discrete") or (rule, name) == ("ays-svd", "vp-discrete"):
        with pytest.raises(sb.UsageError, match=r"needs a path of discrete times|beyond path vp-discrete"):
            sb.grid(rule, name, steps)
        return
    field = sb.fields.Gaussian(MEAN, VARIANCE, name)
    for zero in (True, False):
        grid = sb.grid(rule, name, steps, zero=zero)
        for solver in sb.solvers() if rule in ON_EVERY_SOLVER else FEW:
            law = sb.law(field, solver, grid, start="prior")
            assert np.isfinite(law.mean).all(), solver
            assert np.isfinite(law.variance).all(), solver
            assert law.nfe >= steps, solver

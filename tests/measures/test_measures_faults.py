"""Faults planted in stochastic solvers: the exact law sees each of them, without a sample."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import solverbench as sb
from solverbench.methods import stochastic
from solverbench.methods.registry import Solver, keyword_defaults

FIELD = sb.fields.Gaussian(np.array([0.4, 0.0]), np.array([1.5, 0.05]), "vp-linear")


def faulty(function, old, new):
    """The solver with a text of its source replaced."""
    source = inspect.getsource(function)
    source = source[source.index("def ") :]
    assert source.count(old) == 1
    scope = dict(vars(stochastic))
    exec("from __future__ import annotations\n" + source.replace(old, new), scope)
    return scope[function.__name__]


def error(function, n, **options):
    """The largest error of a deviation of the law at the last time, from the exact start."""
    grid = sb.grid("log-snr", "vp-linear", n, t_min=0.05, zero=False)
    defaults = keyword_defaults(function)
    solver = Solver("planted", function, options=defaults, defaults=defaults)[options]
    law = sb.law(FIELD, solver, grid, target="end")
    return float(np.abs(law.std_error).max())


FAULTS = [
    ("ddim", {"eta": 1.0}, "path.alpha(t) * c * x.noise(s, t)", "c * x.noise(s, t)", "noise not scaled by alpha"),
    ("ddim", {"eta": 1.0}, "* (D + sqrt(", "* (D + 0.98 * sqrt(", "weight of eps"),
    ("euler_maruyama", {"eta": 1.0}, "eta_n * sqrt(g2", "eta_n * sqrt(g2 / 2", "a factor of two in the noise"),
    ("euler_maruyama", {"eta": 0.5}, "eta_n * eta_n * g2 / 2", "eta_n * g2 / 2", "eta for eta^2 in the drift"),
    ("euler_maruyama", {"eta": 1.0}, "eta_n * eta_n * g2 / 2", "eta_n * eta_n * g2", "a missing factor 1/2"),
    ("euler_maruyama", {"eta": 1.0}, "x.noise(s, t)", "x.noise(1.0, 0.0)", "one draw for all steps"),
    ("exp_score", {"eta": 0.5}, "(1 + eta_n * eta_n) / 2", "(1 + eta_n) / 2", "eta for eta^2 in the drift"),
    ("exp_score", {"eta": 1.0}, "q * path.sigma(s) - path.sigma(t)", "q * path.sigma(s) - path.sigma(s)", "spread"),
    ("reverse_diffusion", {"eta": 1.0}, "x_t + eta_n * g *", "x_t + eta_n * g * g *", "variance for deviation"),
    ("ddpm_large", {"beta": "rate"}, "g * x.noise", "1.03 * g * x.noise", "three per cent more noise"),
]


@pytest.mark.parametrize(("name", "options", "old", "new", "what"), FAULTS, ids=[f"{n}: {w}" for n, *_, w in FAULTS])
def test_planted_faults_change_the_law(name, options, old, new, what):
    """The law of the sound solver converges at order one; that of the faulty one converges to another law."""
    function = getattr(stochastic, name)
    sound = [error(function, n, **options) for n in (200, 400)]
    assert sound[0] / sound[1] == pytest.approx(2, rel=0.1)
    wrong = [error(faulty(function, old, new), n, **options) for n in (200, 400)]
    assert not wrong[1] < 0.6 * wrong[0], what
    assert wrong[1] > 3 * sound[1]


@pytest.mark.parametrize("solver", ["exp-score", "ddpm-large[beta=rate]", "exp-score[eta=0.5]", "ddpm-large"])
def test_the_new_solvers_samples_have_their_law(solver):
    """Mean and variance of 40,000 samples within four standard errors, a step onto the data of the solver's own."""
    n = 40_000
    grid = sb.grid("uniform", "vp-linear", 30, t_min=0.0, denoise=False)
    law = sb.law(FIELD, solver, grid, start="prior")
    x = sb.sample(FIELD, solver, grid, n=n, seed=7, dtype="float64").x.numpy()
    assert np.all(np.abs(x.mean(0) - law.mean) < 4 * np.sqrt(law.variance / n))
    assert np.all(np.abs(x.var(0) - law.variance) < 4 * law.variance * np.sqrt(2 / n))

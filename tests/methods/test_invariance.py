"""What a solver's result must not depend on: the kind of prediction, and the path given the noise levels."""

from __future__ import annotations

import numpy as np
import pytest

import solverbench as sb
from solverbench.fields import Mixture
from solverbench.paths import PATHS
from solverbench.predictions import PREDICTIONS

DETERMINISTIC = [n for n, s in sb.solvers().items() if not s.stochastic and s.integrates != "flow map"]
STOCHASTIC = [n for n, s in sb.solvers().items() if s.stochastic and s.integrates != "flow map"]
SOLVERS = [*DETERMINISTIC, "unipc-3[variant=bh1,predicts=noise]", "exp-rk3[predicts=noise]", "exp-ab3[predicts=noise]",
           "sde-dpmpp-2m[eta=0]"]  # fmt: skip
IN_TIME = (
    *(name for name, s in sb.solvers().items() if "head" in s.takes and s.integrates == "velocity"),
    *("deis-tab1", "deis-tab2", "deis-tab3", "ab2", "ab3", "ab4", "abm2", "abm3", "abm4", "pndm"),
    *("euler-maruyama", "reverse-diffusion", "euler-ancestral-rf", "ddpm-large", "exp-score"),
)
SIGMAS = np.array([12.0, 6.0, 3.5, 1.7, 0.9, 0.5, 0.21, 0.1])


def mixture(path, prediction="x0"):
    """Three components in four dimensions."""
    means = np.random.default_rng(2).normal(size=(3, 4))
    return Mixture([0.2, 0.5, 0.3], means, variances=[0.3, 0.05, 0.6], path=path, prediction=prediction)


def on(path, data=False):
    """The grid of SIGMAS on a path, with a last step onto the data if asked for."""
    times = path.inverse_sigma_tilde(SIGMAS).tolist()
    return sb.Grid(path, (*times, 0.0) if data else tuple(times))


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize("path", ["vp-linear", "edm", "rectified"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_any_prediction(solver, path, data, rng):
    made = sb.path(path)
    grid = on(made, data)
    x = rng.normal(size=(5, 4)) * made.sigma(grid.times[0])
    results = [sb.sample(mixture(made, kind), solver, grid, x=x).x for kind in PREDICTIONS]
    for got in results[1:]:
        np.testing.assert_allclose(got, results[0], rtol=0, atol=1e-12 * np.abs(results[0]).max())


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_any_prediction_with_noise(solver):
    results = [
        sb.sample(mixture("rectified", k), solver, on(sb.path("rectified")), n=5, dtype="float64").x
        for k in PREDICTIONS
    ]
    for got in results[1:]:
        np.testing.assert_allclose(got, results[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name not in IN_TIME])
def test_any_path(solver, rng):
    """x = alpha x~: the same canonical states at the same sigma~ on every path."""
    x = rng.normal(size=(5, 4)) * SIGMAS[0]
    expected = None
    for name in PATHS:
        made = sb.path(name)
        for data in (False, True):
            grid = on(made, data)
            got = sb.sample(mixture(made), solver, grid, x=x * made.alpha(grid.times[0])).x / made.alpha(grid.times[-1])
            if data:
                expected = (expected[0], got) if expected[1] is None else expected
            else:
                expected = (got, None) if expected is None else expected
            np.testing.assert_allclose(got, expected[data], rtol=0, atol=1e-10 * np.abs(expected[data]).max())


@pytest.mark.parametrize(
    "solver", [*(n for n in STOCHASTIC if n not in IN_TIME), "ddim[eta=0.5]", "sde-dpm-2m[eta=0.5]"]
)
def test_any_path_with_noise(solver, rng):
    """The draws too are the same, in canonical coordinates."""
    x = rng.normal(size=(5, 4)) * SIGMAS[0]
    results = []
    for name in ("edm", "vp-linear", "rectified", "trig"):
        made = sb.path(name)
        grid = on(made)
        got = sb.sample(mixture(made), solver, grid, x=x * made.alpha(grid.times[0]), seed=5).x
        results.append(got / made.alpha(grid.times[-1]))
    for got in results[1:]:
        np.testing.assert_allclose(got, results[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("solver", [name for name in IN_TIME if name in DETERMINISTIC])
def test_methods_in_time_do_depend_on_the_path(solver, rng):
    x = rng.normal(size=(5, 4)) * SIGMAS[0]
    a, b = (
        sb.sample(mixture(p), solver, on(p), x=x * p.alpha(on(p).times[0])).x / p.alpha(on(p).times[-1])
        for p in (sb.path("edm"), sb.path("trig"))  # on the rectified path Euler in t is Euler in sigma~
    )
    assert np.abs(a - b).max() > 1e-6

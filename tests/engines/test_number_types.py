"""The numpy engine in longdouble and in mpmath: the same plans to more digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import solverbench as sb
from solverbench.fields import Gaussian

IN_TIME = (
    *(name for name, s in sb.solvers().items() if "head" in s.takes and s.integrates == "velocity"),
    *("deis-tab1", "deis-tab2", "deis-tab3", "ab2", "ab3", "ab4", "abm2", "abm3", "abm4", "pndm"),
)
SOLVERS = [name for name, solver in sb.solvers().items() if solver.integrates != "flow map"]
DETERMINISTIC = [name for name in SOLVERS if not sb.solvers()[name].stochastic]
X = np.array([[0.4, -1.3, 2.2], [1.0, 0.5, -0.1]])
SIGMAS = (9.0, 5.0, 2.5, 1.1, 0.6, 0.2)


def field(path, prediction="x0"):
    """Three directions of different variance, with a mean."""
    return Gaussian([0.3, -0.6, 1.0], [0.04, 1.0, 9.0], path, prediction=prediction)


def exactly(values):
    """An object array of mpmath numbers."""
    return np.frompyfunc(mp.mpf, 1, 1)(values)


@pytest.mark.parametrize("kind", ["longdouble", "mpmath"])
@pytest.mark.parametrize("name", SOLVERS)
def test_wider_types_agree_with_float64(name, kind):
    """Stochastic solvers too: their noise is that of float64."""
    x = X * SIGMAS[0]
    double = sb.sample(field("edm"), name, SIGMAS, x=x, seed=4).x
    with mp.workdps(40):
        wide = sb.sample(
            field("edm"), name, SIGMAS, x=exactly(x) if kind == "mpmath" else x.astype(np.longdouble), seed=4
        )
    assert wide.x.dtype == (object if kind == "mpmath" else np.longdouble)
    scale = np.abs(double).max()
    np.testing.assert_allclose(wide.x.astype(float), double, rtol=0, atol=1e-13 * max(scale, 10))


@pytest.mark.parametrize("name", [name for name in DETERMINISTIC if name not in IN_TIME])
def test_thirty_digits(name):
    """On another path with the same sigma~, and with another prediction, nothing changes but the last of 40 digits.

    A single float in a coefficient would show at the sixteenth.
    """
    with mp.workdps(40):
        x = exactly(X * SIGMAS[0])
        edm = sb.sample(field("edm"), name, sb.grid(SIGMAS, "edm").astype(mp.mpf), x=x, engine="numpy").x
        for path, prediction in (("rectified", "velocity"), ("vp-linear", "noise"), ("trig", "v")):
            made = sb.path(path)
            times = tuple(made.inverse_sigma_tilde(mp.mpf(u)) for u in SIGMAS)
            start = made.alpha(times[0]) * x
            end = sb.sample(field(path, prediction), name, sb.Grid(made, times), x=start, engine="numpy").x
            error = max(abs(v) for v in (end / made.alpha(times[-1]) - edm).flat)
            assert error < mp.mpf(10) ** -34, path


@pytest.mark.parametrize("name", ["euler", "midpoint", "heun", "rk4"])
def test_thirty_digits_in_time(name):
    """Methods in t depend on the path; on the rectified one the data and noise predictions agree to 38 digits."""
    made = sb.path("rectified")
    with mp.workdps(40):
        x, times = exactly(X), tuple(mp.mpf(k) / 7 for k in (6, 4, 3, 1))
        a, b = (
            sb.sample(field(made, prediction), name, sb.Grid(made, times), x=x, engine="numpy").x
            for prediction in ("x0", "velocity")
        )
        assert max(abs(v) for v in (a - b).flat) < mp.mpf(10) ** -36


def test_thirty_digits_of_tab():
    """On a path where t = sigma, tAB and rhoAB are one method."""
    with mp.workdps(40):
        grid = sb.grid(SIGMAS, "edm").astype(mp.mpf)
        x = exactly(X * SIGMAS[0])
        a, b = (sb.sample(field("edm"), name, grid, x=x, engine="numpy").x for name in ("deis-tab3", "deis-rhoab3"))
        assert max(abs(v) for v in (a - b).flat) < mp.mpf(10) ** -30


def test_float32_stays_float32():
    out = sb.sample(field("edm"), "dpmpp-2m", SIGMAS, x=X.astype(np.float32)).x
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, sb.sample(field("edm"), "dpmpp-2m", SIGMAS, x=X).x, rtol=1e-5, atol=1e-5)


def test_noise_must_be_given_to_a_plan_that_draws():
    from solverbench.engines import numpy as engine

    plan = sb.plan("ddpm", "edm", SIGMAS, prediction="x0")
    with pytest.raises(ValueError, match="ddpm draws noise and was given none"):
        engine.run(plan, field("edm"), X)

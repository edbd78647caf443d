"""Exact laws: against impulses through the numpy engine, against closed forms, and against samples."""

from __future__ import annotations

import numpy as np
import pytest

import solverbench as sb
from solverbench.engines import law as law_engine
from solverbench.engines import numpy as numpy_engine
from solverbench.errors import UsageError
from solverbench.fields import Gaussian
from solverbench.plans import trace

VARIANCE = np.array([0.0, 1e-4, 0.09, 1.0, 25.0])
MEAN = np.array([0.3, -1.0, 0.0, 2.0, -0.7])
PLACES = {
    "edm": sb.grid("edm", "edm", 6),
    "vp-linear": sb.grid("uniform", "vp-linear", 6, zero=False),
    "rectified": sb.grid("uniform", "rectified", 6),
}
SOLVERS = [*sb.solvers(), "ddim[eta=0.4]", "euler-maruyama[eta=0.5]", "sde-dpmpp-2m[eta=0.3,variant=heun]",
           "unipc-2[variant=bh1]", "edm-stochastic[s_churn=60,s_max=100]"]  # fmt: skip
STOCHASTIC = ["ddim[eta=0.4]", "ddpm", "euler-maruyama", "sde-dpmpp-1[eta=0.7]", "sde-dpmpp-2m",
              "sde-dpmpp-2m[eta=0.5,variant=heun]", "edm-stochastic",
              "edm-stochastic[s_churn=60,s_max=100]"]  # fmt: skip


def gaussian(path, prediction="x0"):
    """Five directions, one of them without variance."""
    return Gaussian(MEAN, VARIANCE, path, prediction=prediction)


def probe(plan, field):
    """(A, b, Q) of a plan by impulses: runs of the numpy engine from 0 and 1, and with one draw at 1."""
    d, draws = len(MEAN), plan.draws
    x = np.zeros((2 + draws, d))
    x[1] = 1

    def noise(draw):
        z = np.zeros_like(x)
        z[2 + draw] = 1
        return z

    out = numpy_engine.run(plan, field, x, noise)
    return out[1] - out[0], out[0], ((out[2:] - out[0]) ** 2).sum(axis=0)


WHERE = [
    (place, prediction)
    for place, grid in PLACES.items()
    for prediction in ("x0", "noise", "score", "v", "velocity")
    if not (grid.head and prediction in ("noise", "score"))  # no data can be read off the noise where alpha = 0
]


@pytest.mark.parametrize(("place", "prediction"), WHERE)
@pytest.mark.parametrize("name", SOLVERS)
def test_kernel_is_what_impulses_show(name, place, prediction):
    grid = PLACES[place]
    field = gaussian(place, prediction)
    plan = sb.plan(name, place, grid, prediction=prediction)
    K = law_engine.kernel(plan, field)
    A, b, Q = probe(plan, field)
    scale = max(1.0, np.abs(plan.tableau().astype(float)).sum(axis=1).max())
    np.testing.assert_allclose(K.A, A, atol=1e-12 * scale, rtol=0)
    np.testing.assert_allclose(K.b, b, atol=1e-12 * scale, rtol=0)
    np.testing.assert_allclose(K.Q, Q, atol=1e-12 * scale, rtol=1e-9)


def theta(grid, variance):
    """arctan(sigma~ / sqrt(variance)) at the times of a grid; pi/2 where nothing is left of the data."""
    tilde = np.array([0.0 if grid.path.is_data(t) else grid.path.sigma_tilde(t) for t in grid])
    return np.arctan2(tilde[:, None], np.sqrt(variance))


@pytest.mark.parametrize("to", ["data", "end"])
@pytest.mark.parametrize("name", ["edm", "vp-linear", "vp-cosine", "rectified"])
def test_ddim_is_a_product_of_cosines(name, to):
    """std_out/std_exact = prod cos(theta_n - theta_{n+1}): DDIM loses variance in every step."""
    grid = sb.grid("edm", name, 12, zero=to == "data")
    field = gaussian(name)
    law = sb.law(field, "ddim", grid, target=to)
    angles = theta(grid, VARIANCE)
    exact = np.cos(np.diff(angles, axis=0)).prod(axis=0) * np.sqrt(law.reference_variance)
    np.testing.assert_allclose(np.sqrt(law.variance), exact, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(law.mean, law.reference_mean, atol=1e-13)
    assert np.all(law.std_error <= 1e-15)


def test_tangent_grid_is_the_best_for_ddim_in_its_direction():
    """Equal angles: the product of cosines is cos^N(total/N), which no other grid of as many steps exceeds."""
    field = Gaussian([0.0], [0.25], "rectified")
    law = sb.law(field, "ddim", sb.grid("tangent", "rectified", 7, scale=0.5), start="exact")
    assert np.sqrt(law.variance[0]) == pytest.approx(0.5 * np.cos(np.pi / 2 / 7) ** 7, rel=1e-13)
    for rule in ("uniform", "edm", "log-snr"):
        assert sb.law(field, "ddim", sb.grid(rule, "rectified", 7)).variance[0] < law.variance[0]


@pytest.mark.parametrize("solver", ["ddpm", "sde-dpmpp-1", "ddim[eta=1]"])
@pytest.mark.parametrize("name", ["edm", "vp-linear", "rectified"])
def test_one_ancestral_step(name, solver):
    """The conditional mean is exact at any step; what is missing of the variance is (1 - u_t/u_s)^2 Cov[x_0 | x_s]."""
    made = sb.path(name)
    field = gaussian(made)
    for s, t in ((0.9, 0.2), (0.5, 0.49), (0.3, 0.001)):
        K = law_engine.kernel(sb.plan(solver, made, [s, t], prediction="x0"), field)
        slope, offset, variance = field.transition(s, t, eta=1.0)
        np.testing.assert_allclose(K.A, slope, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(K.b, offset, rtol=0, atol=1e-13)
        u_s, u_t = made.sigma_tilde(s) ** 2, made.sigma_tilde(t) ** 2
        posterior = VARIANCE * u_s / (VARIANCE + u_s)
        deficit = made.alpha(t) ** 2 * (1 - u_t / u_s) ** 2 * posterior
        np.testing.assert_allclose(variance - K.Q, deficit, rtol=0, atol=1e-13 * (1 + u_t))
        assert np.all(variance - K.Q >= -1e-14)


def test_one_step_of_the_exponential_sde_at_any_strength():
    """rho = (sigma~_t/sigma~_s)^(1 + eta^2): x' = rho x + (1 - rho) D + sqrt(u_t - u_s rho^2) z."""
    field = gaussian("edm")
    for eta in (0.3, 1.0, 1.6):
        s, t = 3.0, 0.8
        K = law_engine.kernel(sb.plan(f"sde-dpmpp-1[eta={eta}]", "edm", [s, t], prediction="x0"), field)
        rho = (t / s) ** (1 + eta**2)
        D = VARIANCE / (VARIANCE + s * s)
        np.testing.assert_allclose(K.A, rho + (1 - rho) * D, rtol=1e-13)
        np.testing.assert_allclose(K.Q, t * t - s * s * rho**2, rtol=1e-12)


@pytest.mark.parametrize("solver", ["ddim", "dpmpp-2m", "ddpm", "unipc-2"])
@pytest.mark.parametrize("path", ["rectified", "trig"])
def test_law_from_pure_noise_is_that_of_the_samples(path, solver):
    """N(0, I) at alpha = 0, pushed through the kernel; `sample` starts there."""
    field, grid = gaussian(path), sb.grid("uniform", path, 5)
    K = law_engine.kernel(sb.plan(solver, path, grid, prediction="x0"), field)
    law = sb.law(field, solver, grid)
    np.testing.assert_allclose(law.variance, K.A**2 + K.Q, rtol=1e-12)
    np.testing.assert_allclose(law.mean, K.b, rtol=1e-12)


def test_a_plan_keeps_its_grid():
    for solver in ("ddim", "heun", "flow-map"):
        for path in ("edm", "vp-linear"):
            grid = sb.grid("uniform", path, 5)
            assert sb.plan(solver, path, grid).grid == grid


@pytest.mark.parametrize("name", ["edm", "vp-linear", "rectified"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_flow_map_is_exact(name, steps):
    field = gaussian(name)
    grid = sb.grid("uniform", name, steps)
    law = sb.law(field, "flow-map", grid)
    slope, offset = field.jump_affine(grid.times[0], 0.0)
    np.testing.assert_allclose(law.kernel.A, slope, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(law.kernel.b, offset, atol=1e-12)
    np.testing.assert_allclose(law.variance, VARIANCE, rtol=1e-12)
    assert law.w2 < 1e-12
    assert law.nfe == steps


@pytest.mark.parametrize("solver", ["heun", "dpmpp-2m", "unipc-3", "rho-4rk", "exp-rk3"])
def test_a_point_is_reached(solver):
    """No data variance: D is the mean wherever one stands, and the last step ends on it."""
    field = Gaussian([0.7], [0.0], "edm")
    law = sb.law(field, solver, sb.grid("edm", "edm", 9))
    assert law.mean[0] == pytest.approx(0.7, abs=1e-11)
    assert law.variance[0] < 1e-20


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_samples_have_the_exact_law(solver):
    """Mean and covariance of 20,000 samples within four standard errors, off the diagonal too."""
    n, d = 20_000, 3
    field = Gaussian([0.5, -1.0, 0.0], [0.04, 1.0, 4.0], "edm", prediction="noise")
    grid = sb.grid("edm", "edm", 8, t_max=10.0, t_min=0.05)
    law = sb.law(field, solver, grid, start="prior")
    x = sb.sample(field, solver, grid, n=n, seed=11, dtype="float64").x.numpy()
    assert sb.plan(solver, "edm", grid).draws > 0
    assert np.all(np.abs(x.mean(0) - law.mean) < 4 * np.sqrt(law.variance / n))
    centred = x - law.mean
    covariance = centred.T @ centred / n
    expected = np.diag(law.variance)
    error = np.sqrt((np.outer(law.variance, law.variance) + expected**2) / n)  # of a Gaussian's covariance
    assert covariance.shape == (d, d)
    assert np.all(np.abs(covariance - expected) < 4 * error)


def test_noise_is_fresh_in_every_step():
    """The same numbers twice would double the variance that two equal draws add."""
    field = Gaussian([0.0], [0.0], "edm")  # D = 0: x_t = (t/s)^2 x + t sqrt(1 - t^2/s^2) z
    K = law_engine.kernel(sb.plan("ddpm", "edm", [4.0, 2.0, 1.0], prediction="x0"), field)
    assert K.A[0] == pytest.approx(1 / 16)
    assert K.Q[0] == pytest.approx(1 / 16 * 4 * 3 / 4 + 3 / 4)


def test_plans_without_a_gaussian_law():
    clip = trace(lambda x, p, g: x.map(np.tanh), sb.path("edm"), PLACES["edm"], "x0", name="clip")
    with pytest.raises(UsageError, match="'clip' maps states by a nonlinear function"):
        law_engine.kernel(clip, gaussian("edm"))
    with pytest.raises(UsageError, match="expects 'noise', the field predicts 'x0'"):
        law_engine.kernel(sb.plan("ddim", "edm", PLACES["edm"], prediction="noise"), gaussian("edm"))

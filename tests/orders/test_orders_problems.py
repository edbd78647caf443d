"""What orders are measured on, and the laws behind weak and strong orders, against independent computations."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import solverbench as sb
from solverbench.engines.law import kernel
from solverbench.fields import Gaussian, Mixture
from solverbench.orders import problems, subject
from solverbench.orders.grids import GRIDS, smooth
from solverbench.orders.impulse import departure, respond
from solverbench.orders.laws import mean_error, noise_error
from solverbench.orders.problems import GAUSSIAN, NONLINEAR, gaussian, mixed

S, T = 1.5, 0.15


def test_the_mixture_is_the_mixture_field():
    """Column by column, the denoiser of `fields.Mixture` in one dimension."""
    means = np.array(problems.MEAN)[:, None]
    variances = np.array(problems.WIDTH2)
    field = Mixture(problems.WEIGHT, means, variances=variances, path="edm")
    x = np.linspace(-4, 4, 9)
    for sigma in (0.1, 1.0, 30.0):
        state = np.concatenate([x, np.zeros(len(problems.VARIANCE))])[None]
        np.testing.assert_allclose(mixed(state, sigma)[0, NONLINEAR], field(x[:, None], sigma)[:, 0], rtol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_flows_solve_their_equation(eta):
    """dx/dlambda = -(1 + eta^2)(x - D), by DOP853 on every column."""
    x = problems.start(S)

    def slope(lam, y):
        return -(1 + eta**2) * (y - mixed(y[None], float(np.exp(-lam)))[0])

    end = solve_ivp(slope, (-np.log(S), -np.log(T)), x[0], method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    np.testing.assert_allclose(mixed.jump(x, S, T, eta)[0], end, rtol=0, atol=3e-12)


@pytest.mark.parametrize(("sigma_s", "sigma_t"), [(80.0, 0.002), (1.5, 0.0)])
def test_the_quantile_map_composes_and_inverts(sigma_s, sigma_t):
    x = problems.start(sigma_s)
    through = mixed.jump(mixed.jump(x, sigma_s, 0.7), 0.7, sigma_t)
    np.testing.assert_allclose(mixed.jump(x, sigma_s, sigma_t), through, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(mixed.jump(through, sigma_t, sigma_s), x, rtol=1e-9)


def test_the_same_to_forty_digits():
    with mp.workdps(40):
        x = problems.start(mp.mpf(S))
        end = mixed.jump(x, mp.mpf(S), mp.mpf(T))
        back = mixed.jump(end, mp.mpf(T), mp.mpf(S))
        assert max(abs(a - b) for a, b in zip(x[0], back[0], strict=True)) < mp.mpf(10) ** -34
        D = mixed(x, mp.mpf(S))
    np.testing.assert_allclose(end.astype(float), mixed.jump(problems.start(S), S, T), rtol=0, atol=1e-13)
    np.testing.assert_allclose(D.astype(float), mixed(problems.start(S), S), rtol=1e-14)


@pytest.mark.parametrize("name", GRIDS)
def test_grids_of_the_measurement(name):
    """They begin and end where they should, decrease, and shrink everywhere as N grows."""
    for N in (4, 32):
        coarse, fine = GRIDS[name](N, float, (S, T)), GRIDS[name](2 * N, float, (S, T))
        assert (coarse[0], coarse[-1]) == pytest.approx((S, T), rel=1e-14)
        assert (np.diff(coarse) < 0).all()
        assert np.abs(np.diff(np.log(fine))).max() < 0.6 * np.abs(np.diff(np.log(coarse))).max()


@pytest.mark.parametrize("solver", ["ddpm", "ddim[eta=0.5]", "sde-dpmpp-2m", "edm-stochastic", "unipc-3"])
def test_answers_to_impulses_are_the_exact_law(solver):
    """Of a black box, against the backward sweep over the plan."""
    grid = smooth(12)
    made = sb.solvers()[solver]
    found = respond(subject(made).run, gaussian, grid, len(problems.VARIANCE), draws=20)
    field = Gaussian(np.zeros(len(problems.VARIANCE)), np.array(problems.VARIANCE), "edm")
    exact = kernel(sb.plan(made, "edm", sb.Grid(sb.path("edm"), grid), prediction="x0"), field)
    np.testing.assert_allclose(found.A, exact.A, atol=1e-13)
    np.testing.assert_allclose(found.b, exact.b, atol=1e-13)
    np.testing.assert_allclose(found.kernel.Q, exact.Q, atol=1e-13)


def test_linearity_is_seen():
    rng = np.random.default_rng(0)
    z = {k: rng.normal(size=(1, len(problems.VARIANCE))) for k in range(-1, 12)}
    run = subject(sb.solvers()["ddpm"]).run
    assert departure(run, gaussian, smooth(8), z[-1], z.__getitem__) < 1e-14
    clipped = lambda denoise, *a: run(lambda x, s: np.clip(denoise(x, s), -0.5, 0.5), *a)  # noqa: E731
    assert departure(clipped, gaussian, smooth(8), z[-1], z.__getitem__) > 1e-3


@pytest.mark.parametrize("solver", ["ddpm", "euler-maruyama", "ddim[eta=0.5]", "shark"])
def test_distance_on_the_same_brownian_path(solver, rng):
    """Against four thousand paths, each drawn in fine pieces from which both solutions are made."""
    made = sb.solvers()[solver]
    eta, grid, fine = made.options["eta"].constant, smooth(4), 200
    mine = subject(made)
    found = respond(mine.run, gaussian, grid, len(problems.VARIANCE), draws=len(mine.draws(grid)))
    start = mean_error(found, grid, eta) * np.sqrt(gaussian.marginal(grid[0]))
    expected = np.hypot(start, noise_error(found, mine.draws(grid), grid, eta))
    v, e, u_t = np.array(problems.VARIANCE), (1 + eta**2) / 2, grid[-1] ** 2
    n = 4000
    x = rng.normal(size=(n, v.size)) * np.sqrt(gaussian.marginal(grid[0]))
    exact = x * ((v + u_t) / (v + grid[0] ** 2)) ** e
    draws, areas = [], []
    for a, b in itertools.pairwise(grid):
        edges = np.linspace(b * b, a * a, fine + 1)
        middle, du = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        dB = rng.normal(size=(n, v.size, fine)) * np.sqrt(du)
        exact += eta * (((v[:, None] + u_t) / (v[:, None] + middle)) ** e * dB).sum(-1)
        h = a * a - b * b
        draws.append(dB.sum(-1) / np.sqrt(h))
        areas.append(np.sqrt(12 / h) * (((middle - b * b) / h - 1 / 2) * dB).sum(-1))
    if any(i.area for i in mine.draws(grid)):
        draws = [z for step in zip(draws, areas, strict=True) for z in step]
    got = mine.run(gaussian, x, grid, draws.__getitem__)
    np.testing.assert_allclose(np.sqrt(np.square(got - exact).mean(0)), expected, rtol=0.06)


def test_columns():
    x = problems.start(S)
    assert x[0, NONLINEAR].size == problems.POINTS
    np.testing.assert_allclose(x[0, GAUSSIAN] ** 2, gaussian.marginal(S))

"""The exact reverse process of Gaussians and mixtures against equations, quadrature and Bayes' rule, and by its law."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from scipy.special import ndtri
from scipy.stats import norm, ortho_group

from solverbench.engines.noise import normals
from solverbench.errors import UsageError
from solverbench.eta import ONE, Eta
from solverbench.fields import Dense, Gaussian, Mixture
from solverbench.fields.posterior import Scalars

PIECES = Eta.of("0.5@0.05:1;1.7@1:8")
LAM = np.array([1e-4, 0.3, 5.0])


def value(sigma, eta=PIECES):
    return next((p.value for p in eta.pieces if p.low <= sigma < p.high), 0.0)


@pytest.mark.parametrize("eta", [PIECES, Eta.of(0), Eta.of(0.5), Eta.of(1), Eta.of(1.7)], ids=str)
@pytest.mark.parametrize("name", ["vp-linear", "vp-cosine", "rectified", "edm"])
def test_a_transition_solves_the_equations_of_its_moments(name, eta):
    """dm/dt and dV/dt of the reverse SDE, integrated backwards in time between the edges of the pieces."""
    field = Gaussian(np.array([0.4, 0.0, -1.0]), LAM, name)
    path = field.path
    levels = [20.0, 8.0, 1.0, 0.05, 0.01]
    times = [float(path.inverse_sigma_tilde(sigma)) for sigma in levels]
    state = np.concatenate([np.ones(3), np.zeros(3)])
    for (s, t), (high, low) in zip(pairwise(times), pairwise(levels), strict=True):
        strength = value(math.sqrt(high * low), eta)

        def slope(time, now, eta=strength):
            """Centred z = x - alpha mu: dz = [f + (1 + eta^2)/2 g^2/Lam] z dt + eta g dw, dt < 0."""
            Phi, Q = now.reshape(2, 3)
            a, sigma = path.alpha(time), path.sigma(time)
            f = path.d_alpha(time) / a
            g2 = 2 * sigma * (a * path.d_sigma(time) - path.d_alpha(time) * sigma) / a
            rate = f + (1 + eta**2) / 2 * g2 / (a * a * LAM + sigma * sigma)
            return np.concatenate([rate * Phi, 2 * rate * Q - eta**2 * g2])

        state = solve_ivp(slope, (s, t), state, method="DOP853", rtol=1e-11, atol=1e-15).y[:, -1]
    Phi, offset, Q = field.transition(times[0], times[-1], eta)
    np.testing.assert_allclose(Phi, state[:3], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(Q, state[3:], rtol=1e-8)
    mu = field.moments(0.0)[0]
    np.testing.assert_allclose(offset, (path.alpha(times[-1]) - Phi * path.alpha(times[0])) * mu, atol=1e-12)


def test_the_variance_in_pieces_is_an_integral_over_the_noise():
    """Q = int eta^2 Psi(u)^2 du, Psi(u) = exp(-int_{u_t}^{u} (1 + eta^2)/2 dv/(lam + v)), by quadrature twice."""
    lam, high, low = 0.3, 20.0, 0.2
    breaks = [low**2, 1.0, 64.0, high**2]

    def exponent(u):
        parts = [(max(a, low**2), min(b, u)) for a, b in pairwise(breaks) if a < u]
        return sum(
            quad(lambda v: (1 + value(math.sqrt(v)) ** 2) / 2 / (lam + v), a, b * (1 - 1e-15))[0] for a, b in parts
        )

    total = sum(
        quad(lambda u: value(math.sqrt(u)) ** 2 * math.exp(-2 * exponent(u)), a, b * (1 - 1e-15))[0]
        for a, b in pairwise(breaks)
    )
    Q = Gaussian(np.zeros(1), np.array([lam]), "edm").transition(high, low, PIECES)[2]
    assert Q[0] == pytest.approx(total, rel=1e-7)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_gaussian_moves_by_its_transition(kind):
    U = ortho_group.rvs(3, random_state=0)
    field = Gaussian(np.array([0.4, 0.0, -1.0]), LAM, "vp-linear", basis=Dense(U))
    x, z = (kind(normals(1, k, 0, 5, 3)) for k in (1, 2))
    slope, offset, variance = field.transition(0.7, 0.2, PIECES)
    expected = ((np.asarray(x) @ U) * slope + offset + np.sqrt(variance) * (np.asarray(z) @ U)) @ U.T
    moved = field.transit(x, 0.7, 0.2, PIECES, z)
    assert type(moved) is type(x)
    np.testing.assert_allclose(np.asarray(moved), expected, atol=1e-14)
    np.testing.assert_allclose(np.asarray(field.transit(x, 0.7, 0.2, 0.0)), np.asarray(field.jump(x, 0.7, 0.2)))
    with pytest.raises(UsageError, match="draws noise: give z"):
        field.transit(x, 0.7, 0.2, PIECES)
    with pytest.raises(UsageError, match="from noise to data"):
        field.transit(x, 0.2, 0.7, PIECES, z)


LINE = {"weights": [0.3, 0.5, 0.2], "means": [[-2.0], [0.3], [1.8]]}
FORMS = {
    "variances": {"variances": [0.16, 0.25, 0.09]},
    "factors": {"factors": [[[0.3]], [[0.4]], [[0.1]]], "diagonal": [[0.07], [0.09], [0.08]]},
    "covariances": {"covariances": [[[0.16]], [[0.25]], [[0.09]]]},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "high", "low"), [("edm", 3, 0.4), ("vp-linear", 1, 0.9), ("rectified", 80, 0)])
def test_a_mixture_moves_by_bayes_rule(form, name, high, low):
    """On the line: even normal numbers give the distribution function of p(x_t) p(x_s | x_t)/p(x_s), by quadrature."""
    field = Mixture(**LINE, path=name, **FORMS[form])
    path = field.path
    s, t = (float(path.inverse_sigma_tilde(sigma)) if sigma else 0.0 for sigma in (high, low))
    n = 20000
    z = ndtri((np.arange(n) + 0.5) / n)[:, None]
    a = path.alpha(s) / path.alpha(t)
    g2 = path.sigma(s) ** 2 - a**2 * path.sigma(t) ** 2
    for x_s in (-1.3 * path.sigma(s), 0.1, 2.0):
        moved = np.sort(field.transit(np.full((n, 1), x_s), s, t, 1.0, z)[:, 0])
        at = np.linspace(moved[0] - 1, moved[-1] + 1, 40001)
        density = np.exp(field.log_density(at[:, None], t)) * np.exp(-((x_s - a * at) ** 2) / (2 * g2))
        mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
        mass /= mass[-1]
        exact = np.interp(moved, at, mass)
        np.testing.assert_allclose(exact, (np.arange(n) + 0.5) / n, atol=5e-4)


def dense(form):
    """A mixture in five dimensions, and its dense covariances in basis coordinates."""
    rng = np.random.default_rng(0)
    weights, means, U = [0.25, 0.4, 0.35], rng.normal(size=(3, 5)), ortho_group.rvs(5, random_state=1)
    factors, diagonal = 0.6 * rng.normal(size=(3, 5, 2)), rng.uniform(0.05, 0.4, (3, 5))
    C = factors @ factors.transpose(0, 2, 1) + np.stack([np.diag(d) for d in diagonal])
    given = {"factors": factors, "diagonal": diagonal} if form == "factors" else {"covariances": C}
    return Mixture(weights, means, path="vp-linear", basis=Dense(U), **given), C


@pytest.mark.parametrize("form", ["factors", "covariances"])
def test_the_noise_of_a_component_has_its_conditional_covariance(form):
    """L L^T = S_t - a^2 S_t S_s^{-1} S_t, the covariance of x_t given x_s, by dense matrices."""
    field, C = dense(form)
    s, t = 0.5, 0.3
    (alpha_s, sigma_s), (alpha_t, sigma_t) = ((field.path.alpha(r), field.path.sigma(r)) for r in (s, t))
    a = alpha_s / alpha_t
    g2 = sigma_s**2 - a**2 * sigma_t**2
    at = [Scalars(alpha, sigma, 0, 0, 0) for alpha, sigma in ((alpha_s, sigma_s), (alpha_t, sigma_t))]
    for k in range(3):
        L = field.covariances.half(k, *at, g2)(torch.eye(5, dtype=torch.float64)).numpy().T
        S_s, S_t = alpha_s**2 * C[k] + sigma_s**2 * np.eye(5), alpha_t**2 * C[k] + sigma_t**2 * np.eye(5)
        np.testing.assert_allclose(L @ L.T, S_t - a**2 * S_t @ np.linalg.solve(S_s, S_t), atol=1e-13)


@pytest.mark.parametrize("form", ["factors", "covariances"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_of_many_draws_given_one_state(form, dtype):
    """Mean and covariance of x_t given x_s against dense formulas, within four standard errors."""
    field, C = dense(form)
    s, t, n = 0.5, 0.3, 20000
    x_s = field.sample(1, seed=3, t=s)
    moved = field.transit(np.repeat(x_s, n, 0).astype(dtype), s, t, ONE, normals(2, 1, 0, n, 5, dtype))
    assert moved.dtype == dtype
    path, U = field.path, field.basis.forward(np.eye(5))
    a = path.alpha(s) / path.alpha(t)
    r = field.responsibilities(x_s, s)[0]
    means, covariances = [], []
    for k in range(3):
        S_s, S_t = (path.alpha(q) ** 2 * C[k] + path.sigma(q) ** 2 * np.eye(5) for q in (s, t))
        K = a * S_t @ np.linalg.inv(S_s)
        m = (field.means[k] @ U, x_s[0] @ U)
        means.append(path.alpha(t) * m[0] + K @ (m[1] - path.alpha(s) * m[0]))
        covariances.append(S_t - a * K @ S_t)
    mean = r @ np.array(means)
    covariance = sum(p * (S + np.outer(m - mean, m - mean)) for p, m, S in zip(r, means, covariances, strict=True))
    z = moved.astype(float) @ U - mean
    assert np.abs(z.mean(0) / (z.std(0) / math.sqrt(n))).max() < 4
    products = z[:, :, None] * z[:, None, :]
    error = (products.mean(0) - covariance) / (products.std(0) / math.sqrt(n))
    assert np.abs(error).max() < 4


def test_a_mixture_keeps_its_marginals_and_its_steps_compose():
    """Exact samples stay exact samples, in one step or in two, as the shares below fixed points say."""
    field = Mixture(**LINE, path="edm", variances=[0.16, 0.25, 0.09])
    n, points = 40000, np.array([-2.0, -1.0, 0.0, 0.5, 1.5])
    x = field.sample(n, seed=1, t=3.0)
    z = [normals(5, k, 0, n, 1) for k in (1, 2, 3)]
    one = field.transit(x, 3.0, 0.2, ONE, z[0])
    two = field.transit(field.transit(x, 3.0, 1.0, ONE, z[1]), 1.0, 0.2, ONE, z[2])
    weights, means, spread = (np.array(v).ravel() for v in (LINE["weights"], LINE["means"], [0.16, 0.25, 0.09]))
    mass = (weights * norm.cdf((points[:, None] - means) / np.sqrt(spread + 0.04))).sum(1)
    for moved in (one, two):
        share = (moved < points).mean(0)
        assert np.abs((share - mass) / np.sqrt(mass * (1 - mass) / n)).max() < 4
    # the joint law with the start, too: E[x_s x_t] = a (Var x_t) + means
    products = [((x - x.mean()) * (y - y.mean())).ravel() for y in (one, two)]
    error = (products[0].mean() - products[1].mean()) / math.sqrt(sum(p.var() for p in products) / n)
    assert abs(error) < 4
    assert abs(products[0].mean() - field.moments(0.2)[1][0]) < 4 * products[0].std() / math.sqrt(n)


def test_one_component_is_a_gaussian():
    mu, v = np.array([[0.4, -1.0]]), np.array([[0.3, 2.0]])
    mixture, gaussian = Mixture([1.0], mu, path="vp-cosine", variances=v), Gaussian(mu[0], v[0], "vp-cosine")
    x, z = (normals(1, k, 0, 6, 2) for k in (1, 2))
    np.testing.assert_allclose(mixture.transit(x, 0.6, 0.2, 1, z), gaussian.transit(x, 0.6, 0.2, 1, z), atol=1e-9)


@pytest.mark.parametrize("name", ["edm", "rectified"])
def test_the_flow_on_the_line_solves_its_equation(name):
    field = Mixture(**LINE, path=name, variances=[0.16, 0.25, 0.09])
    path = field.path
    s, t = (float(path.inverse_sigma_tilde(sigma)) for sigma in (5.0, 0.05))
    x = np.linspace(-8, 8, 7)[:, None] * path.alpha(s)

    def slope(lam, y):
        now = path.inverse_lam(lam)
        return field((path.alpha(now) * y)[:, None], now)[:, 0] - y

    span = [float(path.lam(s)), float(path.lam(t))]
    solved = solve_ivp(slope, span, x[:, 0] / path.alpha(s), method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    moved = field.transit(x, s, t, 0.0)
    np.testing.assert_allclose(moved[:, 0], path.alpha(t) * solved, atol=1e-9)
    np.testing.assert_allclose(field.transit(moved, t, s, 0.0), x, atol=1e-8)
    assert field.transit(torch.from_numpy(x).float(), s, t, 0.0).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, x: f.transit(x, 1.0, 0.5, 0.5, x), "at eta = 1 and, in one dimension, at 0; not at eta = 0.5 in 5"),
        (lambda f, x: f.transit(x, 1.0, 0.5, 0.0), "not at eta = 0.0 in 5"),
        (lambda f, x: f.transit(x, 1.0, 0.5, "1@0.1:5", x), "not at eta = 1@0.1:5 in 5"),
        (lambda f, x: f.transit(x, 1.0, 0.5, 1), "draws noise: give z"),
        (lambda f, x: f.transit(x, 0.5, 1.0, 1, x), "from noise to data"),
        (lambda f, x: f.transit(x.astype(np.longdouble), 1.0, 0.5, 1, x), "float32 or float64 states"),
        (lambda f, x: f.transit(x[:, :2], 1.0, 0.5, 1, x), "shape"),
    ],
)
def test_what_a_mixture_does_not_know(call, message):
    with pytest.raises(UsageError, match=message):
        call(dense("factors")[0], np.zeros((2, 5)))


def test_components_on_planes_reach_small_noise_but_not_the_data():
    field = Mixture([1.0], np.zeros((1, 2)), path="edm", factors=[[[1.0], [2.0]]], diagonal=[[0.0, 0.0]])
    x, z = normals(1, 1, 0, 4, 2), normals(1, 2, 0, 4, 2)
    assert np.isfinite(field.transit(x, 1.0, 1e-3, 1, z)).all()
    with pytest.raises(UsageError, match="needs sigma > 0"):
        field.transit(x, 1.0, 0.0, 1, z)
    with pytest.raises(UsageError, match="variance of zero needs sigma > 0"):
        Mixture([1.0], [[0.0]], path="edm", variances=[0.0]).transit(x[:, :1], 1.0, 0.0, 0)
    points = Mixture([0.5, 0.5], np.array([[-1.0], [1.0]]), path="edm", variances=[0.0, 0.0])
    np.testing.assert_allclose(np.abs(points.transit(x[:, :1], 1.0, 0.0, 1, z[:, :1])), 1)

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.stats import multivariate_normal, ortho_group

from solverbench.errors import UsageError
from solverbench.fields import Dense, Field, Gaussian, LinearField
from solverbench.fields.gaussian import PrincipalGaussian
from solverbench.paths import PATHS, path
from solverbench.predictions import PREDICTIONS, convert

MEAN = np.array([0.3, -1.0, 2.0, 0.0, 0.7])
VARIANCE = np.array([0.0, 1e-6, 0.25, 1.0, 200.0])
U = ortho_group.rvs(5, random_state=0)


def gaussian(path_name="edm", **options):
    return Gaussian(MEAN, VARIANCE, path_name, basis=Dense(U), **options)


def time(field, sigma_tilde):
    return float(field.path.inverse_sigma_tilde(sigma_tilde))


def test_is_a_linear_field():
    assert isinstance(gaussian(), LinearField)
    assert isinstance(gaussian(), Field)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("sigma_tilde", [1e-3, 0.1, 1.0, 80.0])
def test_predictions_are_the_dense_formulas(name, sigma_tilde):
    field = gaussian(name)
    t = time(field, sigma_tilde)
    alpha, sigma = field.path.alpha(t), field.path.sigma(t)
    x = field.sample(20, seed=1, t=t)
    C = (U * VARIANCE) @ U.T
    r = np.linalg.solve(alpha**2 * C + sigma**2 * np.eye(5), (x - alpha * MEAN).T).T
    D, eps = MEAN + alpha * r @ C, sigma * r
    # rounding of C alone is magnified by the condition number of the marginal covariance: d u cond bounds the dense
    # solve's own error, which differs between processors (1.9e-9 seen at sigma~ = 1e-3)
    lost = 5 * np.finfo(float).eps * np.linalg.cond(alpha**2 * C + sigma**2 * np.eye(5))
    np.testing.assert_allclose(field.at("x0")(x, t), D, atol=1e-12 * np.abs(D).max())
    np.testing.assert_allclose(field.at("noise")(x, t), eps, atol=lost * np.abs(eps).max())


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("source", PREDICTIONS)
def test_predictions_agree_with_each_other(name, source):
    field = gaussian(name)
    t = time(field, 0.7)
    x = field.sample(10, seed=2, t=t)
    for target in PREDICTIONS:
        a, b = convert(source, target, field.path, t)
        expected = field.at(target)(x, t)
        np.testing.assert_allclose(a * x + b * field.at(source)(x, t), expected, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", ["edm", "vp-linear", "rectified"])
def test_affine_is_the_call_in_coordinates(name, prediction):
    field = gaussian(name, prediction=prediction)
    t = time(field, 0.4)
    x = field.sample(10, seed=3, t=t)
    slope, offset = field.affine(t)
    np.testing.assert_allclose((x @ U * slope + offset) @ U.T, field(x, t), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", PATHS)
def test_jump_solves_the_probability_flow(name):
    """dx~/dlambda = D - x~ in canonical coordinates, by DOP853, in both directions."""
    field = gaussian(name)
    ends = [time(field, 20.0), time(field, 0.05)]
    for s, t in (ends, ends[::-1]):
        x = field.sample(3, seed=4, t=s)

        def velocity(lam, canonical):
            now = field.path.inverse_lam(lam)
            x_tilde = canonical.reshape(3, 5)
            return (field(field.path.alpha(now) * x_tilde, now) - x_tilde).ravel()

        span = [float(field.path.lam(s)), float(field.path.lam(t))]
        start = (x / field.path.alpha(s)).ravel()
        solved = solve_ivp(velocity, span, start, method="DOP853", rtol=3e-14, atol=1e-14).y[:, -1].reshape(3, 5)
        expected = field.path.alpha(t) * solved
        np.testing.assert_allclose(field.jump(x, s, t), expected, atol=1e-12 * np.abs(expected).max())
        slope, offset = field.jump_affine(s, t)
        np.testing.assert_allclose((x @ U * slope + offset) @ U.T, field.jump(x, s, t), atol=1e-13)


def test_jump_reaches_both_ends():
    field = Gaussian(MEAN, VARIANCE, "rectified")
    noise = field.sample(4, seed=0, t=1.0)
    data = field.jump(noise, 1.0, 0.0)
    np.testing.assert_allclose(data, MEAN + np.sqrt(VARIANCE) * noise, atol=1e-15)
    np.testing.assert_array_equal(field.jump(data, 0.0, 0.0), data)
    np.testing.assert_allclose(field(noise, 1.0), np.broadcast_to(MEAN, (4, 5)), atol=1e-15)
    np.testing.assert_allclose(field(data, 0.0), data, atol=1e-15)
    with pytest.raises(UsageError, match="not defined in directions without variance"):
        field.jump(data, 0.0, 0.5)
    with pytest.raises(UsageError, match="noise of directions without variance is not finite"):
        field.at("noise")(data, 0.0)
    slope, offset = field.affine(0.0)
    np.testing.assert_allclose(slope * data + offset, data, atol=1e-15)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 1.7, "0.5@0.05:1;1.7@1:8"])
def test_transition_keeps_the_marginals_and_composes(name, eta):
    field = gaussian(name)
    s, m, t = (time(field, v) for v in (30.0, 0.5, 0.01))
    slope, offset, variance = field.transition(s, t, eta)
    (mean_s, var_s), (mean_t, var_t) = field.moments(s), field.moments(t)
    np.testing.assert_allclose(slope * mean_s + offset, mean_t, atol=1e-13)
    np.testing.assert_allclose(slope**2 * var_s + variance, var_t, rtol=1e-12)
    first, second = field.transition(s, m, eta), field.transition(m, t, eta)
    np.testing.assert_allclose(second[0] * first[0], slope, rtol=1e-12)
    np.testing.assert_allclose(second[0] ** 2 * first[2] + second[2], variance, rtol=1e-12)


def test_transition_of_strength_one_is_the_bayes_kernel():
    field = gaussian("vp-cosine")
    s, t = time(field, 2.0), time(field, 0.6)
    ratio = field.path.alpha(s) / field.path.alpha(t)  # x_s = ratio x_t + independent noise
    (_, var_s), (_, var_t) = field.moments(s), field.moments(t)
    slope, _, variance = field.transition(s, t, eta=1.0)
    np.testing.assert_allclose(slope, ratio * var_t / var_s, rtol=1e-13)
    np.testing.assert_allclose(variance, var_t - ratio**2 * var_t**2 / var_s, rtol=1e-11)


def test_transition_variance_of_tiny_and_huge_steps_does_not_cancel():
    field = gaussian()
    for s, t in ((1e-2, 1e-2 * (1 - 1e-6)), (80.0, 1e-6)):
        exact = []
        with mpmath.workdps(50):
            u_s, u_t = mpmath.mpf(s) ** 2, mpmath.mpf(t) ** 2
            for lam in map(mpmath.mpf, VARIANCE):
                rho = (lam + u_t) / (lam + u_s)
                exact.append(float((lam + u_t) * (1 - rho ** mpmath.mpf(0.25))))
        np.testing.assert_allclose(field.transition(s, t, 0.5)[2], exact, rtol=1e-9)


def test_transition_from_pure_noise():
    field = Gaussian(MEAN, VARIANCE, path("vp-discrete", zero_terminal_snr=True))
    for eta in (0.5, 1.0):
        slope, offset, variance = field.transition(1.0, 0.0, eta)
        np.testing.assert_array_equal(slope, 0)
        np.testing.assert_allclose(offset, MEAN)
        np.testing.assert_allclose(variance, VARIANCE, atol=1e-15)
    np.testing.assert_array_equal(field.transition(1.0, 1.0, 1.0)[0], 1)
    with pytest.raises(UsageError, match="from noise to data"):
        field.transition(0.2, 0.5, eta=1.0)


def test_log_density_and_its_gradient():
    field = Gaussian(MEAN, VARIANCE, "edm", basis=Dense(U), prediction="score")
    x = torch.as_tensor(field.sample(7, seed=5, t=0.3)).requires_grad_()
    value = field.log_density(x, 0.3)
    law = multivariate_normal(MEAN, (U * VARIANCE) @ U.T + 0.09 * np.eye(5))
    np.testing.assert_allclose(value.detach().numpy(), law.logpdf(x.detach().numpy()), rtol=1e-12)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    np.testing.assert_allclose(gradient.numpy(), field(x.detach().numpy(), 0.3), rtol=1e-12, atol=1e-12)
    with pytest.raises(UsageError, match="no density at t=0"):
        field.log_density(x)


def test_samples():
    n = 4000
    field = gaussian()
    z = field.sample(n, seed=0) @ U
    mean, variance = field.moments(0.0)
    assert np.all(np.abs(z.mean(0) - mean) <= 4 * np.sqrt(variance / n) + 1e-12)
    assert np.all(np.abs(z.var(0) - variance) <= 4 * variance * math.sqrt(2 / n) + 1e-12)
    np.testing.assert_array_equal(field.sample(5, seed=0), field.sample(130, seed=0)[:5])
    assert not np.array_equal(field.sample(5, seed=0), field.sample(5, seed=1))
    assert field.sample(0, seed=0).shape == (0, 5)
    with pytest.raises(UsageError, match="seed must be at least 0 and whole, got -1"):
        field.sample(1, seed=-1)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_every_kind_of_array(prediction):
    field = Gaussian(MEAN.reshape(1, 5), VARIANCE, "trig", prediction=prediction)
    exact = field.sample(6, seed=0, t=0.5)
    expected, moved = field(exact, 0.5), field.jump(exact, 0.5, 0.1)
    kinds = [(exact, 1e-13), (exact.astype(np.float32), 2e-6), (exact.astype(np.longdouble), 1e-13)]
    kinds += [(torch.as_tensor(x), tolerance) for x, tolerance in kinds[:2]]
    for x, tolerance in kinds:
        before = x.copy() if isinstance(x, np.ndarray) else x.clone()
        for out, reference in ((field(x, 0.5), expected), (field.jump(x, 0.5, 0.1), moved)):
            assert type(out) is type(x)
            assert out.dtype == x.dtype
            assert out.shape == x.shape
            np.testing.assert_allclose(np.asarray(out), reference, atol=tolerance * np.abs(reference).max())
        assert (x == before).all()


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_thirty_digits(prediction):
    with mpmath.workdps(40):
        field = Gaussian(MEAN[:2], [0.25, 0.0], "vp-linear", prediction=prediction)
        s, t = mpmath.mpf("0.6"), mpmath.mpf("0.2")
        alpha, sigma = field.path.alpha(s), field.path.sigma(s)
        x = np.array([[mpmath.mpf("1.3"), mpmath.mpf("-0.4")]])
        slopes = [alpha * lam / (alpha**2 * lam + sigma**2) for lam in (mpmath.mpf("0.25"), 0)]
        D = [mpmath.mpf(m) + k * (v - alpha * mpmath.mpf(m)) for m, k, v in zip(MEAN, slopes, x[0], strict=False)]
        a, b = convert("x0", prediction, field.path, s)
        for out, v, d in zip(field(x, s)[0], x[0], D, strict=True):
            assert abs(out - (a * v + b * d)) < mpmath.mpf(10) ** -36
        back = field.jump(field.jump(x, s, t), t, s)
        assert max(abs(v) for v in (back - x)[0]) < mpmath.mpf(10) ** -36


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(0.0, [1.0], "edm"), "one or more axes"),
        (lambda: Gaussian([0.0], [1.0, 2.0], "edm"), r"variance must have shape \(1,\), got \(2,\)"),
        (lambda: Gaussian([0.0], [-1.0], "edm"), "variance must not be negative.* -1"),
        (lambda: Gaussian([0.0], [np.nan], "edm"), "variance must be finite"),
        (lambda: Gaussian([np.inf], [1.0], "edm"), "mean must be finite"),
        (lambda: Gaussian([0.0], [1.0], "edn"), "did you mean edm"),
        (lambda: Gaussian([0.0], [1.0], "edm", prediction="eps"), "unknown prediction 'eps'"),
        (lambda: Gaussian([0.0], [1.0], "edm", shape=(2,)), r"mean must have shape \(2,\)"),
        (lambda: Gaussian([0.0, 1.0], [1.0, 1.0], "edm", basis=Dense(np.eye(3))), r"mean must have shape \(3,\)"),
        (lambda: gaussian()(np.zeros((2, 4)), 1.0), r"states of shape \(n, 5\), got \(2, 4\)"),
        (lambda: gaussian()(np.zeros((2, 5), dtype=int), 1.0), "floating-point states, got int64"),
        (lambda: gaussian()([[0.0] * 5], 1.0), "numpy array or a torch tensor, got list"),
        (lambda: gaussian("vp-linear", prediction="velocity")(np.zeros((1, 5)), 0.0), "velocity .* not finite at t=0"),
        (lambda: gaussian().at("eps"), "unknown prediction 'eps'"),
    ],
)
def test_errors(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_pictures_are_the_mean_and_what_the_leading_coordinates_span(rng):
    """Of three eigenvectors of pictures of four numbers; the coordinate that is not spanned has no say."""
    mean, vectors = rng.normal(size=4), np.linalg.qr(rng.normal(size=(4, 3)))[0]
    field = PrincipalGaussian(mean, [3.0, 2.0, 1.0, 0.5], vectors, "edm", picture_shape=(1, 2, 2))
    z = rng.normal(size=(5, 4))
    for made in (field.pictures(z), field.pictures(torch.from_numpy(z)).numpy()):
        np.testing.assert_allclose(made, (mean + z[:, :3] @ vectors.T).reshape(5, 1, 2, 2), rtol=0, atol=1e-14)

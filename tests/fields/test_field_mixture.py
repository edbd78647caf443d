from __future__ import annotations

import pickle

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import ortho_group

from solverbench.errors import UsageError
from solverbench.fields import Dense, Gaussian, Mixture, Separable, load
from solverbench.fields import mixture as module
from solverbench.paths import PATHS, path
from solverbench.predictions import PREDICTIONS, convert, functional

K, d, rank = 4, 12, 3
rng = np.random.default_rng(0)
WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4])
MEANS = 2 * rng.normal(size=(K, d))
DIAGONAL = 0.3 * rng.random((K, d))
DIAGONAL[:, :3] = 0
FACTORS = 0.7 * rng.normal(size=(K, d, rank))
FULL = np.stack([np.diag(v) for v in DIAGONAL]) + FACTORS @ FACTORS.transpose(0, 2, 1)
FORMS = {
    "low-rank": {"factors": FACTORS, "diagonal": DIAGONAL},
    "full": {"covariances": FULL},
    "diagonal": {"variances": DIAGONAL},
}
SIGMAS = [1e-3, 0.1, 1.0, 10.0, 80.0]


def low_rank(path_name="edm", **options):
    return Mixture(WEIGHTS, MEANS, factors=FACTORS, diagonal=DIAGONAL, path=path_name, **options)


def time(field, sigma_tilde):
    return float(field.path.inverse_sigma_tilde(sigma_tilde))


def by_the_book(x, means, covariances, field, t):
    """(prediction, log density) by dense solves, component after component."""
    alpha, sigma = field.path.alpha(t), field.path.sigma(t)
    p, q = functional(field.prediction, field.path, t)
    logits, parts = [], []
    for w, m, C in zip(WEIGHTS, means, covariances, strict=True):
        S, r = alpha**2 * C + sigma**2 * np.eye(len(m)), x - alpha * m
        y = np.linalg.solve(S, r.T).T
        logits.append(np.log(w) - np.linalg.slogdet(2 * np.pi * S)[1] / 2 - (r * y).sum(1) / 2)
        parts.append(p * m + p * alpha * y @ C + q * sigma * y)
    density = np.logaddexp.reduce(logits)
    return np.einsum("kn,knd->nd", np.exp(logits - density), parts), density


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("sigma_tilde", SIGMAS)
def test_denoiser_is_the_dense_formula(name, sigma_tilde):
    field = low_rank(name)
    t = time(field, sigma_tilde)
    x = field.sample(40, seed=1, t=t)
    expected, density = by_the_book(x, MEANS, FULL, field, t)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(field(x, t), expected, atol=1e-12 * scale)
    np.testing.assert_allclose(field.log_density(x, t), density, rtol=1e-8 if sigma_tilde < 0.01 else 1e-11)
    full = Mixture(WEIGHTS, MEANS, covariances=FULL, path=name)
    np.testing.assert_allclose(full(x, t), expected, atol=1e-12 * scale)
    np.testing.assert_allclose(full.responsibilities(x, t), field.responsibilities(x, t), atol=1e-9)


@pytest.mark.parametrize("sigma_tilde", SIGMAS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_every_prediction_is_computed_directly(prediction, sigma_tilde):
    """Along directions of zero variance noise has magnitude 1 and is known to eps / sigma, as x itself is."""
    field = low_rank("vp-cosine", prediction=prediction)
    t = time(field, sigma_tilde)
    x = field.sample(40, seed=2, t=t)
    expected, _ = by_the_book(x, MEANS, FULL, field, t)
    tolerance = 1e-12 * max(1, 0.1 / sigma_tilde)
    np.testing.assert_allclose(field(x, t), expected, atol=tolerance * np.abs(expected).max())
    a, b = convert("x0", prediction, field.path, t)
    converted = a * x + b * field.at("x0")(x, t)
    np.testing.assert_allclose(converted, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("variances", [DIAGONAL, DIAGONAL.max(1)], ids=["diagonal", "isotropic"])
@pytest.mark.parametrize("sigma_tilde", SIGMAS)
def test_diagonal_forms(variances, sigma_tilde):
    field = Mixture(WEIGHTS, MEANS, variances=variances, path="rectified")
    dense = np.stack([np.diag(np.broadcast_to(v, d)) for v in variances])
    t = time(field, sigma_tilde)
    x = field.sample(40, seed=3, t=t)
    expected, _ = by_the_book(x, MEANS, dense, field, t)
    np.testing.assert_allclose(field(x, t), expected, atol=1e-12 * np.abs(expected).max())


def test_one_component_is_a_gaussian():
    U = ortho_group.rvs(d, random_state=0)
    for prediction in PREDICTIONS:
        gaussian = Gaussian(MEANS[0], DIAGONAL[0], "trig", basis=Dense(U), prediction=prediction)
        options = {"path": "trig", "basis": Dense(U), "prediction": prediction}
        forms = {"variances": DIAGONAL[:1]}, {"covariances": np.diag(DIAGONAL[0])[None]}
        for t in (0.01, 0.5, 1.5):
            x = gaussian.sample(20, seed=0, t=t)
            expected = gaussian(x, t)
            for form in forms:
                out = Mixture([1.0], MEANS[:1], **form, **options)(x, t)
                np.testing.assert_allclose(out, expected, atol=1e-13 * np.abs(expected).max())


def test_a_separable_basis_turns_the_covariances():
    A, B = ortho_group.rvs(3, random_state=1), ortho_group.rvs(4, random_state=2)
    T = np.kron(A, B).T
    field = low_rank(basis=Separable([A, B]))
    turned = T @ FULL @ T.T
    assert field.shape == (3, 4)
    x = field.sample(30, seed=0, t=0.7)
    expected, density = by_the_book(x.reshape(30, d), MEANS, turned, field, 0.7)
    np.testing.assert_allclose(field(x, 0.7).reshape(30, d), expected, atol=1e-12)
    np.testing.assert_allclose(field.log_density(x, 0.7), density, rtol=1e-11)
    np.testing.assert_allclose(T @ field.covariance() @ T.T, Mixture(
        WEIGHTS, MEANS, covariances=turned, path="edm").covariance(), atol=1e-12)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_score_is_the_gradient_of_the_density(form):
    field = Mixture(WEIGHTS, MEANS, **FORMS[form], path="vp-linear", prediction="score")
    t = time(field, 0.5)
    x = torch.as_tensor(field.sample(10, seed=0, t=t)).requires_grad_()
    (gradient,) = torch.autograd.grad(field.log_density(x, t).sum(), x)
    np.testing.assert_allclose(gradient.numpy(), field(x.detach().numpy(), t), rtol=1e-10, atol=1e-11)


def test_density_integrates_to_one():
    field = Mixture([0.3, 0.7], [[-1.0], [2.0]], variances=[0.04, 0.5], path="trig")
    total, _ = quad(lambda v: float(np.exp(field.log_density(np.array([[v]]), 0.2))[0]), -8, 8, points=[-1, 2])
    assert total == pytest.approx(1, abs=1e-8)


def test_single_precision():
    field = low_rank()
    for sigma in SIGMAS:
        x = field.sample(40, seed=4, t=sigma).astype(np.float32)
        expected = field(x.astype(np.float64), sigma)
        np.testing.assert_allclose(field(x, sigma), expected, atol=2e-6 * np.abs(expected).max())


def test_a_narrow_component_does_not_spoil_the_others_in_single_precision():
    """Between the two broad components nothing is lost to the third, whose 1/E is a million times theirs."""
    field = Mixture([0.4, 0.4, 0.2], [[-1.0], [1.0], [0.0]], variances=[0.5, 0.4, 1e-7], path="edm", prediction="score")
    x = np.array([[-2.0], [-0.9], [-0.3], [0.4], [1.1], [3.0]], dtype=np.float32)
    np.testing.assert_allclose(field(x, 1e-3), field(x.astype(np.float64), 1e-3), atol=3e-6)
    np.testing.assert_allclose(field(x.astype(np.longdouble), 1e-3), field(x.astype(np.float64), 1e-3), atol=1e-13)


def test_kinds_of_array_agree_and_inputs_are_left_alone():
    field = low_rank(shape=(3, 4))
    exact = field.sample(9, seed=0, t=2.0)
    expected = field(exact, 2.0)
    frozen = exact.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(field(frozen, 2.0), expected)
    np.testing.assert_array_equal(frozen, exact)
    np.testing.assert_allclose(field(np.asfortranarray(exact)[::-1], 2.0), expected[::-1], atol=1e-13)
    for dtype, tolerance in ((torch.float64, 0), (torch.float32, 1e-5), (torch.float16, 1e-2)):
        x = torch.as_tensor(exact).to(dtype)
        out = field(x, 2.0)
        assert (out.dtype, out.shape) == (dtype, x.shape)
        np.testing.assert_allclose(out.double().numpy(), expected, atol=tolerance)
    assert field(exact[:0], 2.0).shape == (0, 3, 4)
    assert field.responsibilities(torch.as_tensor(exact), 2.0).shape == (9, K)


def test_other_number_types():
    field = Mixture(WEIGHTS, MEANS, variances=DIAGONAL, path="vp-linear")
    x = field.sample(3, seed=0, t=0.3)
    wide = field(x.astype(np.longdouble), 0.3)
    assert wide.dtype == np.longdouble
    np.testing.assert_allclose(wide.astype(float), field(x, 0.3), atol=1e-13)
    with mpmath.workdps(40):
        to_mpf = np.frompyfunc(mpmath.mpf, 1, 1)
        t = mpmath.mpf(0.3)
        digits = {p: field.at(p)(to_mpf(x), t) for p in PREDICTIONS}
        np.testing.assert_allclose(digits["x0"].astype(float), field(x, 0.3), atol=1e-13)
        for prediction in PREDICTIONS:
            a, b = convert("x0", prediction, field.path, t)
            difference = a * to_mpf(x) + b * digits["x0"] - digits[prediction]
            assert max(abs(v) for v in difference.ravel()) < mpmath.mpf(10) ** -35


def test_blocks_of_rows_give_the_same(monkeypatch):
    field = low_rank()
    x = field.sample(50, seed=0, t=1.0)
    whole, density = field(x, 1.0), field.log_density(x, 1.0)
    monkeypatch.setattr(module, "CHUNK_BYTES", {"cpu": 10_000})
    np.testing.assert_allclose(field(x, 1.0), whole, atol=1e-13)
    np.testing.assert_allclose(field.log_density(x, 1.0), density, rtol=1e-13)


def test_the_cache_is_bounded_and_forgets_the_oldest(monkeypatch):
    field = low_rank()
    x = field.sample(2, seed=0, t=1.0)
    field(x, 1.0)
    (one,) = field._cache.values()
    monkeypatch.setattr(module, "CACHE_BYTES", 3 * one.nbytes)
    for t in (2.0, 3.0, 1.0, 4.0):
        field(x, t)
    assert [key[0] for key in field._cache] == [3.0, 1.0, 4.0]
    field.at("noise")(x, 1.0)
    assert [key[:2] for key in field._cache] == [(1.0, "x0"), (4.0, "x0"), (1.0, "noise")]
    restored = pickle.loads(pickle.dumps(field))
    assert not restored._cache
    np.testing.assert_array_equal(restored(x, 1.0), field(x, 1.0))


def test_the_cache_holds_the_longest_grid_of_the_suite():
    """One time too many, and a grid that is visited in the same order again and again finds nothing kept."""
    field = load("cifar10-mixture", "edm")
    field(torch.zeros(1, *field.shape), 1.0)
    (one,) = field._cache.values()
    assert 100 * one.nbytes <= module.CACHE_BYTES


@pytest.mark.parametrize("form", ["low-rank", "full"])
def test_moments_and_samples(form):
    n = 20_000
    field = Mixture(WEIGHTS, MEANS, **FORMS[form], path="rectified")
    for t in (0.0, 0.6):
        x = field.sample(n, seed=0, t=t)
        (mean, variance), C = field.moments(t), field.covariance(t)
        np.testing.assert_allclose(np.diag(C), variance, rtol=1e-13)
        np.testing.assert_allclose(field.covariance_times(MEANS, t), MEANS @ C, atol=1e-12)
        assert np.all(np.abs(x.mean(0) - mean) < 4 * np.sqrt(variance / n))
        products = (x - mean)[:, :, None] * (x - mean)[:, None, :]
        assert np.all(np.abs(products.mean(0) - C) < 4.5 * products.std(0) / np.sqrt(n))  # 78 of them
    by_hand = np.einsum("k,kij->ij", WEIGHTS, FULL) + np.cov(MEANS.T, aweights=WEIGHTS, ddof=0)
    np.testing.assert_allclose(field.covariance(), by_hand, atol=1e-12)
    np.testing.assert_array_equal(field.sample(7, seed=3), field.sample(200, seed=3)[:7])
    frequencies = field.responsibilities(field.sample(n, seed=1, t=0.01), 0.01).mean(0)
    assert np.all(np.abs(frequencies - WEIGHTS) < 4 * np.sqrt(WEIGHTS / n))


def test_flow_keeps_a_symmetric_pair_apart():
    """p = (N(-m, v) + N(m, v))/2 has D = tanh-shaped: x0 = E x + (1 - E) m tanh(m x / S) with E = v/S."""
    m, v, t = 1.5, 0.2, 0.9
    field = Mixture([0.5, 0.5], [[-m], [m]], variances=[v, v], path="edm")
    x = np.linspace(-4, 4, 17)[:, None]
    S = v + t * t
    np.testing.assert_allclose(field(x, t), v / S * x + t * t / S * m * np.tanh(m * x / S), atol=1e-14)


ONE = {"variances": [1.0], "path": "edm"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixture([0.5, 0.6], np.zeros((2, 1)), variances=[1.0, 1.0], path="edm"), "sum to 1.*1.1"),
        (lambda: Mixture([1.5, -0.5], np.zeros((2, 1)), variances=[1.0, 1.0], path="edm"), "must be positive"),
        (lambda: Mixture([], np.zeros((0, 1)), **ONE), "must be positive and sum to 1"),
        (lambda: Mixture([[1.0]], np.zeros((1, 1)), **ONE), r"weights must have shape \(1,\), got \(1, 1\)"),
        (lambda: Mixture([1.0], np.zeros((2, 3)), **ONE), r"means must have shape \(1, 3\), got \(2, 3\)"),
        (lambda: Mixture([1.0], [0.0], **ONE), "one or more axes"),
        (lambda: Mixture([1.0], [[np.nan]], **ONE), "means must be finite"),
        (lambda: Mixture([1.0], [[0.0]], path="edm"), "give the covariances once"),
        (lambda: Mixture([1.0], [[0.0]], covariances=[[[1.0]]], **ONE), "give the covariances once"),
        (lambda: Mixture([1.0], [[0.0]], factors=[[[1.0]]], path="edm"), "give the covariances once"),
        (lambda: Mixture([1.0], [[0.0]], variances=[[-1.0]], path="edm"), "must not be negative.*-1"),
        (lambda: Mixture([1.0], [[0.0]], variances=[[1.0, 2.0]], path="edm"), "variances must have shape"),
        (lambda: Mixture([1.0], [[0.0]], factors=[[1.0]], diagonal=[[1.0]], path="edm"), "factors must have shape"),
        (lambda: Mixture([1.0], [[0.0, 0.0]], covariances=[[[1, 2], [0, 1]]], path="edm"), "number 0 is not"),
        (lambda: Mixture([1.0], [[0.0, 0.0]], covariances=[[[1, 2], [2, 1]]], path="edm"), "eigenvalue -1"),
        (lambda: Mixture([1.0], [[0.0]], prediction="x", **ONE), "unknown prediction 'x'"),
        (lambda: low_rank()(np.zeros((2, 5)), 1.0), r"states of shape \(n, 12\), got \(2, 5\)"),
        (lambda: low_rank()(np.zeros((2, d), object), 1.0), "need a mixture given by `variances`"),
        (lambda: low_rank().log_density(np.zeros((2, d))), "needs sigma > 0"),
        (lambda: Mixture([1.0], [[0.0]], covariances=[[[0.0]]], path="trig")(np.zeros((1, 1)), 0.0), "needs sigma > 0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_weights_are_renormalised():
    field = Mixture([0.5, 0.5 + 1e-7], [[0.0], [1.0]], variances=[1.0, 1.0], path=path("edm"))
    assert field.weights.sum() == pytest.approx(1, abs=1e-15)

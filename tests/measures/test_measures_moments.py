"""Moments in batches against numpy at once; distances of laws against dense linear algebra, at every rank."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from solverbench.errors import UsageError
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Normal, Running, contrasts

RELU = [(20, 64), (64, 256), (300, 40)]
"""(n, d) of features like a network's: not negative, some always zero, a spectrum that falls like a power."""


def relu_features(rng, n, d, shift=0.0):
    W = rng.normal(size=(d, d)) * np.arange(1, d + 1)[:, None] ** -0.7
    x = np.maximum(rng.normal(size=(n, d)) @ W + shift, 0)
    x[:, :3] = 0
    return x


def textbook(m, C, n, D):
    """pytorch-fid's formula: a square root of the product itself, its real part taken."""
    return np.sum((m - n) ** 2) + np.trace(C) + np.trace(D) - 2 * np.trace(scipy.linalg.sqrtm(C @ D).real)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 7), st.integers(0, 2**31))
def test_batches_and_merges_give_what_numpy_gives_at_once(sizes, cut, seed):
    rng = np.random.default_rng(seed)
    batches = [1e4 + rng.normal(size=(m, 3)) @ rng.normal(size=(3, 3)) for m in [*sizes, 2]]
    first, second = Running(3), Running(3)
    for i, batch in enumerate(batches):
        (first if i < cut else second).add(batch)
    found, x = first.merge(second).normal, np.concatenate(batches)
    assert found.n == len(x)
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(x.T), rtol=1e-6, atol=1e-9)


def test_single_precision_batches_are_summed_in_double():
    x = np.float32(1000) + np.random.default_rng(0).normal(size=(4000, 4)).astype(np.float32)
    running = Running(4)
    for batch in np.array_split(x, 40):
        running.add(batch)
    np.testing.assert_allclose(running.normal.covariance, np.cov(x.T.astype(float)), atol=1e-14)


@pytest.mark.parametrize("n", [2, 3, 17])
def test_contrasts_have_the_scatter_of_the_samples_and_one_row_less(rng, n):
    x = rng.normal(size=(n, 5)) + 100
    np.testing.assert_allclose(contrasts(x).T @ contrasts(x), (n - 1) * np.cov(x.T), rtol=1e-9, atol=1e-12)
    assert contrasts(x).shape == (n - 1, 5)


@pytest.mark.parametrize(("n", "d"), RELU)
def test_the_factor_is_one_of_the_covariance(rng, n, d):
    x = relu_features(rng, n, d)
    for law in (Normal.of(x), Running(d).add(x).normal):
        np.testing.assert_allclose(law.factor @ law.factor.T, np.cov(x.T), atol=1e-12 * law.trace)
        assert law.trace == pytest.approx(np.trace(np.cov(x.T)))
        expected = np.linalg.eigvalsh(np.cov(x.T))[-len(law.spectrum) :]
        np.testing.assert_allclose(law.spectrum, expected, atol=1e-12 * law.trace)


@pytest.mark.parametrize(("n", "d"), RELU)
def test_identical_sets_are_at_distance_zero_however_their_moments_were_taken(rng, n, d):
    x = relu_features(rng, n, d)
    one, other, streamed = Normal.of(x), Normal.of(x.copy()), Running(d).add(x[:7]).add(x[7:]).normal
    for law in (one, streamed):
        for reference in (other, streamed):
            assert 0 <= frechet(law, reference) < 1e-9


def test_identical_sets_with_duplicates_and_constants(rng):
    x = np.repeat(relu_features(rng, 10, 64), 3, axis=0)
    assert frechet(Normal.of(x), Normal.of(x)) < 1e-9
    point = Normal.of(np.ones((5, 8)))
    assert frechet(point, point) == 0
    assert frechet(Running(8).add(np.ones((5, 8))).normal, point) == 0
    other = Normal.of(rng.normal(size=(30, 8)))
    assert frechet(point, other) == pytest.approx(np.sum((1 - other.mean) ** 2) + other.trace)


@pytest.mark.parametrize("d", [1, 8, 96])
def test_at_full_rank_it_is_the_formula_of_pytorch_fid(rng, d):
    x, y = rng.normal(size=(4 * d + 8, d)) @ rng.normal(size=(d, d)), rng.normal(size=(5 * d + 8, d)) + 0.1
    a, b = Normal.of(x), Normal.of(y)
    expected = textbook(x.mean(0), np.cov(x.T).reshape(d, d), y.mean(0), np.cov(y.T).reshape(d, d))
    assert frechet(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet(b, a) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(10, 12), (10, 400), (400, 10)])
def test_below_full_rank_it_is_the_nuclear_norm(rng, n, m):
    """Every way to hold the moments gives the distance that thirty digits give, from the eigenvalues of C C'."""
    import mpmath

    d = 16
    x, y = relu_features(rng, n, d), relu_features(rng, m, d, 0.2)
    with mpmath.workdps(40):
        C, D = (mpmath.matrix(np.cov(z.T).tolist()) for z in (x, y))
        values, vectors = mpmath.eigsy(C)
        root = vectors * mpmath.diag([mpmath.sqrt(max(v, 0)) for v in values]) * vectors.T
        squares = mpmath.eigsy(root * D * root, eigvals_only=True)
        largest = max(squares)
        shared = sum(mpmath.sqrt(s) for s in squares if s > largest * mpmath.mpf("1e-14"))
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * float(shared)
    for law in (Normal.of(x), Running(d).add(x).normal):
        for reference in (Normal.of(y), Running(d).add(y).normal):
            assert frechet(law, reference) == pytest.approx(expected, rel=1e-9)


def test_dimensions_that_are_dead_in_both_cost_no_accuracy(rng):
    """Square roots of rounding, 1e-8 each, would add up: a distance of nearly equal laws shows them."""
    x = rng.normal(size=(400, 100))
    y = x * (1 + 1e-7)
    dead = np.zeros((400, 100))
    plain = frechet(Normal.of(x), Normal.of(y))
    assert frechet(Normal.of(np.hstack([x, dead])), Normal.of(np.hstack([y, dead]))) == pytest.approx(plain, abs=1e-9)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="two samples or more, got 1"):
        Normal.of(np.zeros((1, 3)))
    with pytest.raises(UsageError, match="two samples or more, got 0"):
        _ = Running(3).normal
    with pytest.raises(UsageError, match=r"a mean of shape \(2,\) does not go with a covariance of \(3, 3\)"):
        Normal(np.zeros(2), np.eye(3))
    with pytest.raises(UsageError, match="some samples are not"):
        Normal.of(np.array([[0.0, np.nan], [1.0, 2.0]]))
    with pytest.raises(UsageError, match="a covariance is symmetric, this one is not"):
        Normal(np.zeros(2), [[1.0, 0.5], [0.4, 1.0]])
    with pytest.raises(UsageError, match="has an eigenvalue of -1, the largest being 3"):
        _ = Normal(np.zeros(2), [[1.0, 2.0], [2.0, 1.0]]).factor
    assert Normal(np.zeros(2), [[1.0, 1.0], [1.0, 1.0 - 1e-8]]).factor.shape == (2, 1)  # as single precision leaves it
    with pytest.raises(UsageError, match="4 dimensions cannot be compared with one in 3"):
        frechet(Normal(np.zeros(4), np.eye(4)), Normal(np.zeros(3), np.eye(3)))
    with pytest.raises(UsageError, match="does not continue features of width 3"):
        Running(3).add(np.zeros((2, 4)))
    with pytest.raises(UsageError, match="width 2 do not merge with those of width 3"):
        Running(3).merge(Running(2))

"""The Frechet distance of samples against dense linear algebra, its invariances, and its bias."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from solverbench.measures.frechet import frechet_squared

SIZES = [(6, 20), (19, 20), (20, 20), (200, 20), (2, 5), (50, 1)]
"""(n, d): fewer samples than dimensions, as many, and more."""


def covariance(rng, d):
    A = rng.normal(size=(d, d + 2))
    return A @ A.T / d


def distance(x, mean, C):
    return frechet_squared(x, mean, np.trace(C), lambda A: A @ C)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_against_dense_square_roots(rng, n, d):
    C, mean = covariance(rng, d), rng.normal(size=d)
    x = rng.normal(size=(n, d)) @ covariance(rng, d) + 0.3
    S = np.cov(x, rowvar=False).reshape(d, d)
    if n > d:
        root = scipy.linalg.sqrtm(C)
        overlap = np.trace(scipy.linalg.sqrtm(root @ S @ root)).real
    else:  # S is singular: sqrtm would lose half the digits
        overlap = np.sqrt(np.maximum(scipy.linalg.eigvals(C @ S).real, 0)).sum()
    expected = np.sum((x.mean(0) - mean) ** 2) + np.trace(S) + np.trace(C) - 2 * overlap
    assert distance(x, mean, C) == pytest.approx(expected, rel=3e-6)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_rotations_and_the_order_of_samples_do_not_matter(rng, n, d):
    C, mean, x = covariance(rng, d), rng.normal(size=d), rng.normal(size=(n, d))
    U = np.linalg.qr(rng.normal(size=(d, d)))[0]
    plain = distance(x, mean, C)
    assert distance(x @ U, mean @ U, U.T @ C @ U) == pytest.approx(plain, rel=1e-6)
    assert distance(rng.permutation(x), mean, C) == pytest.approx(plain, rel=1e-6)


def test_zero_for_its_own_moments_and_never_negative(rng):
    for _ in range(50):
        x = rng.normal(size=(40, 8)) * rng.uniform(0.01, 10, 8)
        C = np.cov(x, rowvar=False)
        assert 0 <= distance(x, x.mean(0), C) < 1e-12 * np.trace(C)


def test_identical_samples_are_a_point(rng):
    C, x = covariance(rng, 4), np.ones((3, 4))
    assert distance(x, np.zeros(4), C) == pytest.approx(4 + np.trace(C))


@pytest.mark.parametrize("n", [0, 1])
def test_one_sample_has_no_covariance(n):
    with pytest.raises(ValueError, match=f"two samples or more, got {n}"):
        distance(np.zeros((n, 3)), np.zeros(3), np.eye(3))


def test_bias_at_the_null_is_b0_over_n(rng):
    """E FD^2 = b0/n + O(1/n^2), b0 = tr + (sum_ij l_i l_j/(l_i + l_j) + sum_i l_i / 2)/2, for n Gaussian samples."""
    spectrum, n = np.array([4.0, 1.0, 0.25, 0.05]), 1000
    li, lj = np.meshgrid(spectrum, spectrum)
    b0 = spectrum.sum() + ((li * lj / (li + lj)).sum() + spectrum.sum() / 2) / 2
    C = np.diag(spectrum)
    draws = [n * distance(rng.normal(size=(n, 4)) * np.sqrt(spectrum), np.zeros(4), C) for _ in range(1500)]
    error = np.std(draws, ddof=1) / np.sqrt(len(draws))
    assert error < 0.03 * b0
    assert np.mean(draws) == pytest.approx(b0, abs=3 * error)

"""W2 and KL of Gaussians against dense formulas of their own, and at variance zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg

from solverbench.measures.gaussians import DISTANCES, frechet, hellinger, kl, reverse_kl, w2


@pytest.fixture
def laws(rng):
    """(mean, variance, reference mean, reference variance) in five directions."""
    return rng.normal(size=5), rng.uniform(0.1, 3, 5), rng.normal(size=5), rng.uniform(0.1, 3, 5)


def test_w2_is_the_dense_bures_distance(laws, rng):
    m, V, n, R = laws
    U = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    C, D = U @ np.diag(V) @ U.T, U @ np.diag(R) @ U.T
    root = scipy.linalg.sqrtm(C)
    squared = np.sum((U @ (m - n)) ** 2) + np.trace(C + D - 2 * scipy.linalg.sqrtm(root @ D @ root).real)
    assert w2(*laws) == pytest.approx(math.sqrt(squared), rel=1e-9)


def test_kl_is_the_dense_formula(laws, rng):
    m, V, n, R = laws
    U = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    C, D, d = U @ np.diag(V) @ U.T, U @ np.diag(R) @ U.T, U @ (m - n)
    ratio = np.linalg.solve(D, C)
    dense = (np.trace(ratio) - 5 + d @ np.linalg.solve(D, d) - np.linalg.slogdet(ratio)[1]) / 2
    assert kl(*laws) == pytest.approx(dense, rel=1e-12)


def test_kl_is_of_the_first_law_from_the_second():
    one, small = np.ones(1), np.array([0.25])
    forward = kl(np.zeros(1), small, np.zeros(1), one)
    assert forward == pytest.approx((0.25 - 1 - math.log(0.25)) / 2)
    assert forward != pytest.approx(kl(np.zeros(1), one, np.zeros(1), small))


@pytest.mark.parametrize("distance", DISTANCES.values())
def test_a_law_is_at_no_distance_from_itself(distance, laws):
    m, V, _, _ = laws
    assert distance(m, V, m, V) == 0


def test_small_excess_does_not_cancel():
    V = np.array([1 + 1e-9])
    assert kl(np.zeros(1), V, np.zeros(1), np.ones(1)) == pytest.approx(2.5e-19, rel=1e-6)


def test_directions_that_are_points_in_both_laws_add_nothing(laws):
    m, V, n, R = laws
    wider = np.append(m, 0.3), np.append(V, 0.0), np.append(n, 0.3), np.append(R, 0.0)
    assert kl(*wider) == kl(*laws)
    assert w2(*wider) == w2(*laws)


@pytest.mark.parametrize(("V", "R", "m"), [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.5)])
def test_a_point_against_something_else(V, R, m):
    law = np.array([m]), np.array([V]), np.zeros(1), np.array([R])
    assert kl(*law) == math.inf
    assert w2(*law) == pytest.approx(math.hypot(m, math.sqrt(V) - math.sqrt(R)))


def test_frechet_is_the_square_and_reverse_kl_the_other_way(laws):
    m, V, n, R = laws
    assert frechet(*laws) == pytest.approx(w2(*laws) ** 2, rel=1e-14)
    assert reverse_kl(*laws) == kl(n, R, m, V)
    assert reverse_kl(*laws) != pytest.approx(kl(*laws))


def test_hellinger_is_the_integral(laws):
    """In one direction by quadrature; of independent directions the affinities multiply."""
    from scipy.integrate import quad

    affinity = []
    for m, V, n, R in zip(*laws, strict=True):

        def root(x, m=m, V=V, n=n, R=R):
            return math.exp(-((x - m) ** 2) / (4 * V) - (x - n) ** 2 / (4 * R)) / math.sqrt(
                2 * math.pi * math.sqrt(V * R)
            )

        affinity.append(quad(root, -30, 30, points=[m, n], epsabs=1e-13)[0])
        one = np.array([[m], [V], [n], [R]])
        assert hellinger(*one) == pytest.approx(math.sqrt(1 - affinity[-1]), rel=1e-9)
    assert hellinger(*laws) == pytest.approx(math.sqrt(1 - math.prod(affinity)), rel=1e-9)


def test_hellinger_is_one_for_points_and_small_for_small_differences():
    zero, one = np.zeros(1), np.ones(1)
    assert hellinger(zero, zero, zero, one) == 1
    assert hellinger(zero, zero, zero, zero) == 0
    assert hellinger(zero, one + 1e-9, zero, one) == pytest.approx(1e-9 / 4, rel=1e-4)

"""One Brownian path: additivity, covariance, independence of order and chunks, and strong convergence by sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest

import solverbench as sb
from solverbench.engines.brownian import pair
from solverbench.errors import UsageError
from solverbench.fields.gaussian import Gaussian


def test_increments_and_integrals_add_up():
    a, m, b = 0.003, 0.7, 9.0
    (W, H), (W1, H1), (W2, H2) = (pair(1, *ends, 0, 5, 3) for ends in ((a, b), (a, m), (m, b)))
    np.testing.assert_allclose(W, W1 + W2, rtol=0, atol=1e-13)
    whole, first, second = (h * (w / 2 + k) for h, w, k in ((b - a, W, H), (m - a, W1, H1), (b - m, W2, H2)))
    np.testing.assert_allclose(whole, first + (b - m) * W1 + second, rtol=0, atol=1e-5)  # ends are rounded to 3e-8


def test_covariance_of_pairs():
    n = 40_000
    for lo, hi in ((0.31, 0.4), (0.31, 1.7), (0.0, 5.0)):
        W, H = (p[:, 0] for p in pair(2, lo, hi, 0, n, 1))
        h = hi - lo
        assert abs(W.var() / h - 1) < 4 * math.sqrt(2 / n)
        assert abs(H.var() * 12 / h - 1) < 4 * math.sqrt(2 / n)
        assert abs(np.mean(W * H)) < 4 * h / math.sqrt(12 * n)
    one, two = (pair(2, *ends, 0, n, 1)[0][:, 0] for ends in ((0.3, 1.1), (0.8, 1.7)))
    assert abs(np.mean(one * two) - 0.3) < 4 * math.sqrt((0.8 * 0.9 + 0.09) / n)


def test_neither_order_nor_chunks_matter():
    whole = pair(3, 0.2, 0.9, 0, 20, 5)
    pair(3, 0.5, 2.0, 0, 20, 5)
    for p, q in zip(whole, pair(3, 0.2, 0.9, 7, 6, 5), strict=True):
        assert np.array_equal(p[7:13], q)


def test_a_step_below_the_resolution_is_refused():
    with pytest.raises(UsageError, match="resolves"):
        pair(0, 1.0, 1.0 + 1e-9, 0, 1, 1)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_runs_converge_sample_by_sample_on_one_path_only(engine):
    field = Gaussian(np.zeros(4), np.array([0.02, 0.1, 1, 4]), "edm")

    def run(N, noise):
        times = np.geomspace(1.5, 0.15, N + 1)
        x = np.ones((200, 4))
        return np.asarray(sb.sample(field, "ddpm", times, x, engine=engine, noise=noise, seed=4).x)

    def distance(N, noise):
        return np.sqrt(np.mean((run(N, noise) - run(2 * N, noise)) ** 2))

    assert distance(8, "brownian") / distance(32, "brownian") > 2.8  # order one; 4 in the limit
    assert distance(32, "independent") > 5 * distance(32, "brownian")

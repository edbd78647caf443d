"""Intervals of squared distances against the definitions they come from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from solverbench.measures.sliced import sliced_w2_of_sets
from solverbench.measures.squares import Square, cells, score


def test_a_score_interval_is_of_the_values_that_a_test_by_their_own_variance_does_not_reject():
    """(1 - v)^2 = q^2 (0.01 + 0.3 v) at both ends."""
    q = 2.1
    low, high = score(1.0, 0.01, 0.3, q)
    assert low < 1 < high
    for v in (low, high):
        assert (1 - v) ** 2 == pytest.approx(q * q * (0.01 + 0.3 * v))
    assert score(-1.0, 0.01, 0.0, 2.0) == pytest.approx((-1.2, -0.8))


def known(whole, mean=(0.2, 1.3), spread=(0.1, 0.4), n=50):
    """With draws of these means and standard deviations, from the whole and from the law."""
    rng = np.random.default_rng(0)
    draws = [m + s * stats.zscore(rng.normal(size=200), ddof=1) for m, s in zip(mean, spread, strict=True)]
    return Square(whole, 2 * whole - mean[1], *draws, rng.normal(size=n))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_lower_end_is_where_the_distance_is_a_quantile_of_its_law(level):
    """Of the chi-square's multiple with mean 0.2 + 1.1 s and variance 0.01 + 0.15 s, where T is 1 and the end is s."""
    low = known(1.0).bounds(level)[0]
    assert 0 < low < 1
    mean, variance = 0.2 + 1.1 * low, 0.01 + 0.15 * low
    assert stats.gamma.cdf(1.0, mean**2 / variance, scale=variance / mean) == pytest.approx((1 + level) / 2)


def test_the_lower_end_is_zero_where_noise_may_be_all():
    assert known(0.4).bounds(0.95)[0] == 0  # which a normal quantile, 0.2 + 1.96 0.1, would tell from zero
    assert known(0.5).bounds(0.95)[0] > 0


def test_the_upper_end_is_the_farther_of_students_and_the_scores():
    far = known(100.0, mean=(0.2, 100.2))
    se, q = far.terms.std(ddof=1) / math.sqrt(50), stats.t.ppf(0.975, 49)
    assert far.bounds(0.95)[1] == pytest.approx(100 + q * se)
    near = known(0.2, mean=(0.2, 0.4), spread=(0.3, 0.3))
    assert near.bounds(0.95)[1] == pytest.approx(score(0.0, 0.09, se * se / 0.2, q)[1])
    assert near.bounds(0.95)[1] > 0.2 + q * se


def test_what_does_not_vary_is_known():
    found = Square(2.0, 2.0, np.zeros(8), np.full(8, 2.0), np.full(20, 2.0))
    assert found.bounds(0.95) == pytest.approx((2, 2))
    assert Square(0.0, 0.0, *np.zeros((2, 8)), np.zeros(20)).bounds(0.95) == (0, 0)


@pytest.mark.parametrize(("n", "h"), [(12, 6), (7, 3), (5, 5), (3, 2)])
def test_cells_are_means_of_the_steps_in_them(rng, n, h):
    steps = rng.normal(size=(n, 2))
    fine = np.repeat(steps, h, axis=0)  # n h steps, of which n are in each cell
    np.testing.assert_allclose(cells(steps, h), fine.reshape(h, n, 2).mean(1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("paired", [False, True])
def test_the_standard_error_of_a_sliced_distance_is_that_of_leaving_samples_out(rng, paired):
    """The jackknife, of the mean square of differences of quantiles, by definition; two sets lose one sample each."""
    n = 300
    x, y = rng.normal(size=(n, 1)) * 1.3 + 0.5, rng.normal(size=(n, 1))
    y = 0.8 * y + 0.6 * x if paired else y

    def distance(x, y):
        return np.mean((np.sort(x, axis=0) - np.sort(y, axis=0)) ** 2)

    partner = y if paired else np.random.default_rng(0).permutation(y)
    without = [distance(np.delete(x, i, 0), np.delete(partner, i, 0)) for i in range(n)]
    jackknife = math.sqrt((n - 1) ** 2 / n * np.var(without, ddof=1))
    assert sliced_w2_of_sets(x, y, 1, paired=paired).se == pytest.approx(jackknife, rel=0.03)


def test_what_averages_out_over_two_samples_is_bias(rng):
    """Steps of one with errors of +-a by turns: a half has the same error everywhere and the whole, twice as fine, none
    on average, so that all of a^2 is noise."""
    x, a = np.arange(40.0)[:, None], 1e-3
    y = x + a * (-1.0) ** np.arange(40)[:, None]
    found = sliced_w2_of_sets(x, y, 1, paired=True)
    assert abs(found.value) < 1e-9 * a**2 < a**2 < found.interval()[1]

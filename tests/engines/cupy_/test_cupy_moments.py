"""Streamed moments and their Frechet distance against numpy and against the measure used on CPUs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines.cupy.moments import Moments
from solverbench.measures.frechet import frechet_squared


def streamed(x, size):
    """Moments of x by batches."""
    moments = Moments()
    for part in torch.from_numpy(x).split(size):
        moments.update(part)
    return moments


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_batches_do_not_matter(rng, size):
    x = rng.normal(size=(50, 4)) + 1e8  # far from zero: sums of squares would have lost all digits
    found = streamed(x, size)
    np.testing.assert_allclose(found.mean.numpy(), x.mean(0), rtol=1e-15)
    np.testing.assert_allclose(found.covariance.numpy(), np.cov(x.T), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n", [3, 200])
def test_distance_is_that_of_the_measure(rng, n):
    x, A = rng.normal(size=(n, 6)), rng.normal(size=(6, 6))
    C, mean = A @ A.T, rng.normal(size=6)
    expected = frechet_squared(x, mean, np.trace(C), lambda a: a @ C)
    got = streamed(x, 64).frechet_squared(torch.from_numpy(mean), torch.from_numpy(C))
    assert got == pytest.approx(expected, rel=1e-7)


def test_distance_of_a_law_to_itself_is_zero(rng):
    found = streamed(rng.normal(size=(40, 3)), 8)
    assert found.frechet_squared(found.mean, found.covariance) == pytest.approx(0, abs=1e-12)


def test_too_little_and_unlike(rng):
    found = streamed(rng.normal(size=(1, 3)), 8)
    with pytest.raises(sb.UsageError, match="two rows or more, got 1"):
        _ = found.covariance
    with pytest.raises(sb.UsageError, match="features of 4 numbers after features of 3"):
        found.update(torch.ones(2, 4))

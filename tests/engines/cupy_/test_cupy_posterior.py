"""The streamed softmax against one that holds everything, and against the mixture it is a limit of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines.cupy.posterior import empirical_denoiser, softmax_mean
from solverbench.fields import Mixture

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}


def inputs(rng, n, N, d, dtype):
    """States, keys, values and biases."""
    draw = lambda *shape: torch.from_numpy(rng.normal(size=shape)).to(dtype)  # noqa: E731
    return draw(n, d), draw(N, d), draw(N, d + 1), torch.from_numpy(rng.normal(size=N) * 3)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("n", "N", "tile"), [(1, 1, 1), (3, 100, 33), (9, 70, 32), (20, 500, 64), (2, 31, 1000)])
def test_streaming_changes_nothing(host, rng, dtype, n, N, tile):
    x, keys, values, bias = inputs(rng, n, N, 5, dtype)
    expected = torch.softmax(2.5 * x.double() @ keys.double().T + bias, 1) @ values.double()
    got = softmax_mean(host, x, keys, values, 2.5, bias, tile=tile)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 2.0, 80.0])
def test_denoiser_of_data_is_the_mixture_of_points(host, rng, sigma):
    """Equal weights and variances of zero."""
    data = rng.normal(size=(90, 4))
    x = data[:7] + sigma * rng.normal(size=(7, 4))
    field = Mixture(np.full(90, 1 / 90), data, variances=np.zeros(90), path="edm")
    got = empirical_denoiser(host, torch.from_numpy(x), torch.from_numpy(data), 1.0, sigma, tile=40)
    np.testing.assert_allclose(got.numpy(), field(x, sigma), rtol=0, atol=1e-9)


def test_columns_that_do_not_count_and_nan(host, rng):
    x, keys, values, bias = inputs(rng, 4, 96, 3, torch.float64)
    bias[:40] = -torch.inf  # the whole first tile, and some of the second
    expected = torch.softmax(x @ keys.T + bias, 1) @ values
    torch.testing.assert_close(softmax_mean(host, x, keys, values, 1.0, bias, tile=32), expected)
    x[2, 0] = torch.nan
    got = softmax_mean(host, x, keys, values, 1.0, bias, tile=32)
    assert got[2].isnan().all()
    torch.testing.assert_close(got[[0, 1, 3]], expected[[0, 1, 3]])


def test_pure_data_is_refused(host):
    with pytest.raises(sb.UsageError, match=r"needs sigma > 0, got 0"):
        empirical_denoiser(host, torch.ones(1, 2), torch.ones(3, 2), 1.0, 0.0)

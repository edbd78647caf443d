"""An untrained flow map is that of a Gaussian, one started from a denoiser has its velocity, and none moves s to s."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from solverbench.fields import Gaussian, Separable
from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
from solverbench.networks.flow_map import FlowMap
from solverbench.pretrain.basis import dct

SIDE = 8
OPTIONS = {"widths": (8, 16), "blocks": 1, "embedding": 16}


@pytest.fixture
def colour(rng):
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]


@pytest.fixture
def law(rng, colour):
    """A Gaussian of 8x8 pictures, diagonal in a colour-DCT basis."""
    basis = Separable([colour, dct(SIDE), dct(SIDE)])
    return Gaussian(rng.normal(size=(3, SIDE, SIDE)), np.exp(rng.normal(size=3 * SIDE**2)), "edm", basis=basis)


@pytest.fixture
def spectrum(law, colour):
    return Spectrum(*map(torch.from_numpy, (law.mean, law.variance.reshape(3, SIDE, SIDE), colour, dct(SIDE))))


@pytest.fixture
def pair(spectrum):
    """A denoiser with random weights, and a flow map started from it, in float64."""
    torch.manual_seed(0)
    denoiser, flow_map = Denoiser(spectrum, **OPTIONS), FlowMap(spectrum, **OPTIONS)
    for p in denoiser.parameters():
        torch.nn.init.normal_(p, std=0.2)
    flow_map.load_state_dict(flow_map.state_dict() | denoiser.state_dict())
    return denoiser.double().requires_grad_(False), flow_map.double().requires_grad_(False)


def times(*values):
    return (torch.full((4,), value, dtype=torch.float64) for value in values)


@pytest.mark.parametrize(("s", "t"), [(80.0, 0.0), (80.0, 1.0), (2.0, 0.3), (0.5, 0.0)])
def test_an_untrained_map_is_the_exact_one_of_the_gaussian(law, spectrum, s, t, rng):
    x = rng.normal(size=(4, 3, SIDE, SIDE)) * s
    with torch.no_grad():
        found = FlowMap(spectrum, **OPTIONS).double()(torch.from_numpy(x), *times(s, t))
    np.testing.assert_allclose(found.numpy(), law.jump(x, s, t), atol=1e-5)


def test_nothing_moves_in_no_time(pair, rng):
    x = torch.from_numpy(rng.normal(size=(4, 3, SIDE, SIDE)))
    torch.testing.assert_close(pair[1](x, *times(0.7, 0.7)), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("s", [0.1, 1.0, 20.0])
def test_the_velocity_of_a_map_is_that_of_the_denoiser_it_started_from(pair, s, rng):
    denoiser, flow_map = pair
    x, h = torch.from_numpy(rng.normal(size=(4, 3, SIDE, SIDE))) * (1 + s), 1e-5 * s
    velocity = (flow_map(x, *times(s, s + h)) - flow_map(x, *times(s, s - h))) / (2 * h)
    D = denoiser(x, next(times(s)), torch.full((4,), CLASSES))
    torch.testing.assert_close(velocity, (x - D) / s, atol=1e-5, rtol=1e-6)  # the basis is stored in float32

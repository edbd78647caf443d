"""The denoiser's linear part is the exact denoiser of a Gaussian; its network sees unit variances, starts at zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import silu

from solverbench.fields import Gaussian, Separable
from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
from solverbench.networks.unet import Attention, Residual, UNet
from solverbench.pretrain.basis import dct

SIDE = 8


@pytest.fixture
def law(rng):
    """A Gaussian of 8x8 pictures, diagonal in a colour-DCT basis."""
    colour = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    basis = Separable([colour, dct(SIDE), dct(SIDE)])
    return Gaussian(rng.normal(size=(3, SIDE, SIDE)), np.exp(rng.normal(size=3 * SIDE**2)), "edm", basis=basis), colour


@pytest.fixture
def denoiser(law):
    gaussian, colour = law
    values = gaussian.mean, gaussian.variance.reshape(3, SIDE, SIDE), colour, dct(SIDE)
    torch.manual_seed(0)
    return Denoiser(Spectrum(*map(torch.from_numpy, values)), widths=(16, 32), blocks=1, embedding=16)


def test_the_basis_goes_there_and_back(denoiser, rng):
    x = torch.from_numpy(rng.normal(size=(5, 3, SIDE, SIDE))).float()
    z = denoiser.spectrum(x)
    torch.testing.assert_close(denoiser.spectrum.inverse(z), x, atol=1e-5, rtol=0)
    torch.testing.assert_close(z.square().sum((1, 2, 3)), x.square().sum((1, 2, 3)), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.002, 0.3, 1.0, 80.0])
def test_an_untrained_denoiser_is_the_exact_denoiser_of_the_gaussian(law, denoiser, sigma, rng):
    x = (law[0].sample(6, seed=1) + sigma * rng.normal(size=(6, 3, SIDE, SIDE))).astype(np.float32)
    with torch.no_grad():
        D = denoiser(torch.from_numpy(x), torch.full((6,), sigma), torch.arange(6))
    expected = law[0](x.astype(np.float64), sigma)
    np.testing.assert_allclose(D.numpy(), expected, atol=3e-5)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 20.0])
def test_inputs_and_target_of_the_network_have_unit_variance(law, denoiser, sigma, rng):
    x0 = law[0].sample(2048, seed=2)
    x = torch.from_numpy(x0 + sigma * rng.normal(size=x0.shape)).float()
    W, c_out, inputs = denoiser.linear(x, torch.full((len(x),), sigma))
    target = (torch.from_numpy(x0) - W) / c_out
    d = x0[0].size
    for part in (*inputs.split(3, 1), target):
        # each entry of the variance spectrum enters a mean over d; chi-squared spread of the largest shares, 4 sigma
        power = part.double().square().flatten(1).mean(1)
        assert float(power.mean()) == pytest.approx(1, abs=4 * float(power.std()) / math.sqrt(len(x)) + 1e-4)
        assert part[0].numel() == d


def test_levels_and_labels_of_a_batch_do_not_mix(denoiser, rng):
    for p in denoiser.parameters():
        torch.nn.init.normal_(p, std=0.1)
    x = torch.from_numpy(rng.normal(size=(3, 3, SIDE, SIDE))).float()
    sigma, label = torch.tensor([0.1, 1.0, 10.0]), torch.tensor([0, 3, CLASSES])
    with torch.no_grad():
        together = denoiser(x, sigma, label)
        alone = torch.cat([denoiser(x[i : i + 1], sigma[i : i + 1], label[i : i + 1]) for i in range(3)])
        other = denoiser(x, sigma, torch.tensor([1, 3, CLASSES]))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert (other[0] - together[0]).abs().max() > 1e-4  # the label matters
    torch.testing.assert_close(other[1:], together[1:], atol=1e-6, rtol=0)


def test_attention_is_softmax_of_scaled_products(rng):
    torch.manual_seed(1)
    layer = Attention(16, heads=2)
    torch.nn.init.normal_(layer.out.weight)
    x = torch.randn(2, 16, 3, 3)
    q, k, v = layer.qkv(layer.norm(x)).flatten(2).chunk(3, 1)
    heads = []
    for h in (slice(0, 8), slice(8, 16)):
        weights = torch.softmax(torch.einsum("ncq,nck->nqk", q[:, h], k[:, h]) / math.sqrt(8), -1)
        heads.append(torch.einsum("nqk,nck->ncq", weights, v[:, h]))
    expected = x + layer.out(torch.cat(heads, 1).view(2, 16, 3, 3))
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


def test_a_residual_block_is_what_its_docstring_says():
    torch.manual_seed(2)
    block = Residual(16, 8)
    torch.nn.init.normal_(block.conv2.weight)
    x, e = torch.randn(2, 16, 4, 4), torch.randn(2, 8)
    scale, shift = block.film(e).chunk(2, 1)
    h = block.norm2(block.conv1(silu(block.norm1(x))))
    h = h * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    torch.testing.assert_close(block(x, e), x + block.conv2(silu(h)))


@pytest.mark.parametrize("widths", [(8,), (8, 16), (16, 16, 24)])
def test_a_network_of_any_depth_answers_in_shape_and_starts_at_zero(widths):
    net = UNet(4, 5, 8, widths=widths, blocks=2)
    y = net(torch.randn(2, 4, 16, 16), torch.randn(2, 8))
    assert y.shape == (2, 5, 16, 16)
    assert float(y.detach().abs().max()) == 0

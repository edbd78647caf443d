"""A trained denoiser D(x; sigma) = W + c_out N: the linear optimum, and a network for what is left.

EDM (Karras et al. 2022, arXiv 2206.00364, section 5 and appendix B.6) writes D = c_skip x + c_out N and chooses c_skip
so that the errors of the network N are amplified as little as possible; over scalars that is c_skip =
s_d^2 / (sigma^2 + s_d^2), the best linear denoiser of white data of variance s_d^2. Over matrices the same argument
gives the best linear denoiser of the data themselves, the Wiener filter

    W(x; sigma) = mu + B diag(lam / (lam + sigma^2)) B^T (x - mu),

with B the colour-DCT basis, in which natural images are nearly uncorrelated, and lam the variances along it. What is
left to the network has variance and scale

    c_out^2 = mean of lam sigma^2 / (lam + sigma^2),

so that the loss E |N - (x_0 - W)/c_out|^2, EDM's weighting 1/c_out^2, is the share of the linear optimum's error that
remains: 1 for an untrained network, at every sigma, and -10 log10 of it is the gain in PSNR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from solverbench.networks.unet import Fourier, UNet

CLASSES = 10


class Spectrum(nn.Module):
    """Mean, colour-DCT basis and variances of a set of images: all that linear denoising knows of them.

    mean: (3, h, w). variance: (3, h, w), along the basis vectors. colour: (3, 3), frequency: (h, h), both orthogonal
    with the basis vectors as rows.
    """

    mean: Tensor
    variance: Tensor
    colour: Tensor
    frequency: Tensor

    def __init__(self, mean: Tensor, variance: Tensor, colour: Tensor, frequency: Tensor) -> None:
        super().__init__()
        for name, value in {"mean": mean, "variance": variance, "colour": colour, "frequency": frequency}.items():
            self.register_buffer(name, value.float())

    @classmethod
    def empty(cls, side: int) -> Spectrum:
        """One whose values are still to be loaded."""
        return cls(torch.zeros(3, side, side), torch.ones(3, side, side), torch.eye(3), torch.eye(side))

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, h, w) -> coordinates of the same shape."""
        mixed = self.colour @ x.flatten(2)
        return self.frequency @ mixed.view_as(x) @ self.frequency.T

    def inverse(self, z: Tensor) -> Tensor:
        """Coordinates -> images."""
        mixed = self.colour.T @ z.flatten(2)
        return self.frequency.T @ mixed.view_as(z) @ self.frequency

    def filtered(self, gain: Tensor, x: Tensor) -> Tensor:
        """Images with coordinates multiplied by gain (n, 3, h, w), exact also where the network is in bfloat16."""
        with torch.autocast(x.device.type, enabled=False):
            return self.inverse(gain * self(x))


class Denoiser(nn.Module):
    """(x (n, 3, h, w), sigma (n,), label (n,) in 0..classes, the last meaning none) -> D (n, 3, h, w).

    The network sees x, W and x - W, each at unit variance, log(sigma)/4 (EDM's c_noise) and the label.
    """

    def __init__(
        self, spectrum: Spectrum, *, widths: Sequence[int] = (64, 128), blocks: int = 2, embedding: int = 256
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"widths": list(widths), "blocks": blocks, "embedding": embedding}
        self.spectrum = spectrum
        self.times = nn.Sequential(Fourier(32), nn.Linear(64, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.labels = nn.Embedding(CLASSES + 1, embedding)
        nn.init.normal_(self.labels.weight, std=0.1)
        self.net = UNet(9, 3, embedding, widths=widths, blocks=blocks)

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        W, c_out, inputs = self.linear(x, sigma)
        return W + c_out * self.net(inputs, self.embed(sigma, label))

    def embed(self, sigma: Tensor, label: Tensor) -> Tensor:
        """What conditions every block, (n, embedding)."""
        return silu(self.times(sigma.log() / 4) + self.labels(label))

    def linear(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(W (n, 3, h, w), c_out (n, 1, 1, 1), the network's inputs (n, 9, h, w)) for images x at noise sigma."""
        lam, u = self.spectrum.variance, sigma.square()[:, None, None, None]
        gain = lam / (lam + u)
        y = x - self.spectrum.mean
        w = self.spectrum.filtered(gain, y)

        def power(spectrum: Tensor) -> Tensor:
            return spectrum.mean((1, 2, 3), keepdim=True)

        unit = [y * power(lam + u).rsqrt(), w * power(gain * lam).rsqrt(), (y - w) * power((1 - gain) * u).rsqrt()]
        inputs = torch.cat(unit, 1).contiguous(memory_format=torch.channels_last)
        return w + self.spectrum.mean, power(gain * u).sqrt(), inputs

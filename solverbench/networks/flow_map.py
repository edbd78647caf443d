"""A trained flow map x_t = Psi(x_s, s, t) of the EDM path: the flow of the linear optimum, and a network for the rest.

Along the probability-flow ODE dx/dsigma = (x - D)/sigma, and a denoiser D = W + c_out N (see `denoiser`) leaves of it

    x_t = Psi_W(x_s, s, t) + (1 - t/s) c_out(s) N(x_s, s, t),

where Psi_W, the flow of the Wiener filter alone, is known: it scales coordinate i of x - mu in the colour-DCT basis by
sqrt((lam_i + t^2)/(lam_i + s^2)). The factor 1 - t/s is that of a DDIM step, so that N(x, s, s) is the denoiser's own N
(differentiate by t at t = s): a flow map contains its velocity field, the observation behind shortcut models (Frans et
al. 2024, arXiv 2410.12557), MeanFlow (Geng et al. 2025, arXiv 2505.13447) and flow-map matching (Boffi et al. 2024,
arXiv 2406.07507). Hence it starts from the denoiser's weights, to which t is added by a layer that starts at zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
from solverbench.networks.unet import Fourier

_LEAST = 0.02
"""Added to t before its logarithm is taken: smaller noise is invisible next to a map's error."""


class FlowMap(Denoiser):
    """(x (n, 3, h, w), s (n,), t (n,)) -> x_t (n, 3, h, w), for 0 <= t <= s, unconditional."""

    def __init__(
        self, spectrum: Spectrum, *, widths: Sequence[int] = (64, 128), blocks: int = 2, embedding: int = 256
    ) -> None:
        super().__init__(spectrum, widths=widths, blocks=blocks, embedding=embedding)
        last = nn.Linear(embedding, embedding)
        self.targets = nn.Sequential(Fourier(32), nn.Linear(64, embedding), nn.SiLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        flow, scale, inputs = self.linear_flow(x, s, t)
        return flow + scale * self.net(inputs, self.embed_jump(s, t))

    def embed_jump(self, s: Tensor, t: Tensor) -> Tensor:
        """What conditions every block, (n, embedding)."""
        none = torch.full_like(s, CLASSES, dtype=torch.long)
        return silu(self.times(s.log() / 4) + self.labels(none) + self.targets((t + _LEAST).log() / 4))

    def linear_flow(self, x: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(Psi_W (n, 3, h, w), (1 - t/s) c_out(s) (n, 1, 1, 1), the network's inputs (n, 9, h, w))."""
        _, c_out, inputs = self.linear(x, s)
        mu, lam = self.spectrum.mean, self.spectrum.variance
        s, t = s[:, None, None, None], t[:, None, None, None]
        growth = ((lam + t.square()) / (lam + s.square())).sqrt()
        flow = mu + self.spectrum.filtered(growth, x - mu)
        return flow, (1 - t / s) * c_out, inputs

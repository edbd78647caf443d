"""The mean of a softmax over very many vectors, tile by tile: nothing of size (n, N) is held.

The denoiser of data that are the N vectors y_k themselves, at x = alpha y + sigma z, is such a mean,

    D(x) = sum_k w_k(x) y_k,    w = softmax_k((alpha x . y_k - alpha^2 |y_k|^2 / 2) / sigma^2),

and so are the responsibility-weighted means of a mixture whose components share a covariance. The work is in two matrix
products a tile, which are the vendor's; the kernel between them is `online_softmax.cu`.
"""

from __future__ import annotations

import numpy as np
import torch

from solverbench.engines.cupy.combine import THREADS, Device, blocks
from solverbench.engines.cupy.sources import online_softmax
from solverbench.errors import UsageError

TILE = 1 << 14
"""Vectors a tile: 64 KiB of float32 scores for each state."""
WARP = 32

LAYOUT = np.dtype([
    ("scores", "u8"), ("bias", "u8"), ("maximum", "u8"), ("total", "u8"), ("rescale", "u8"), ("n", "i8"), ("c", "i8"),
    ("scale", "f8"),
])  # fmt: skip
"""The structure `Tile` of kernels/online_softmax.cu."""


def empirical_denoiser(
    device: Device, x: torch.Tensor, data: torch.Tensor, alpha: float, sigma: float, *, tile: int = TILE
) -> torch.Tensor:
    """E[y | x] (n, d) for states x (n, d) at sigma > 0, where y is one of the rows of data (N, d), all equally likely.

    In the type of x, float32 or float64; data of the same. Subtract the data's mean from both first where it is large:
    single precision then keeps more of the differences. Raises UsageError for sigma = 0, where x says all there is.
    """
    if not sigma > 0:
        raise UsageError(f"the empirical denoiser needs sigma > 0, got {sigma}")
    bias = data.double().square().sum(1) * (-0.5 * (alpha / sigma) ** 2)
    return softmax_mean(device, x, data, data, alpha / sigma**2, bias, tile=tile)


def softmax_mean(
    device: Device,
    x: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scale: float,
    bias: torch.Tensor,
    *,
    tile: int = TILE,
) -> torch.Tensor:
    """softmax(scale x keys^T + bias) values, (n, e), for x (n, d), keys (N, d), values (N, e) and float64 bias (N,)."""
    n = len(x)
    mean = x.new_zeros(n, values.shape[1])
    maximum = torch.full((n,), -torch.inf, dtype=torch.float64, device=x.device)
    total = torch.zeros_like(maximum)
    rescale = x.new_empty(n)
    for first in range(0, len(keys), tile):
        part = slice(first, first + tile)
        scores = x @ keys[part].T
        weight = bias[part].contiguous()
        argument = np.zeros((), LAYOUT)
        for name, array in (
            ("scores", scores), ("bias", weight), ("maximum", maximum), ("total", total), ("rescale", rescale)
        ):  # fmt: skip
            argument[name] = array.data_ptr()
        argument["n"], argument["c"], argument["scale"] = n, scores.shape[1], scale
        kernel = online_softmax(str(x.dtype).removeprefix("torch."))
        device.launch(kernel, blocks(n * WARP, device), THREADS, argument)
        mean.mul_(rescale[:, None]).addmm_(scores, values[part])
    return mean.div_(total[:, None])

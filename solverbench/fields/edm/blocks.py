"""What the networks of EDM are made of. Names of parameters and buffers are those in its files.

Modules are built without values, to be loaded. Linear layers and embeddings may be of a wider floating-point type than
the rest: `UNetBlock` converts what comes from them.

Source: Song et al. 2021 (arXiv 2011.13456, DDPM++ and NCSN++), Dhariwal & Nichol 2021 (arXiv 2105.05233, ADM), in the
common form of Karras et al. 2022 (arXiv 2206.00364, appendix F).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from solverbench.errors import ArtifactError


def wide(x: Tensor) -> Tensor:
    """x in at least single precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class Positional(nn.Module):
    """noise (n,) -> cosines and sines (n, channels) of frequencies that fall from 1 to 1e-4, or to just above it.

    reaches: whether the last frequency is 1e-4 itself (DDPM++) or one step higher (ADM).
    """

    def __init__(self, channels: int, *, reaches: bool) -> None:
        super().__init__()
        self.count, self.last = channels // 2, channels // 2 - reaches

    def forward(self, noise: Tensor) -> Tensor:
        steps = torch.arange(self.count, dtype=noise.dtype, device=noise.device)
        angles = torch.outer(noise, 1e-4 ** (steps / self.last))
        return torch.cat([angles.cos(), angles.sin()], 1)


class Fourier(nn.Module):
    """noise (n,) -> cosines and sines (n, channels) of random frequencies, a buffer `freqs` (channels / 2,)."""

    freqs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.empty(channels // 2))

    def forward(self, noise: Tensor) -> Tensor:
        angles = torch.outer(noise, 2 * math.pi * self.freqs)
        return torch.cat([angles.cos(), angles.sin()], 1)


class Conv(nn.Module):
    """(n, inputs, h, w) -> (n, outputs, h, w), or half or twice as high and wide, resampled by a separable filter.

    kernel: 0 for resampling alone. Resampling comes before the convolution where it makes more of it and where it makes
    less of it, unless `fused`: then a smaller picture is made after it, on the outputs. taps: the filter in one
    dimension; its outer square, of sum one, is the buffer `resample_filter` (1, 1, k, k).
    """

    resample_filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        up: bool = False,
        down: bool = False,
        fused: bool = False,
        taps: Sequence[float] = (1, 1),
    ) -> None:
        super().__init__()
        self.outputs, self.pad, self.up, self.down, self.fused = outputs, kernel // 2, up, down, fused
        if kernel:
            self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
            self.bias = nn.Parameter(torch.empty(outputs))
        self.kernel = kernel
        if up or down:
            self.register_buffer("resample_filter", torch.empty(1, 1, len(taps), len(taps)))
            self.margin = (len(taps) - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        if self.down and self.fused:
            x = functional.conv2d(x, self.weight, padding=self.pad + self.margin)
            return self._shrunk(x, 0) + self.bias[:, None, None]
        if self.up:
            weight = 4 * self.resample_filter.expand(x.shape[1], -1, -1, -1)
            x = functional.conv_transpose2d(x, weight, stride=2, padding=self.margin, groups=x.shape[1])
        elif self.down:
            x = self._shrunk(x, self.margin)
        return functional.conv2d(x, self.weight, self.bias, padding=self.pad) if self.kernel else x

    def _shrunk(self, x: Tensor, padding: int) -> Tensor:
        weight = self.resample_filter.expand(x.shape[1], -1, -1, -1)
        return functional.conv2d(x, weight, stride=2, padding=padding, groups=x.shape[1])


def norm(channels: int, eps: float) -> nn.GroupNorm:
    """Group normalisation with at most 32 groups of at least four channels."""
    groups = min(32, channels // 4)
    if not groups or channels % groups:
        raise ArtifactError(f"{channels} channels cannot be normalised in groups")
    return nn.GroupNorm(groups, channels, eps)


class UNetBlock(nn.Module):
    """(x (n, inputs, h, w), embedding (n, embedded)) -> (n, outputs, h, w), or half or twice as high and wide.

    Two convolutions with a residual and, if heads, self-attention with another. adaptive: the embedding scales and
    shifts after the normalisation instead of being added before it. project: whether a block that resamples convolves
    its residual even where the channels do not change. scale: of each sum.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedded: int,
        *,
        heads: int,
        up: bool = False,
        down: bool = False,
        adaptive: bool,
        project: bool,
        scale: float,
        eps: float,
        taps: Sequence[float],
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.heads, self.adaptive, self.scale = inputs, outputs, heads, adaptive, scale
        self.norm0 = norm(inputs, eps)
        self.conv0 = Conv(inputs, outputs, 3, up=up, down=down, taps=taps)
        self.affine = nn.Linear(embedded, outputs * (1 + adaptive))
        self.norm1 = norm(outputs, eps)
        self.conv1 = Conv(outputs, outputs, 3)
        self.skip: nn.Module = nn.Identity()
        if inputs != outputs or up or down:
            kernel = 1 if project or inputs != outputs else 0
            self.skip = Conv(inputs, outputs, kernel, up=up, down=down, taps=taps)
        if heads:
            if outputs % heads:
                raise ArtifactError(f"{outputs} channels cannot be shared by {heads} heads")
            self.norm2 = norm(outputs, eps)
            self.qkv = Conv(outputs, 3 * outputs, 1)
            self.proj = Conv(outputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        before = x
        x = self.conv0(functional.silu(self.norm0(x)))
        change = self.affine(embedding).to(x.dtype)[:, :, None, None]
        if self.adaptive:
            factor, shift = change.chunk(2, 1)
            x = self.norm1(x) * (1 + factor) + shift
        else:
            x = self.norm1(x + change)
        x = self.scale * (self.conv1(functional.silu(x)) + self.skip(before))
        return self.scale * (x + self._attended(x)) if self.heads else x

    def _attended(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        parts = self.qkv(self.norm2(x)).reshape(n, self.heads, channels // self.heads, 3, height * width)
        q, k, v = (wide(part).transpose(2, 3) for part in parts.unbind(3))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(2, 3).to(x.dtype)
        attended: Tensor = self.proj(mixed.reshape(x.shape))
        return attended

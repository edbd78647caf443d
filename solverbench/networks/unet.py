"""The U-Net of the trained fields: residual blocks at 16x16 and below, since a 2x2 patch of pixels is one position.

Working on patches makes the network four times cheaper at equal width than one that works on pixels. The design is
that of Ho et al. (2020, arXiv 2006.11239, appendix B) with the FiLM conditioning of Dhariwal & Nichol (2021, arXiv
2105.05233).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, scaled_dot_product_attention, silu

GROUPS = 8
PATCH = 2


class UNet(nn.Module):
    """(images (n, inputs, h, w), embedding (n, embedding)) -> (n, outputs, h, w).

    widths: channels at each resolution, the first at h/2 x w/2, each next at half that. blocks: per resolution, on
    the way down and again on the way up. Self-attention stands at the lowest resolution, and on the way down at all
    but the first. The last convolution and the end of every residual branch start at zero, so an untrained network
    answers zero.
    """

    def __init__(
        self, inputs: int, outputs: int, embedding: int, *, widths: Sequence[int] = (64, 128), blocks: int = 2
    ) -> None:
        super().__init__()
        first, last = widths[0], widths[-1]
        self.stem = _convolution(inputs * PATCH**2, first)
        self.down: Any = nn.ModuleList()
        self.up: Any = nn.ModuleList()
        for level, width in enumerate(widths):
            shrink: nn.Module = nn.Conv2d(widths[level - 1], width, 2, stride=2) if level else nn.Identity()
            if level > 1:
                shrink = nn.Sequential(Attention(widths[level - 1]), shrink)
            grow = nn.Conv2d(width, 4 * widths[level - 1], 1) if level else nn.Identity()
            self.down.append(nn.ModuleList([shrink, *(Residual(width, embedding) for _ in range(blocks))]))
            join = (nn.ModuleList([nn.Conv2d(2 * width, width, 1), Residual(width, embedding)]) for _ in range(blocks))
            self.up.append(nn.ModuleList([grow, *join]))
        self.middle = nn.ModuleList([Residual(last, embedding), Attention(last), Residual(last, embedding)])
        self.norm = nn.GroupNorm(GROUPS, first)
        self.head = _zero(_convolution(first, outputs * PATCH**2))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.stem(pixel_unshuffle(x, PATCH))
        passed = []
        for shrink, *blocks in self.down:
            x = shrink(x)
            for block in blocks:
                x = block(x, embedding)
                passed.append(x)
        before, attention, after = self.middle
        x = after(attention(before(x, embedding)), embedding)
        for level in reversed(range(len(self.up))):
            grow, *stages = self.up[level]
            for join, block in stages:
                x = block(join(torch.cat([x, passed.pop()], 1)), embedding)
            x = pixel_shuffle(grow(x), 2) if level else x
        return pixel_shuffle(self.head(silu(self.norm(x))), PATCH)


class Residual(nn.Module):
    """x + conv(silu(FiLM(norm(conv(silu(norm(x)))))))."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, width)
        self.conv1 = _convolution(width, width)
        self.norm2 = nn.GroupNorm(GROUPS, width, affine=False)
        self.film = nn.Linear(embedding, 2 * width)
        self.conv2 = _zero(_convolution(width, width))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, 1)
        h = self.norm2(self.conv1(silu(self.norm1(x))))
        return x + self.conv2(silu(torch.addcmul(shift, h, 1 + scale)))


class Attention(nn.Module):
    """Residual self-attention over all positions."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = _zero(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        mixed = scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, h, w)
        return x + self.out(mixed)


class Fourier(nn.Module):
    """A number per sample (n,) as cosines and sines of log-spaced frequencies (n, 2 * pairs)."""

    frequencies: Tensor

    def __init__(self, pairs: int, highest: float = 64.0) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, math.log2(highest), pairs, base=2), persistent=False)

    def forward(self, a: Tensor) -> Tensor:
        phase = a[:, None] * self.frequencies
        return torch.cat([phase.cos(), phase.sin()], 1)


def channels_last(module: nn.Module) -> nn.Module:
    """The module with its convolutions stored channels last, in which processors are fastest."""
    for p in module.parameters():
        if p.ndim == 4:
            p.data = p.data.contiguous(memory_format=torch.channels_last)
    return module


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer

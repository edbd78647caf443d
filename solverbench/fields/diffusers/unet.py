"""The network a UNet2DModel is, written anew: its parameters have the names and shapes of the library's files.

Ho et al. (2020, arXiv 2006.11239, appendix B): residual blocks with group norm at several resolutions, all outputs of
the way down joined on the way up, self-attention over positions where the configuration says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention, silu

from solverbench.errors import ArtifactError
from solverbench.fields.diffusers.config import Layout

PERIOD = 10_000


def on_meta(layout: Layout, config: Path) -> UNet:
    """The network without memory for its parameters. Raises ArtifactError if none of that size can be."""
    try:
        with torch.device("meta"):
            return UNet(layout)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ArtifactError(f"{config} describes no network that can be built ({error})") from error


class UNet(nn.Module):
    """(x (n, c, h, w), timestep, class (n,) or None) -> (n, c, h, w)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        widths, first, last = layout.widths, layout.widths[0], layout.widths[-1]
        self.conv_in = nn.Conv2d(layout.channels, first, 3, padding=1)
        if layout.fourier:
            self.time_proj = Frequencies(first)
        self.time_embedding = Embedding(2 * first if layout.fourier else first, layout.embedding)
        if layout.classes:
            self.class_embedding = nn.Embedding(layout.classes, layout.embedding)
        levels = range(len(widths))
        self.down_blocks = nn.ModuleList(
            Down(layout, widths[max(i - 1, 0)], widths[i], layout.attend_down[i], shrinks=i < levels[-1])
            for i in levels
        )
        if layout.middle:
            self.mid_block = Middle(layout, last)
        self.up_blocks = nn.ModuleList(
            Up(layout, widths[min(i + 1, levels[-1])], widths[i], widths[max(i - 1, 0)], attend, grows=i > 0)
            for i, attend in zip(reversed(levels), layout.attend_up, strict=True)
        )
        self.conv_norm_out = nn.GroupNorm(layout.groups, first, layout.eps)
        self.conv_out = nn.Conv2d(first, layout.channels, 3, padding=1)

    def forward(self, x: Tensor, timestep: float, label: Tensor | None = None) -> Tensor:
        embedding = self.embed(timestep, label, x)
        x = self.conv_in(2 * x - 1 if self.layout.centred else x)
        passed = [x]
        for stage in self.down_blocks:
            x = stage(x, embedding, passed)
        if self.layout.middle:
            x = self.mid_block(x, embedding)
        for stage in self.up_blocks:
            x = stage(x, embedding, passed)
        answer: Tensor = self.conv_out(silu(self.conv_norm_out(x)))
        return answer / timestep if self.layout.fourier else answer

    def embed(self, timestep: float, label: Tensor | None, like: Tensor) -> Tensor:
        """silu of the embedding of timestep and class, (1 or n, embedding); angles are of single precision always."""
        k = torch.tensor([timestep], dtype=torch.float32, device=like.device)
        if self.layout.fourier:
            angles = k.log()[:, None] * self.time_proj.weight * 2 * math.pi
            waves = torch.cat([angles.sin(), angles.cos()], 1)
        else:
            waves = positional(k, self.layout)
        embedding: Tensor = self.time_embedding(waves.to(like.dtype))
        if label is not None:
            embedding = embedding + self.class_embedding(label)
        return silu(embedding)


def positional(k: Tensor, layout: Layout) -> Tensor:
    """Timesteps (n,) as sines and cosines of frequencies PERIOD^(-i / (half - shift)), (n, widths[0])."""
    half = layout.widths[0] // 2
    exponents = -math.log(PERIOD) * torch.arange(half, dtype=torch.float32, device=k.device)
    angles = k[:, None] * (exponents / (half - layout.frequency_shift)).exp()
    parts = [angles.cos(), angles.sin()] if layout.cosine_first else [angles.sin(), angles.cos()]
    return pad(torch.cat(parts, 1), (0, layout.widths[0] % 2))


class Frequencies(nn.Module):
    """Random frequencies, stored."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))


class Embedding(nn.Module):
    """Two linear maps with silu between them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, outputs)
        self.linear_2 = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.linear_2(silu(self.linear_1(x)))
        return answer


class Stage(nn.Module):
    """Residual blocks of one resolution, of the given numbers of channels, each followed by attention if asked for."""

    def __init__(self, layout: Layout, inputs: Sequence[int], width: int, attend: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Residual(layout, before, width) for before in inputs)
        self.attentions = nn.ModuleList(Attention(layout, width, layout.groups) for _ in inputs if attend)

    def block(self, i: int, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.resnets[i](x, embedding)
        return self.attentions[i](x) if len(self.attentions) else x


class Down(Stage):
    """A stage on the way down: appends all it made to `passed`."""

    def __init__(self, layout: Layout, before: int, width: int, attend: bool, *, shrinks: bool) -> None:
        super().__init__(layout, [before] + [width] * (layout.layers - 1), width, attend)
        self.downsamplers = nn.ModuleList([Shrink(width, layout.padding)] if shrinks else [])

    def forward(self, x: Tensor, embedding: Tensor, passed: list[Tensor]) -> Tensor:
        for i in range(len(self.resnets)):
            x = self.block(i, x, embedding)
            passed.append(x)
        for shrink in self.downsamplers:
            x = shrink(x)
            passed.append(x)
        return x


class Up(Stage):
    """A stage on the way up: takes from the end of `passed` what each of its blocks joins."""

    def __init__(self, layout: Layout, before: int, width: int, after: int, attend: bool, *, grows: bool) -> None:
        into, joined = [before] + [width] * layout.layers, [width] * layout.layers + [after]
        super().__init__(layout, [a + b for a, b in zip(into, joined, strict=True)], width, attend)
        self.upsamplers = nn.ModuleList([Grow(width)] if grows else [])

    def forward(self, x: Tensor, embedding: Tensor, passed: list[Tensor]) -> Tensor:
        for i in range(len(self.resnets)):
            x = self.block(i, torch.cat([x, passed.pop()], 1), embedding)
        for grow in self.upsamplers:
            x = grow(x)
        return x


class Middle(nn.Module):
    """A residual block, attention if there is any, and another block, each scaled down by `middle_scale`."""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        scale = layout.middle_scale
        self.resnets = nn.ModuleList(Residual(layout, width, width, scale) for _ in range(2))
        attend = [Attention(layout, width, layout.middle_groups, scale)] if layout.attend_middle else []
        self.attentions = nn.ModuleList(attend)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        before, after = self.resnets
        x = before(x, embedding)
        for attention in self.attentions:
            x = attention(x)
        answer: Tensor = after(x, embedding)
        return answer


class Residual(nn.Module):
    """(shortcut(x) + conv(silu(norm(conv(silu(norm(x))) + embedding)))) / scale."""

    def __init__(self, layout: Layout, inputs: int, outputs: int, scale: float = 1.0) -> None:
        super().__init__()
        self.film, self.scale = layout.film, scale
        self.norm1 = nn.GroupNorm(layout.groups, inputs, layout.eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(layout.embedding, 2 * outputs if layout.film else outputs)
        self.norm2 = nn.GroupNorm(layout.groups, outputs, layout.eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.conv_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h: Tensor = self.conv1(silu(self.norm1(x)))
        shift = self.time_emb_proj(embedding)[:, :, None, None]
        if self.film:
            factor, shift = shift.chunk(2, 1)
            h = self.norm2(h) * (1 + factor) + shift
        else:
            h = self.norm2(h + shift)
        kept = self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x
        answer: Tensor = (kept + self.conv2(silu(h))) / self.scale
        return answer


class Attention(nn.Module):
    """(x + attention over all positions of norm(x)) / scale."""

    def __init__(self, layout: Layout, width: int, groups: int | None, scale: float = 1.0) -> None:
        super().__init__()
        self.heads, self.scale = width // (layout.head or width), scale
        if groups:
            self.group_norm = nn.GroupNorm(groups, width, layout.eps)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        normal = self.group_norm(x) if hasattr(self, "group_norm") else x
        rows = normal.flatten(2).transpose(1, 2)
        q, k, v = (
            to(rows).reshape(n, h * w, self.heads, c // self.heads).transpose(1, 2)
            for to in (self.to_q, self.to_k, self.to_v)
        )
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, c)
        out: Tensor = self.to_out[0](mixed).transpose(1, 2).reshape(n, c, h, w)
        return (out + x) / self.scale


class Shrink(nn.Module):
    """Half as high and wide."""

    def __init__(self, width: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.conv(x if self.padding else pad(x, (0, 1, 0, 1)))
        return answer


class Grow(nn.Module):
    """Twice as high and wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.conv(interpolate(x, scale_factor=2.0, mode="nearest"))
        return answer

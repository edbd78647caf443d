"""A small classifier of CIFAR-10 whose last layer but one is a feature extractor for Frechet distances.

Convolutions with batch normalisation, halving the resolution between stages, after the fast trainings of Page (2018,
"How to train your ResNet") and Jordan (2024, arXiv 2404.00498): label smoothing, mirrored and shifted images, and a
last stage pooled by its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle


class Classifier(nn.Module):
    """(images (n, 3, h, w) in [-1, 1]) -> logits (n, classes); `features` gives what they are linear in, (n, d).

    widths: channels at h/2, h/4, h/8, ...; d is the last.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classes: int = 10, *, widths: Sequence[int] = (48, 96, 192, 256)) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"widths": list(widths)}
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))
        first, *rest = widths
        self.stem = _stage(12, first)
        stages = []
        for before, width in zip(widths, rest, strict=False):
            stages += [_stage(before, width), nn.MaxPool2d(2), Skip(_stage(width, width))]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(widths[-1], classes, bias=False)

    def features(self, images: Tensor) -> Tensor:
        """(n, d)."""
        x = (images - self.mean[:, None, None]) / self.std[:, None, None]
        x = pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        return self.stages(self.stem(x)).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class Skip(nn.Module):
    """x + inner(x)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU())

"""EfficientNet-Lite0 with weights of our own, against table 1 of Tan & Le (2019), stage by stage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from solverbench.measures.networks import lite0_features

STAGES = [(1, 3, 2, 1, 1), (6, 3, 3, 2, 2), (6, 5, 5, 2, 2), (6, 3, 10, 3, 2), (6, 5, 14, 3, 1), (6, 5, 24, 4, 2),
          (6, 3, 40, 1, 1)]  # fmt: skip
"""(widening, kernel, channels by 8, layers, stride of the first): MBConv1 k3 to MBConv6 k3."""
STEM, HEAD = 4, 6
"""Channels: of the stem by 8, of the head few."""


class Network:
    """Makes each tensor as it comes to need it, and what follows from it; names are those of the published file."""

    def __init__(self):
        self.tensors, self.random = {}, torch.Generator().manual_seed(0)

    def tensor(self, name, *shape, scale=1.0, least=0.0):
        made = self.tensors[name] = least + scale * torch.randn(shape, generator=self.random, dtype=torch.float64)
        return made

    def convolution(self, x, name, norm, out, k=1, stride=1, depthwise=False, above_zero=True):
        wide = 1 if depthwise else x.shape[1]
        weight = self.tensor(f"{name}.weight", out, wide, k, k, scale=(2 / (wide * k * k)) ** 0.5)
        before = (k - stride) // 2  # SAME at even sizes: k - stride in all, the odd one behind
        x = functional.pad(x, (before, k - stride - before) * 2)
        x = functional.conv2d(x, weight, stride=stride, groups=len(weight) if depthwise else 1)
        mean, bias = (self.tensor(f"{norm}.{key}", out, scale=0.3)[:, None, None] for key in ("running_mean", "bias"))
        gain, variance = (
            self.tensor(f"{norm}.{key}", out, scale=0.05, least=1.0)[:, None, None] for key in ("weight", "running_var")
        )
        y = gain * (x - mean) / torch.sqrt(variance + 1e-3) + bias
        return y.clamp(0, 6) if above_zero else y

    def features(self, pixels):
        x = self.convolution((pixels - 127) / 128, "_conv_stem", "_bn0", STEM, 3, 2)
        i = 0
        for widening, k, out, layers, first in STAGES:
            for layer in range(layers):
                name, stride, wide, came = f"_blocks.{i}.", first if layer == 0 else 1, widening * x.shape[1], x
                if widening > 1:
                    x = self.convolution(x, f"{name}_expand_conv", f"{name}_bn0", wide)
                x = self.convolution(x, f"{name}_depthwise_conv", f"{name}_bn1", wide, k, stride, depthwise=True)
                x = self.convolution(x, f"{name}_project_conv", f"{name}_bn2", out, above_zero=False)
                x = x + came if layer else x
                i += 1
        return self.convolution(x, "_conv_head", "_bn1", HEAD).mean((2, 3))


@pytest.mark.parametrize("size", [(224, 224), (32, 32), (300, 260)])
def test_features_are_those_of_the_paper_s_table(rng, size):
    """Pictures of other sizes are resized as Pillow resizes floating-point numbers, and cut to bytes' range."""
    picture = rng.integers(0, 256, (3, *size), dtype=np.uint8)
    images = [Image.fromarray(channel) for channel in picture.astype(np.float32)]
    resized = [np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)).clip(0, 255) for image in images]
    network = Network()
    expected = network.features(torch.tensor(np.stack(resized)[None]).double())
    tensors = {name: tensor.float() for name, tensor in network.tensors.items()}
    np.testing.assert_allclose(lite0_features(tensors, picture[None]), expected, rtol=1e-3, atol=1e-3)

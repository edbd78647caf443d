"""The networks of two extractors, as functions of their tensors: random convolutions, and EfficientNet-Lite0.

EfficientNet-Lite0 (Tan & Le 2019, arXiv 1905.11946, table 1, width and depth 1; the Lite variant has ReLU6 in place of
swish, no squeeze-and-excitation, and inputs (byte - 127)/128) is read off its weights: kernel sizes and widths are
their shapes, and only where the picture is halved has to be said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from solverbench.errors import ArtifactError
from solverbench.measures.moments import Array

SEED = 1
_WIDTHS = (32, 64, 128)
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_HALVING = {1, 3, 5, 11}
_BLOCKS = 16
_EPS = 1e-3


def random_features(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Array:
    """Mean and root mean square over the picture of every channel of three random convolutions (n, 2 sum widths).

    Weights are numpy's draws of one seed, so the features are the same everywhere; each convolution halves the picture.
    """
    import torch

    rng = np.random.default_rng(SEED)
    x = torch.from_numpy(pictures.astype(np.float32) / 127.5 - 1)
    found = []
    for width in _WIDTHS:
        fan = 9 * x.shape[1]
        weight = torch.from_numpy(rng.normal(0, (2 / fan) ** 0.5, (width, x.shape[1], 3, 3)).astype(np.float32))
        x = torch.nn.functional.leaky_relu(torch.nn.functional.conv2d(x, weight, stride=2, padding=1), 0.2)
        found += [x.mean((2, 3)), x.square().mean((2, 3)).sqrt()]
    result: Array = torch.cat(found, 1).double().numpy()
    return result


def tensors_of(path: Path) -> dict[str, Any]:
    """The tensors of a file of torch's; its reader of weights alone admits nothing else, so nothing is executed.

    Raises ArtifactError for a file that is damaged or holds anything else.
    """
    import torch

    try:
        tensors: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage and whatever is not a tensor come as errors of many kinds
        raise ArtifactError(f"{path} is no file of tensors: {type(error).__name__}") from error
    return tensors


def lite0_features(tensors: dict[str, Any], pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Array:
    """Pooled features (n, 1280) of pictures (n, 3, h, w), bytes, brought to 224 x 224."""
    import torch
    from torch import nn

    resize = nn.functional.interpolate
    with torch.inference_mode():
        x = resize(torch.from_numpy(pictures).float(), (224, 224), mode="bicubic", antialias=True).clamp(0, 255)
        x = normed(tensors, "_bn0", _same((x - 127) / 128, tensors["_conv_stem.weight"], 2)).clamp(0, 6)
        for i in range(_BLOCKS):
            x = _block(tensors, f"_blocks.{i}.", x, 2 if i in _HALVING else 1)
        x = normed(tensors, "_bn1", _same(x, tensors["_conv_head.weight"], 1)).clamp(0, 6)
        pooled: Array = x.mean((2, 3)).double().numpy()
    return pooled


def _block(tensors: dict[str, Any], name: str, x: Any, stride: int) -> Any:
    """An inverted bottleneck: widen, filter every channel, narrow, and add the input where the shapes allow."""
    y = x
    if f"{name}_expand_conv.weight" in tensors:
        y = normed(tensors, f"{name}_bn0", _same(y, tensors[f"{name}_expand_conv.weight"], 1)).clamp(0, 6)
    depthwise = tensors[f"{name}_depthwise_conv.weight"]
    y = normed(tensors, f"{name}_bn1", _same(y, depthwise, stride, groups=len(depthwise))).clamp(0, 6)
    y = normed(tensors, f"{name}_bn2", _same(y, tensors[f"{name}_project_conv.weight"], 1))
    return x + y if x.shape == y.shape else y


def _same(x: Any, weight: Any, stride: int, groups: int = 1) -> Any:
    """A convolution padded as TensorFlow's SAME, the odd pixel at the end."""
    from torch import nn

    k, size = weight.shape[-1], x.shape[-1]
    pad = max((-(-size // stride) - 1) * stride + k - size, 0)
    sides = (pad // 2, pad - pad // 2)
    return nn.functional.conv2d(nn.functional.pad(x, sides * 2), weight, stride=stride, groups=groups)


def normed(tensors: dict[str, Any], name: str, x: Any) -> Any:
    """Batch normalisation by the statistics it was trained with, epsilon 0.001 as in all of TensorFlow's networks."""
    from torch import nn

    mean, variance, weight, bias = (
        tensors[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
    )
    return nn.functional.batch_norm(x, mean, variance, weight, bias, eps=_EPS)

"""The network of FID: Inception v3 as TensorFlow's graph of 2015-12-05 has it, up to its last pooled layer.

Szegedy et al. (2016, arXiv 1512.00567, section 6 and figures 5-7) describe the network; names of tensors are those of
the published port of the graph's weights, `pt_inception-2015-12-05-6726825d.pth`. Where that graph differs from other
Inceptions: averages within a block do not count the padding, the last block takes a maximum instead of an average,
and there are 1008 classes. Widths and kernel sizes are read off the tensors' shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from solverbench.errors import ArtifactError
from solverbench.measures.moments import Array
from solverbench.measures.networks import normed, tensors_of

ARTIFACT = "inception-fid"
SIDE = 299
_CHUNK = 25

Tensors = dict[str, Any]

_SQUEEZED = ("branch1x1",)
BRANCHES: dict[str, tuple[tuple[str, ...], ...]] = {
    "A": (_SQUEEZED, ("branch5x5_1", "branch5x5_2"), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")),
    "B": (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")),
    "C": (
        _SQUEEZED,
        tuple(f"branch7x7_{i}" for i in (1, 2, 3)),
        tuple(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)),
    ),
    "D": (("branch3x3_1", "branch3x3_2"), tuple(f"branch7x7x3_{i}" for i in (1, 2, 3, 4))),
    "E": (_SQUEEZED, ("branch3x3_1",), ("branch3x3dbl_1", "branch3x3dbl_2")),
}
"""The convolutions of each kind of block, branch by branch. E ends two of its branches in two convolutions each."""
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
BLOCKS = {
    "Mixed_5b": "A", "Mixed_5c": "A", "Mixed_5d": "A", "Mixed_6a": "B", "Mixed_6b": "C", "Mixed_6c": "C",
    "Mixed_6d": "C", "Mixed_6e": "C", "Mixed_7a": "D", "Mixed_7b": "E", "Mixed_7c": "E",
}  # fmt: skip
HALVED = "BD"
"""Kinds of blocks that halve the picture, by the last convolution of every branch and a pooled branch of their own."""


def weights(path: Path) -> Tensors:
    """The tensors of the published file; reading it executes nothing. Raises ArtifactError if one is missing."""
    tensors = tensors_of(path)
    if missing := [name for name in names() if f"{name}.conv.weight" not in tensors]:
        raise ArtifactError(f"{path} is not FID's Inception: it has no {missing[0]}")
    return tensors


def names() -> list[str]:
    """Of all convolutions, each of which has tensors <name>.conv.weight and <name>.bn.*."""
    found = list(STEM)
    for block, kind in BLOCKS.items():
        inside = [name for branch in BRANCHES[kind] for name in branch]
        inside += ["branch3x3_2a", "branch3x3_2b", "branch3x3dbl_3a", "branch3x3dbl_3b"] * (kind == "E")
        found += [f"{block}.{name}" for name in [*inside, *["branch_pool"] * (kind not in HALVED)]]
    return found


def pooled(tensors: Tensors, x: Any) -> Any:
    """Features (n, 2048) of pictures (n, 3, 299, 299), values in about [-1, 1]."""
    from torch.nn.functional import max_pool2d

    for name in STEM:
        x = _conv(tensors, name, x, stride=1 + (name == STEM[0]), pad=name == "Conv2d_2b_3x3")
        if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
            x = max_pool2d(x, 3, 2)
    for name, kind in BLOCKS.items():
        x = _block(tensors, name, kind, x)
    return x.mean((2, 3))


def _block(tensors: Tensors, name: str, kind: str, x: Any) -> Any:
    import torch
    from torch.nn.functional import avg_pool2d, max_pool2d

    ends = []
    for branch in BRANCHES[kind]:
        y = x
        for conv in branch:
            last = kind in HALVED and conv == branch[-1]
            y = _conv(tensors, f"{name}.{conv}", y, stride=1 + last, pad=not last)
        ends.append(y)
    if kind == "E":
        split = (("branch3x3_2a", "branch3x3_2b"), ("branch3x3dbl_3a", "branch3x3dbl_3b"))
        wide = [_conv(tensors, f"{name}.{conv}", y) for y, pair in zip(ends[1:], split, strict=True) for conv in pair]
        ends = [ends[0], *wide]
    if kind in HALVED:
        return torch.cat([*ends, max_pool2d(x, 3, 2)], 1)
    around = max_pool2d(x, 3, 1, 1) if name == "Mixed_7c" else avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return torch.cat([*ends, _conv(tensors, f"{name}.branch_pool", around)], 1)


def _conv(tensors: Tensors, name: str, x: Any, stride: int = 1, pad: bool = True) -> Any:
    """A convolution, normalised by the statistics it was trained with, above zero; pad: keep the picture's size."""
    from torch.nn.functional import conv2d

    weight = tensors[f"{name}.conv.weight"]
    around = tuple(k // 2 for k in weight.shape[2:]) if pad else 0
    return normed(tensors, f"{name}.bn", conv2d(x, weight, stride=stride, padding=around)).clamp_(min=0)


def features(tensors: Tensors, pictures: np.ndarray[Any, np.dtype[np.uint8]], resize: Callable[[Any], Any]) -> Array:
    """Features (n, 2048) of pictures (n, 3, h, w), bytes; resize: one of `RESIZES`."""
    import torch

    with torch.inference_mode():
        parts = torch.from_numpy(pictures).split(_CHUNK)
        found = torch.cat([pooled(tensors, (resize(part.float()) - 128) / 128) for part in parts])
    result: Array = found.double().numpy()
    return result


# --- how pictures come to 299 x 299: float tensors (n, 3, h, w) of grey levels 0 to 255, to the same ------------------


def tf1_bilinear(x: Any) -> Any:
    """As TensorFlow 1 resizes: pixel i of the result is at i h/299 of the picture, whose pixels are at whole numbers.

    The picture is thereby moved by half a pixel up and to the left, which is what published FIDs were computed with.
    """
    return _between(_between(x, 2), 3)


def _between(x: Any, axis: int) -> Any:
    """Linear interpolation along an axis."""
    import torch

    size = x.shape[axis]
    at = torch.arange(SIDE, dtype=x.dtype) * (size / SIDE)
    low = at.floor().long()
    weight = (at - low).view([-1 if i == axis else 1 for i in range(4)])
    below, above = (x.index_select(axis, i) for i in (low, (low + 1).clamp(max=size - 1)))
    return below + weight * (above - below)


def pil_bicubic(x: Any) -> Any:
    """As Pillow resizes a channel of floating-point numbers, the result cut to [0, 255]: FID-clean (Parmar et al. 2022,
    arXiv 2104.11222, section 3)."""
    from torch.nn.functional import interpolate

    return interpolate(x, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 255)


def torch_bilinear(x: Any) -> Any:
    """Torch's bilinear with antialiasing: for pictures of less than 299 pixels the same as without."""
    from torch.nn.functional import interpolate

    return interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)


RESIZES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "inception-tf1": ("tf1-bilinear-299", tf1_bilinear),
    "inception-pil": ("pil-bicubic-299", pil_bicubic),
    "inception-torch": ("torch-bilinear-antialias-299", torch_bilinear),
}
"""Name of the extractor -> what its key calls the resize, and the function."""

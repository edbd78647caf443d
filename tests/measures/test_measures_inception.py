"""The network of FID with weights of our own: its layout, what is peculiar to it, its resizes, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from solverbench.errors import ArtifactError, UsageError
from solverbench.measures import inception
from solverbench.measures.extractors import distance_name, extractor

# (name, channels out, in, kernel): table 1 and figures 5 to 7 of Szegedy et al. (2016), by the names of the port
LAYOUT = [
    ("Conv2d_1a_3x3", 32, 3, 3, 3), ("Conv2d_2a_3x3", 32, 32, 3, 3), ("Conv2d_2b_3x3", 64, 32, 3, 3),
    ("Conv2d_3b_1x1", 80, 64, 1, 1), ("Conv2d_4a_3x3", 192, 80, 3, 3),
]  # fmt: skip
for block, wide, last in (("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)):
    LAYOUT += [
        (f"{block}.branch1x1", 64, wide, 1, 1), (f"{block}.branch5x5_1", 48, wide, 1, 1),
        (f"{block}.branch5x5_2", 64, 48, 5, 5), (f"{block}.branch3x3dbl_1", 64, wide, 1, 1),
        (f"{block}.branch3x3dbl_2", 96, 64, 3, 3), (f"{block}.branch3x3dbl_3", 96, 96, 3, 3),
        (f"{block}.branch_pool", last, wide, 1, 1),
    ]  # fmt: skip
LAYOUT += [
    ("Mixed_6a.branch3x3", 384, 288, 3, 3), ("Mixed_6a.branch3x3dbl_1", 64, 288, 1, 1),
    ("Mixed_6a.branch3x3dbl_2", 96, 64, 3, 3), ("Mixed_6a.branch3x3dbl_3", 96, 96, 3, 3),
]  # fmt: skip
for block, c in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
    LAYOUT += [
        (f"{block}.branch1x1", 192, 768, 1, 1), (f"{block}.branch7x7_1", c, 768, 1, 1),
        (f"{block}.branch7x7_2", c, c, 1, 7), (f"{block}.branch7x7_3", 192, c, 7, 1),
        (f"{block}.branch7x7dbl_1", c, 768, 1, 1), (f"{block}.branch7x7dbl_2", c, c, 7, 1),
        (f"{block}.branch7x7dbl_3", c, c, 1, 7), (f"{block}.branch7x7dbl_4", c, c, 7, 1),
        (f"{block}.branch7x7dbl_5", 192, c, 1, 7), (f"{block}.branch_pool", 192, 768, 1, 1),
    ]  # fmt: skip
LAYOUT += [
    ("Mixed_7a.branch3x3_1", 192, 768, 1, 1), ("Mixed_7a.branch3x3_2", 320, 192, 3, 3),
    ("Mixed_7a.branch7x7x3_1", 192, 768, 1, 1), ("Mixed_7a.branch7x7x3_2", 192, 192, 1, 7),
    ("Mixed_7a.branch7x7x3_3", 192, 192, 7, 1), ("Mixed_7a.branch7x7x3_4", 192, 192, 3, 3),
]  # fmt: skip
for block, wide in (("Mixed_7b", 1280), ("Mixed_7c", 2048)):
    LAYOUT += [
        (f"{block}.branch1x1", 320, wide, 1, 1), (f"{block}.branch3x3_1", 384, wide, 1, 1),
        (f"{block}.branch3x3dbl_1", 448, wide, 1, 1), (f"{block}.branch3x3dbl_2", 384, 448, 3, 3),
        (f"{block}.branch3x3_2a", 384, 384, 1, 3), (f"{block}.branch3x3_2b", 384, 384, 3, 1),
        (f"{block}.branch3x3dbl_3a", 384, 384, 1, 3), (f"{block}.branch3x3dbl_3b", 384, 384, 3, 1),
        (f"{block}.branch_pool", 192, wide, 1, 1),
    ]  # fmt: skip


def randoms(layout, narrow=1):
    """Tensors of a layout, all widths but the picture's divided."""
    torch.manual_seed(0)
    tensors = {}
    for name, out, wide, *kernel in layout:
        out, wide = out // narrow, wide // narrow if wide > 3 else 3
        gain = (2 / (wide * kernel[0] * kernel[1])) ** 0.5
        tensors[f"{name}.conv.weight"] = gain * torch.randn(out, wide, *kernel)
        tensors |= {f"{name}.bn.{key}": torch.randn(out) / 5 for key in ("bias", "running_mean")}
        tensors |= {f"{name}.bn.{key}": 0.5 + torch.rand(out) for key in ("weight", "running_var")}
    return tensors


@pytest.fixture(scope="module")
def narrow():
    return randoms(LAYOUT, 16)


def test_the_layout_is_the_published_one():
    """By the published file's index of 81,511 bytes, its 566 storages with their lengths, and its 94 whole numbers."""
    assert inception.names() == [name for name, *_ in LAYOUT]
    numbers = sum(out * wide * kernel[0] * kernel[1] + 4 * out for _, out, wide, *kernel in LAYOUT) + 1008 * 2049
    assert 4 * numbers + 8 * (len(LAYOUT) + 566) + 81_511 == 95_628_359


# The graph once more, in numpy: branches side by side, what each takes its input through in turn; "/1" and "/2" are
# strides without padding, and all else keeps the picture's size.
STEM = "Conv2d_1a_3x3/2 Conv2d_2a_3x3/1 Conv2d_2b_3x3 max/2 Conv2d_3b_1x1/1 Conv2d_4a_3x3/1 max/2"
FIVES = "1x1 | 5x5_1 5x5_2 | 3x3dbl_1 3x3dbl_2 3x3dbl_3 | mean _pool"
SEVENS = "1x1 | 7x7_1 7x7_2 7x7_3 | 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 | mean _pool"
WIDE = "1x1 | 3x3_1 3x3_2a | 3x3_1 3x3_2b | 3x3dbl_1 3x3dbl_2 3x3dbl_3a | 3x3dbl_1 3x3dbl_2 3x3dbl_3b | mean _pool"
MIXED = {
    "5b": FIVES, "5c": FIVES, "5d": FIVES, "6a": "3x3/2 | 3x3dbl_1 3x3dbl_2 3x3dbl_3/2 | max/2",
    "6b": SEVENS, "6c": SEVENS, "6d": SEVENS, "6e": SEVENS,
    "7a": "3x3_1 3x3_2/2 | 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4/2 | max/2", "7b": WIDE, "7c": WIDE.replace("mean", "max"),
}  # fmt: skip


def windows(x, kernel, stride, pad, fill):
    """Of x (c, h, w): (c, h', w', *kernel)."""
    around = [(0, 0), *((k // 2, k // 2) for k in kernel)] if pad else 0
    seen = np.lib.stride_tricks.sliding_window_view(np.pad(x, around, constant_values=fill), kernel, (1, 2))
    return seen[:, ::stride, ::stride]


def step(tensors, prefix, text, x):
    name, _, stride = text.partition("/")
    how = int(stride or 1), not stride
    if name in ("max", "mean"):
        return {"max": np.nanmax, "mean": np.nanmean}[name](windows(x, (3, 3), *how, np.nan), (3, 4))
    name = f"{prefix}{'branch' if prefix else ''}{name}"
    W = tensors[f"{name}.conv.weight"].double().numpy()
    of = {key: tensors[f"{name}.bn.{key}"].double().numpy()[:, None, None] for key in
          ("weight", "bias", "running_mean", "running_var")}  # fmt: skip
    y = np.einsum("chwij,ocij->ohw", windows(x, W.shape[2:], *how, 0.0), W, optimize=True)
    y = (y - of["running_mean"]) / np.sqrt(of["running_var"] + 1e-3) * of["weight"] + of["bias"]
    return np.maximum(y, 0)


def in_numpy(tensors, x):
    for text in STEM.split():
        x = step(tensors, "", text, x)
    for name, wiring in MIXED.items():
        ends = []
        for branch in wiring.split(" | "):
            y = x
            for text in branch.split():
                y = step(tensors, f"Mixed_{name}.", text, y)
            ends.append(y)
        x = np.concatenate(ends)
    return x.mean((1, 2))


def test_features_are_those_of_the_graph_in_numpy(rng, narrow):
    """Of pictures of its own size, which TensorFlow's resize leaves as they are: bytes less 128, by 128."""
    pictures = rng.integers(0, 256, (2, 3, 299, 299), dtype=np.uint8)
    found = inception.features(narrow, pictures, inception.tf1_bilinear)
    assert found.shape == (2, 2048 // 16)
    for picture, feature in zip(pictures, found, strict=True):
        np.testing.assert_allclose(feature, in_numpy(narrow, (picture - 128.0) / 128), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (299, 299), (400, 300)])
def test_tensorflow_s_resize_is_its_formula(rng, size):
    picture = rng.integers(0, 256, size).astype(np.float32)
    found = inception.tf1_bilinear(torch.from_numpy(picture)[None, None].expand(1, 3, *size))[0, 1].numpy()
    for i, j in rng.integers(0, 299, (200, 2)):
        y, x = np.float32(i) * np.float32(size[0] / 299), np.float32(j) * np.float32(size[1] / 299)
        p, q = int(y), int(x)
        r, s = min(p + 1, size[0] - 1), min(q + 1, size[1] - 1)
        v, u = y - p, x - q
        rows = [picture[a, q] * (1 - u) + picture[a, s] * u for a in (p, r)]
        assert found[i, j] == pytest.approx(rows[0] * (1 - v) + rows[1] * v, abs=1e-3)


@pytest.mark.parametrize("size", [(32, 32), (96, 80), (640, 480)])
def test_the_other_resizes_are_pillow_s(rng, size):
    picture = rng.integers(0, 256, size).astype(np.float32)
    x = torch.from_numpy(picture)[None, None]
    image = Image.fromarray(picture)
    for resize, method in ((inception.pil_bicubic, Image.Resampling.BICUBIC),
                           (inception.torch_bilinear, Image.Resampling.BILINEAR)):  # fmt: skip
        expected = np.asarray(image.resize((299, 299), method)).clip(0, 255)
        np.testing.assert_allclose(resize(x)[0, 0].numpy(), expected, atol=2e-2)
    if max(size) < 299:
        plain = torch.nn.functional.interpolate(x, (299, 299), mode="bilinear")
        np.testing.assert_allclose(inception.torch_bilinear(x), plain, atol=1e-3)


def test_three_resizes_are_three_extractors(tmp_path, rng, narrow, monkeypatch):
    path = tmp_path / "weights.pth"
    more = {"fc.weight": torch.zeros(2, 2), "Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(0)}
    torch.save(narrow | more, path, _use_new_zipfile_serialization=False)  # what the published file holds, and how
    monkeypatch.setattr("solverbench.artifacts.cached", lambda name: path)
    pictures = rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    made = {name: extractor(name) for name in inception.RESIZES}
    features = [found(pictures) for found in made.values()]
    assert [distance_name(found.key, 50_000) for found in made.values()] == ["FID", "FID-clean", "FID-torch"]
    assert {found.key.weights[:8] for found in made.values()} == {"6726825d"}
    for i in range(3):
        assert features[i].shape == (2, 128)
        assert np.abs(features[i] - features[i - 1]).max() > 1e-3


def test_without_the_weights_it_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match=r"inception-tf1 needs .* `solverbench fetch inception-fid` downloads"):
        extractor("inception-tf1")
    place = tmp_path / "inception-fid" / "pt_inception-2015-12-05-6726825d.pth"
    place.parent.mkdir()
    place.write_bytes(b"something else")
    with pytest.raises(ArtifactError, match="damaged or altered"):
        extractor("inception-tf1")


def test_a_file_of_another_network_or_with_code_is_refused(tmp_path, narrow):
    path = tmp_path / "weights.pth"
    torch.save({k: v for k, v in narrow.items() if "Mixed_7c" not in k}, path)
    with pytest.raises(ArtifactError, match=r"it has no Mixed_7c\.branch1x1"):
        inception.weights(path)

    class Code:
        def __reduce__(self):
            return print, ("executed",)

    torch.save({"Conv2d_1a_3x3.conv.weight": Code()}, path)
    with pytest.raises(ArtifactError, match="no file of tensors"):
        inception.weights(path)

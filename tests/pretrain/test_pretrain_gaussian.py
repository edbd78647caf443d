"""Moments and spectrum against numpy, and the command on a handful of images."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

from solverbench.pretrain import gaussian as module
from solverbench.pretrain.__main__ import main
from solverbench.pretrain.data import to_pixels
from solverbench.pretrain.gaussian import moments, spectrum


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)


def test_moments_are_those_of_the_scaled_pixels(images):
    pixels = to_pixels(images).astype(np.float64)
    mean, covariance = moments(images)
    np.testing.assert_allclose(mean, pixels.mean(0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(pixels.T, bias=True), atol=1e-6)


def test_spectrum_is_descending_clipped_and_of_fixed_sign():
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    values = np.array([9.0, 4.0, 1.0, 0.25, -1e-3])
    variance, vectors = spectrum(rotation @ np.diag(values) @ rotation.T)
    np.testing.assert_allclose(variance, [9, 4, 1, 0.25, 0], atol=1e-12)
    np.testing.assert_allclose(np.abs(vectors.T @ rotation), np.eye(5), atol=1e-12)
    assert (vectors[np.abs(vectors).argmax(0), range(5)] > 0).all()


def test_the_command_writes_tensors_and_a_card_that_agrees(tmp_path, images, write_sheets, monkeypatch):
    # The spectrum of 3072 variables takes ten seconds and is tested above; here a stand-in of the same trace will do.
    monkeypatch.setattr(module, "spectrum", lambda c: (np.sort(np.diag(c))[::-1], np.eye(len(c))))
    write_sheets(tmp_path / "package", images)
    arguments = ["gaussian", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--smoke"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    tensors = load_file(tmp_path / "out" / "cifar10-gaussian.safetensors")
    text = (tmp_path / "out" / "cifar10-gaussian.json").read_text()
    card = json.loads(text)
    assert {k: (list(t.shape), str(t.dtype)) for k, t in tensors.items()} == {
        k: (t["shape"], t["dtype"]) for k, t in card["tensors"].items()
    }
    assert tensors["variance"].sum() == pytest.approx(card["measurements"]["trace"])
    assert card["data"]["source"] == "images that are not the CIFAR-10 training set"
    assert str(tmp_path) not in text

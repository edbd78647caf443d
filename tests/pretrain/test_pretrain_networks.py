"""The trainings of networks: their losses are what they say, and the commands make artifacts that open as fields."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from solverbench.errors import ArtifactError, UsageError
from solverbench.fields.trained import open_trained
from solverbench.networks.classifier import Classifier
from solverbench.networks.denoiser import CLASSES, Denoiser
from solverbench.pretrain import features, unet
from solverbench.pretrain.__main__ import main
from solverbench.pretrain.data import load_labels


def images(n, seed=0):
    """Smooth random pictures."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(n, 3, 4, 4)).astype(float)
    fine = np.kron(coarse, np.ones((1, 1, 8, 8))) + rng.normal(scale=20, size=(n, 3, 32, 32))
    return np.clip(fine, 0, 255).astype(np.uint8)


@pytest.fixture
def data(tmp_path, write_sheets):
    """Ten training and two test images with labels, as the npm package has them."""
    folder = tmp_path / "package"
    write_sheets(folder, images(12))
    (folder / "train_lables.json").write_text(json.dumps([k % 10 for k in range(10)]))
    (folder / "test_lables.json").write_text("[3, 4]")
    return folder


def test_labels_in_order(data):
    assert load_labels(data).tolist() == list(range(10))
    assert load_labels(data.parent, "test").tolist() == [3, 4]


@pytest.mark.parametrize("text", ["", "{}", "[1, 10]", "[[1], [2]]", '["cat"]', "[1e99]"])
def test_bad_labels_are_refused(data, text):
    (data / "test_lables.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"test_lables\.json: not a list of classes"):
        load_labels(data, "test")


def test_labels_that_are_not_there_are_named(tmp_path):
    with pytest.raises(UsageError, match="no labels at"):
        load_labels(tmp_path)


@pytest.fixture
def denoising():
    torch.manual_seed(0)
    data = images(64)
    module = Denoiser(unet.fit_spectrum(data), widths=(8, 16), blocks=1, embedding=16)
    labels = torch.arange(64) % 10
    return unet.Denoising(module, unet.images_of(data), labels, unet.SMOKE, 16, seed=1)


def test_the_loss_of_an_untrained_denoiser_is_one(denoising):
    # the share of the linear optimum's error, on the images whose spectrum it has
    with torch.no_grad():
        losses = torch.stack([denoising.loss(step) for step in range(200)])
    assert float(losses.mean()) == pytest.approx(1, abs=4 * float(losses.std()) / math.sqrt(200))


def test_a_loss_follows_from_its_step_alone(denoising):
    denoising.module.requires_grad_(False)
    torch.manual_seed(5)
    first = float(denoising.loss(3))
    torch.manual_seed(6)
    assert float(denoising.loss(3)) == first != float(denoising.loss(4))


def test_labels_are_dropped_at_their_rate(denoising, monkeypatch):
    seen = []
    embed = denoising.module.embed
    monkeypatch.setattr(denoising.module, "embed", lambda sigma, label: (seen.append(label), embed(sigma, label))[1])
    with torch.no_grad():
        for step in range(100):
            denoising.loss(step)
    dropped = (torch.cat(seen) == CLASSES).double().mean()
    rate = unet.SMOKE.label_dropout
    assert float(dropped) == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / 1600))


def test_training_images_are_moved_mirrored_copies():
    data = unet.images_of(images(4))
    settings = features.Settings(shift=2, hole=0)
    task = features.Classifying(Classifier(widths=(4, 8)), data, torch.arange(4), settings, 4, seed=0)
    padded = nn.functional.pad(data, [2] * 4, mode="reflect")
    found = set()
    for step in range(40):
        seen, rows = task.pictures(step)
        for picture, row in zip(seen, rows, strict=True):
            hits = [
                (down, across, mirrored)
                for mirrored in (False, True)
                for down in range(5)
                for across in range(5)
                if torch.equal((picture.flip(-1) if mirrored else picture), padded[row, :, down:, across:][:, :32, :32])
            ]
            assert hits
            found.update(hits)
    assert len(found) > 40  # of fifty ways, in 160 draws


def test_each_training_image_has_a_hole_of_its_own():
    data = torch.ones(3, 3, 32, 32)
    settings = features.Settings(hole=10)
    task = features.Classifying(Classifier(widths=(4, 8)), data, torch.arange(3), settings, 3, seed=0)
    sizes, places = [], set()
    for step in range(200):
        for picture in task.pictures(step)[0]:
            blotted = picture[0] == task.module.mean[0]
            assert torch.equal(blotted, (picture == 0).all(0))
            rows, columns = blotted.any(1), blotted.any(0)
            assert torch.equal(blotted, rows[:, None] & columns)
            sizes += [int(rows.sum()), int(columns.sum())]
            places.add((int(rows.nonzero()[0]), int(columns.nonzero()[0])))
    # of 41 positions along an axis, 9 at either edge show a part
    assert np.mean(np.array(sizes) == 10) == pytest.approx(23 / 41, abs=0.06)
    assert max(sizes) == 10
    assert min(sizes) == 1
    assert len(places) > 300


def test_recalibrated_normalisation_is_that_of_the_images():
    torch.manual_seed(0)
    data = unet.images_of(images(40))
    module = Classifier(widths=(4, 8))
    task = features.Classifying(module, data, torch.arange(40) % 10, features.SMOKE, 40, seed=0)
    features.recalibrate(module, task, 3)
    seen = torch.cat([task.pictures(step)[0] for step in range(3)])
    first = module.stem[0](torch.pixel_unshuffle(seen, 2))
    torch.testing.assert_close(module.stem[1].running_mean, first.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert not module.training


def run(kind, data, out, *options):
    given = {"--data": str(data), "--out": str(out), "--images": "64"}
    return CliRunner().invoke(main, [kind, "--smoke", *(word for pair in given.items() for word in pair), *options])


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Tiny networks, and checkpoints in the test's own folder."""
    monkeypatch.setattr(unet, "SMOKE", unet.Settings(widths=(8, 16), blocks=1, embedding=16))
    monkeypatch.setattr("solverbench.pretrain.__main__.CACHE", tmp_path / "cache")


def test_the_unet_command_makes_a_field(data, tmp_path):
    result = run("unet", data, tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    weights, card = map(Path, result.stdout.splitlines())
    told = json.loads(card.read_text())
    assert told["measurements"]["test_images"] == 2
    assert told["command"] == "python -m solverbench.pretrain unet --data PATH --seed 0 --smoke --images 64"
    assert set(told["measurements"]["sigma_0.5"]) >= {"wiener_psnr_db", "psnr_db", "gain_db"}
    field = open_trained(weights, label=3)
    assert torch.isfinite(field(torch.randn(2, 3, 32, 32), 1.0)).all()
    assert (tmp_path / "out" / "cifar10-unet.png").is_file()
    again = run("unet", data, tmp_path / "again")
    assert "resuming at 64 images" in again.stderr
    assert json.loads((tmp_path / "again" / "cifar10-unet.json").read_text())["sha256"] == told["sha256"]


def test_the_features_command_measures_its_accuracy(data, tmp_path):
    result = run("features", data, tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    told = json.loads((tmp_path / "out" / "cifar10-features.json").read_text())
    assert told["measurements"]["test_accuracy"] in (0.0, 0.5, 1.0)
    assert told["tensors"]["statistics.covariance"]["shape"] == [16, 16]


def test_the_wiener_gain_is_that_of_dense_algebra(data, tmp_path):
    train, test = images(50), images(10, seed=9)
    mean, covariance = train.reshape(50, -1) / 127.5 - 1, None
    covariance = np.cov(mean.T, bias=True)
    x0 = test.reshape(10, -1) / 127.5 - 1
    sigma = 0.5
    noise = torch.randn((10, 3, 32, 32), generator=unet.generator(0, 0, 2)).numpy().reshape(10, -1)
    y = x0 + sigma * noise - mean.mean(0)
    D = mean.mean(0) + y @ np.linalg.solve(covariance + sigma**2 * np.eye(3072), covariance)
    torch.manual_seed(0)
    module = Denoiser(unet.fit_spectrum(train), widths=(8,), blocks=1, embedding=8)
    measured = unet.evaluate(module, train, test, torch.zeros(10, dtype=torch.int64), 0)
    expected = 10 * math.log10(4 / np.mean((D - x0) ** 2))
    assert measured["sigma_0.5"]["wiener_psnr_db"] == pytest.approx(expected, abs=1e-3)

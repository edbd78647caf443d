"""Trainings on a GPU: the command as it is typed, and a loss that is the CPU's."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from solverbench.networks.denoiser import Denoiser
from solverbench.pretrain import unet
from solverbench.pretrain.__main__ import main

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")


@pytest.fixture
def pictures(rng):
    """Twelve of them, bytes."""
    return rng.integers(0, 256, size=(12, 3, 32, 32)).astype(np.uint8)


def test_an_untrained_loss_is_one_there_too(pictures):
    module = Denoiser(unet.fit_spectrum(pictures), widths=(8, 16), blocks=1, embedding=16).cuda()
    images, labels = unet.images_of(pictures).cuda(), torch.zeros(12, dtype=torch.long, device="cuda")
    task = unet.Denoising(module, images, labels, unet.SMOKE, 256, seed=1)
    with torch.no_grad():
        losses = torch.stack([task.loss(step) for step in range(20)])
    assert float(losses.mean()) == pytest.approx(1, abs=4 * float(losses.std()) / 20**0.5)


def test_the_command(tmp_path, write_sheets, pictures, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sheets(tmp_path / "data", pictures)
    (tmp_path / "data" / "train_lables.json").write_text(json.dumps([k % 10 for k in range(10)]))
    (tmp_path / "data" / "test_lables.json").write_text("[3, 4]")
    words = ["--smoke", "--images", "640", "--bf16", "--device", "cuda", "--out", "out"]
    made = CliRunner().invoke(main, ["unet", "--data", "data", *words], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    jumps = CliRunner().invoke(main, ["flowmap", "--teacher", "out/cifar10-unet.safetensors", *words])
    assert jumps.exit_code == 0, jumps.output
    card = json.loads((tmp_path / "out" / "cifar10-flowmap.json").read_text())
    assert card["processor"] == torch.cuda.get_device_name()
    assert card["command"].endswith("--images 640 --bf16 --device cuda")

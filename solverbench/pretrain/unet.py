"""`cifar10-unet`: a denoiser of CIFAR-10 on the EDM path, with and without class in one network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
from solverbench.pretrain.artifact import Artifact, command, provenance
from solverbench.pretrain.basis import fit_basis
from solverbench.pretrain.data import Bytes, load_cifar10, load_labels
from solverbench.pretrain.gaussian import moments
from solverbench.pretrain.training import (
    Plan,
    Say,
    batch_rows,
    checkpoint,
    draw_curve,
    generator,
    half,
    images_of,
    refill,
    train,
)

SIGMAS = (0.2, 0.5, 1.0)
"""Noise levels of the held-out measurement, pixels in [-1, 1]."""
_BATCH = 250


@dataclass(frozen=True)
class Settings:
    """What the weights depend on beside data and seed."""

    widths: tuple[int, ...] = (64, 128)
    blocks: int = 2
    embedding: int = 256
    log_sigma: tuple[float, float] = (-0.8, 1.2)
    """Mean and standard deviation of log sigma in training: about the mean over `SIGMAS`, and EDM's width."""
    label_dropout: float = 0.5
    """Half: without label is what the suite's first question is asked of, with label only its guided option."""
    examples: int | None = None
    """Of the training images, all by default."""


SMOKE = Settings(widths=(16, 32), blocks=1, embedding=32, examples=1000)
IMAGES, SMOKE_IMAGES = 1_000_000, 6400


def fit_spectrum(data: Bytes) -> Spectrum:
    """Mean (of the images and their mirror images), colour-DCT basis and variances along it."""
    basis, images = fit_basis(data), images_of(data)
    mean = images.mean(0)
    mean = (mean + mean.flip(-1)) / 2
    spectrum = Spectrum(mean, torch.ones_like(mean), *map(torch.from_numpy, (basis.colour, basis.frequency)))
    variance = sum(spectrum(part - mean).double().square().sum(0) for part in images.split(5000))
    spectrum.variance.copy_(torch.as_tensor(variance / len(images)))
    return spectrum


class Denoising:
    """The loss of `denoiser`'s docstring over random images, mirrored or not, noise levels and labels."""

    def __init__(self, module: Denoiser, images: Tensor, labels: Tensor, settings: Settings, batch: int, seed: int):
        self.module, self.images, self.labels = module, images, labels
        self.settings, self.batch, self.seed = settings, batch, seed

    def loss(self, step: int) -> Tensor:
        """Mean over a batch of the share of the linear optimum's squared error that is left."""
        draw = generator(self.seed, step)
        rows = batch_rows(len(self.images), self.batch, self.seed, step)
        x0, label = self.images[rows], self.labels[rows]
        mirror, drop = torch.rand(2, self.batch, generator=draw)
        x0 = torch.where(mirror[:, None, None, None] < 0.5, x0.flip(-1), x0)
        label = torch.where(drop < self.settings.label_dropout, CLASSES, label)
        mean, std = self.settings.log_sigma
        # one level from each quantile of the batch: the same law with less variance
        quantile = (torch.arange(self.batch) + torch.rand(self.batch, generator=draw)) / self.batch
        sigma = (mean + std * torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4))).exp()
        x = x0 + sigma[:, None, None, None] * torch.randn(x0.shape, generator=draw)
        W, c_out, inputs = self.module.linear(x, sigma)
        N = self.module.net(inputs, self.module.embed(sigma, label)).float()
        return (N - (x0 - W) / c_out).square().mean()


@torch.no_grad()
def evaluate(denoiser: Denoiser, train_data: Bytes, test: Bytes, labels: Tensor, seed: int) -> dict[str, Any]:
    """PSNR on held-out images by noise level: the network's, with and without label, and the Wiener filter's.

    The Wiener filter is that of the full covariance of the training images. Peak-to-peak is 2.
    """
    images = images_of(test)
    mean, covariance = moments(train_data)
    C, mu = torch.from_numpy(covariance), torch.from_numpy(mean).float()
    measured: dict[str, Any] = {"test_images": len(test)}
    for sigma in SIGMAS:
        errors = torch.zeros(3, dtype=torch.float64)
        lower = torch.linalg.cholesky(C + sigma**2 * torch.eye(len(C))).float()
        for k, start in enumerate(range(0, len(images), _BATCH)):
            x0, label = images[start : start + _BATCH], labels[start : start + _BATCH]
            x = x0 + sigma * torch.randn(x0.shape, generator=generator(seed, k, 2))
            level = torch.full((len(x),), sigma)
            # mu + C (C + sigma^2)^-1 (x - mu)
            linear = x - sigma**2 * torch.cholesky_solve((x.flatten(1) - mu).T, lower).T.reshape(x.shape)
            guesses = linear, denoiser(x, level, torch.full_like(label, CLASSES)), denoiser(x, level, label)
            errors += torch.stack([(guess - x0).double().square().mean((1, 2, 3)).sum() for guess in guesses])
        wiener, plain, labelled = (10 * math.log10(4 / float(e)) for e in errors / len(images))
        measured[f"sigma_{sigma}"] = {
            "wiener_psnr_db": wiener,
            "psnr_db": plain,
            "psnr_db_with_label": labelled,
            "gain_db": plain - wiener,
            "gain_db_with_label": labelled - wiener,
        }
    return measured


def pretrain(
    data: Path, *, seed: int, smoke: bool, images: int | None, bf16: bool, out: Path, cache: Path, say: Say
) -> Artifact:
    """The artifact from the images at `data`; both splits and the labels are needed. See `load_cifar10` for errors."""
    settings = SMOKE if smoke else Settings()
    plan = Plan(images or (SMOKE_IMAGES if smoke else IMAGES), bf16=bf16)
    train_data, train_labels = load_cifar10(data)[: settings.examples], load_labels(data)[: settings.examples]
    test, test_labels = load_cifar10(data, "test")[: settings.examples], load_labels(data, "test")[: settings.examples]
    torch.manual_seed(seed)
    module = Denoiser(
        fit_spectrum(train_data), widths=settings.widths, blocks=settings.blocks, embedding=settings.embedding
    )
    task = Denoising(module, images_of(train_data), torch.from_numpy(train_labels), settings, plan.batch, seed)
    progress = train(task, plan, checkpoint(cache, "unet", settings, plan, seed, train_data), say=say)
    draw_curve(out / "cifar10-unet.png", progress.curve, "cifar10-unet", "share of the linear optimum's error")
    average, tensors = progress.average, half(progress.average)
    refill(average, tensors)
    assert isinstance(average, Denoiser)
    measured = evaluate(average.eval(), train_data, test, torch.from_numpy(test_labels), seed)
    for sigma in SIGMAS:
        say("sigma {}: PSNR {psnr_db:.2f} dB, {gain_db:+.2f} dB on the Wiener filter".format(
            sigma, **measured[f"sigma_{sigma}"]))  # fmt: skip
    card = {
        "cite": "krizhevsky2009cifar; karras2022edm",
        "description": "Denoiser D(x; sigma) of CIFAR-10, unconditional and by class: the linear optimum in a "
        "colour-DCT basis plus a U-Net for what is left (solverbench.networks.denoiser).",
        "field": "unet",
        "network": module.options,
        "data": provenance(train_data),
        "pixels": "byte / 127.5 - 1; (3, 32, 32)",
        **progress.card(command("unet", seed, smoke), seed, smoke, settings, plan),
        "measurements": measured,
    }
    return Artifact("cifar10-unet", tensors, card)

"""`cifar10-unet`: a denoiser of CIFAR-10 on the EDM path, with and without class in one network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
from solverbench.pretrain.artifact import Artifact, provenance
from solverbench.pretrain.basis import fit_basis
from solverbench.pretrain.data import Bytes, load_cifar10, load_labels
from solverbench.pretrain.gaussian import moments
from solverbench.pretrain.training import Job, batch_rows, generator, half, images_of, refill

SIGMAS = (0.2, 0.5, 1.0)
"""Noise levels of the held-out measurement, pixels in [-1, 1]."""
_BATCH = 250


@dataclass(frozen=True)
class Settings:
    """What the weights depend on beside data and seed."""

    widths: tuple[int, ...] = (64, 128, 192)
    blocks: int = 2
    embedding: int = 256
    log_sigma: tuple[float, float] = (-0.4, 1.2)
    """Mean and standard deviation of log sigma in training: a little above the mean over `SIGMAS`, since high noise
    learns last, and EDM's width."""
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
        device = self.images.device
        draw = generator(self.seed, step, device=device)
        rows = batch_rows(len(self.images), self.batch, self.seed, step).to(device)
        x0, label = self.images[rows], self.labels[rows]
        mirror, drop, within = torch.rand(3, self.batch, generator=draw, device=device)
        x0 = torch.where(mirror[:, None, None, None] < 0.5, x0.flip(-1), x0)
        label = torch.where(drop < self.settings.label_dropout, CLASSES, label)
        mean, std = self.settings.log_sigma
        # one level from each quantile of the batch: the same law with less variance
        quantile = (torch.arange(self.batch, device=device) + within) / self.batch
        sigma = (mean + std * torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4))).exp()
        x = x0 + sigma[:, None, None, None] * torch.randn(x0.shape, generator=draw, device=device)
        W, c_out, inputs = self.module.linear(x, sigma)
        N = self.module.net(inputs, self.module.embed(sigma, label)).float()
        return (N - (x0 - W) / c_out).square().mean()


@torch.no_grad()
def evaluate(
    denoiser: Denoiser, train_data: Bytes, test: Bytes, labels: Tensor, seed: int, device: str = "cpu"
) -> dict[str, Any]:
    """PSNR on held-out images by noise level: the network's, with and without label, and the Wiener filter's.

    The Wiener filter is that of the full covariance of the training images. Peak-to-peak is 2.
    """
    images, labels = images_of(test).to(device), labels.to(device)
    mean, covariance = moments(train_data)
    C, mu = torch.from_numpy(covariance).to(device), torch.from_numpy(mean).float().to(device)
    identity = torch.eye(len(C), device=device)
    measured: dict[str, Any] = {"test_images": len(test)}
    for sigma in SIGMAS:
        errors = torch.zeros(3, dtype=torch.float64)
        lower = torch.linalg.cholesky(C + sigma**2 * identity).float()
        for k, start in enumerate(range(0, len(images), _BATCH)):
            x0, label = images[start : start + _BATCH], labels[start : start + _BATCH]
            x = x0 + sigma * torch.randn(x0.shape, generator=generator(seed, k, 2)).to(device)
            level = torch.full((len(x),), sigma, device=device)
            # mu + C (C + sigma^2)^-1 (x - mu)
            linear = x - sigma**2 * torch.cholesky_solve((x.flatten(1) - mu).T, lower).T.reshape(x.shape)
            guesses = linear, denoiser(x, level, torch.full_like(label, CLASSES)), denoiser(x, level, label)
            errors += torch.stack([(guess - x0).double().square().mean((1, 2, 3)).sum() for guess in guesses]).cpu()
        wiener, plain, labelled = (10 * math.log10(4 / float(e)) for e in errors / len(images))
        measured[f"sigma_{sigma}"] = {
            "wiener_psnr_db": wiener,
            "psnr_db": plain,
            "psnr_db_with_label": labelled,
            "gain_db": plain - wiener,
            "gain_db_with_label": labelled - wiener,
        }
    return measured


def pretrain(job: Job) -> Artifact:
    """The artifact from the images at `job.source`: both splits, and labels. See `load_cifar10` for errors."""
    assert job.source is not None
    settings = SMOKE if job.smoke else Settings()
    plan = job.plan(IMAGES, SMOKE_IMAGES)
    some = slice(settings.examples)
    data, labels = load_cifar10(job.source)[some], load_labels(job.source)[some]
    test, test_labels = load_cifar10(job.source, "test")[some], load_labels(job.source, "test")[some]
    torch.manual_seed(job.seed)
    module = Denoiser(fit_spectrum(data), widths=settings.widths, blocks=settings.blocks, embedding=settings.embedding)
    pixels, classes = images_of(data).to(plan.device), torch.from_numpy(labels).to(plan.device)
    task = Denoising(module, pixels, classes, settings, plan.batch, job.seed)
    progress = job.train("unet", task, plan, settings, data, "share of the linear optimum's error")
    average, tensors = progress.average, half(progress.average)
    refill(average, tensors)
    assert isinstance(average, Denoiser)
    measured = evaluate(average.eval(), data, test, torch.from_numpy(test_labels), job.seed, plan.device)
    for sigma in SIGMAS:
        job.say("sigma {}: PSNR {psnr_db:.2f} dB, {gain_db:+.2f} dB on the Wiener filter".format(
            sigma, **measured[f"sigma_{sigma}"]))  # fmt: skip
    card = {
        "cite": "krizhevsky2009cifar; karras2022edm",
        "description": "Denoiser D(x; sigma) of CIFAR-10, unconditional and by class: the linear optimum in a "
        "colour-DCT basis plus a U-Net for what is left (solverbench.networks.denoiser).",
        "field": "unet",
        "network": module.options,
        "data": provenance(data),
        "pixels": "byte / 127.5 - 1; (3, 32, 32)",
        **job.card("unet", progress, plan, settings),
        "measurements": measured,
    }
    return Artifact("cifar10-unet", tensors, card)

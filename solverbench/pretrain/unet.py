"""`cifar10-unet`: a denoiser of CIFAR-10 on the EDM path, with and without class in one network."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
from solverbench.pretrain.artifact import Artifact, command, digest, provenance
from solverbench.pretrain.basis import fit_basis
from solverbench.pretrain.data import CHANNELS, SIDE, Bytes, load_cifar10, load_labels, to_pixels
from solverbench.pretrain.gaussian import moments
from solverbench.pretrain.training import Plan, Say, batch_rows, draw_curve, generator, train

SIGMAS = (0.2, 0.5, 1.0)
"""Noise levels of the held-out measurement, pixels in [-1, 1]."""
_BATCH = 250


@dataclass(frozen=True)
class Settings:
    """What the weights depend on beside data and seed."""

    widths: tuple[int, ...] = (64, 128)
    blocks: int = 2
    embedding: int = 256
    log_sigma: tuple[float, float] = (-1.0, 1.2)
    """Mean and standard deviation of log sigma in training; EDM has (-1.2, 1.2) for images of one sharpness more."""
    label_dropout: float = 0.2
    examples: int | None = None
    """Of the training images, all by default."""


SMOKE = Settings(widths=(16, 32), blocks=1, embedding=32, examples=1000)
IMAGES, SMOKE_IMAGES = 1_000_000, 6400


def images_of(data: Bytes) -> Tensor:
    """Bytes to pixels in [-1, 1], (n, 3, 32, 32) float32."""
    return torch.from_numpy(to_pixels(data)).view(-1, CHANNELS, SIDE, SIDE)


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
    variance, vectors = (torch.from_numpy(a).float() for a in np.linalg.eigh(covariance))
    mu = torch.from_numpy(mean).float()
    measured: dict[str, Any] = {"test_images": len(test)}
    for sigma in SIGMAS:
        errors = torch.zeros(3, dtype=torch.float64)
        gain = variance / (variance + sigma**2)
        for k, start in enumerate(range(0, len(images), _BATCH)):
            x0, label = images[start : start + _BATCH], labels[start : start + _BATCH]
            x = x0 + sigma * torch.randn(x0.shape, generator=generator(seed, k, 2))
            level = torch.full((len(x),), sigma)
            linear = (mu + ((x.flatten(1) - mu) @ vectors * gain) @ vectors.T).view_as(x)
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


def half(module: torch.nn.Module) -> dict[str, NDArray[Any]]:
    """The state of a module as it ships: parameters in float16, buffers as they are."""
    parameters = {name for name, _ in module.named_parameters()}
    state = module.state_dict().items()
    return {name: (t.half() if name in parameters else t).contiguous().numpy() for name, t in state}


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
    # everything but the length: a longer plan goes on where a shorter one ended
    inputs = hashlib.sha256(f"{settings} {replace(plan, images=0)} {seed} {digest(train_data)}".encode()).hexdigest()
    progress = train(task, plan, cache / f"unet-{inputs[:16]}.pt", say=say)
    draw_curve(out / "cifar10-unet.png", progress.curve, "cifar10-unet", "share of the linear optimum's error")
    tensors = half(progress.average)
    average = progress.average
    average.load_state_dict({name: torch.from_numpy(t) for name, t in tensors.items()})
    assert isinstance(average, Denoiser)
    measured = evaluate(average.eval(), train_data, test, torch.from_numpy(test_labels), seed)
    for sigma in SIGMAS:
        say("sigma {}: PSNR {psnr_db:.2f} dB, {gain_db:+.2f} dB on the Wiener filter".format(
            sigma, **measured[f"sigma_{sigma}"]))  # fmt: skip
    card = {
        "description": "Denoiser D(x; sigma) of CIFAR-10, unconditional and by class: the linear optimum in a "
        "colour-DCT basis plus a U-Net for what is left (solverbench.networks.denoiser).",
        "field": "unet",
        "network": module.options,
        "data": provenance(train_data),
        "pixels": "byte / 127.5 - 1; (3, 32, 32)",
        "command": f"{command('unet', seed, smoke)} --images {plan.images}" + (" --bf16" if bf16 else ""),
        "seed": seed,
        "smoke": smoke,
        "settings": asdict(settings) | asdict(plan),
        "parameters": sum(p.numel() for p in module.parameters()),
        "steps": progress.steps,
        "hours": round(progress.seconds / 3600, 3),
        "measurements": measured,
    }
    return Artifact("cifar10-unet", tensors, card)

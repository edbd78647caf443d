"""`cifar10-features`: a classifier of CIFAR-10 as feature extractor, with the statistics of the data's features."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from solverbench.networks.classifier import Classifier
from solverbench.networks.unet import channels_last
from solverbench.pretrain.artifact import Artifact, provenance
from solverbench.pretrain.data import Bytes, load_cifar10, load_labels
from solverbench.pretrain.training import Job, batch_rows, generator, half, images_of, refill

_BATCH = 500


@dataclass(frozen=True)
class Settings:
    """What the weights depend on beside data and seed."""

    widths: tuple[int, ...] = (48, 96, 192, 256)
    smoothing: float = 0.1
    shift: int = 4
    """Pixels by which training images are moved at most, each way."""
    hole: int = 10
    """Side of the square that is blotted out of each (DeVries & Taylor 2017, arXiv 1708.04552)."""
    examples: int | None = None


SMOKE = Settings(widths=(8, 16), examples=1000)
IMAGES, SMOKE_IMAGES = 1_700_000, 4000
BATCH, RATE, ADAM_RATE = 100, 0.05, 0.01


class Classifying:
    """Cross-entropy with label smoothing on mirrored and shifted images, each with a hole."""

    def __init__(self, module: Classifier, images: Tensor, labels: Tensor, settings: Settings, batch: int, seed: int):
        self.module, self.images, self.labels = module, pad(images, [settings.shift] * 4, mode="reflect"), labels
        self.settings, self.batch, self.seed = settings, batch, seed

    def loss(self, step: int) -> Tensor:
        """Mean over a batch."""
        (images, rows), device = self.pictures(step), self.module.mean.device
        logits = self.module(images.to(device)).float()
        return cross_entropy(logits, self.labels[rows].to(device), label_smoothing=self.settings.smoothing)

    def pictures(self, step: int) -> tuple[Tensor, Tensor]:
        """(images (batch, 3, 32, 32) as the step sees them, which they are)."""
        rows, draw = batch_rows(len(self.images), self.batch, self.seed, step), generator(self.seed, step)
        most, hole = self.settings.shift, self.settings.hole
        side = self.images.shape[-1] - 2 * most
        shift = torch.randint(2 * most + 1, (2, self.batch, 1, 1, 1), generator=draw)
        at = torch.arange(side)
        down, across = shift[0] + at[:, None], shift[1] + at
        mirror = torch.rand(self.batch, 1, 1, 1, generator=draw) < 0.5
        across = torch.where(mirror, across.flip(-1), across)
        batch, channel = rows[:, None, None, None], torch.arange(3)[:, None, None]
        moved = self.images[batch, channel, down, across]
        first = torch.randint(1 - hole, side, (2, self.batch, 1), generator=draw)  # a hole may reach over the edge
        inside = (at >= first) & (at < first + hole)
        blotted = inside[0][:, None, :, None] & inside[1][:, None, None, :]
        return torch.where(blotted, self.module.mean.cpu()[:, None, None], moved), rows


@torch.no_grad()
def recalibrate(module: Classifier, task: Classifying, steps: int) -> None:
    """Give averaged weights the normalisation statistics they cause, by the training images of some steps."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over the steps
    module.train()
    for step in range(steps):
        module(task.pictures(step)[0].to(module.mean.device))
    module.eval()


@torch.no_grad()
def evaluate(module: Classifier, test: Bytes, labels: Tensor) -> dict[str, Any]:
    """Accuracy on held-out images, and how many of them a second."""
    images, started = images_of(test), time.perf_counter()
    guesses = torch.cat([module(part).argmax(1) for part in images.split(_BATCH)])
    seconds = time.perf_counter() - started
    return {
        "test_images": len(test),
        "test_accuracy": float((guesses == labels).double().mean()),
        "images_per_second": len(test) / seconds,
        "threads": torch.get_num_threads(),
    }


@torch.no_grad()
def moments(module: Classifier, data: Bytes) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d; divided by n - 1) of the features of images, float64."""
    features = torch.cat([module.features(part) for part in images_of(data).split(_BATCH)]).double()
    return features.mean(0), features.T.cov()


def pretrain(job: Job) -> Artifact:
    """The artifact from the images at `job.source`: both splits, and labels. See `load_cifar10` for errors."""
    assert job.source is not None
    settings = SMOKE if job.smoke else Settings()
    plan = job.plan(IMAGES, SMOKE_IMAGES, batch=BATCH, rate=RATE, adam_rate=ADAM_RATE)
    some = slice(settings.examples)
    data, labels = load_cifar10(job.source)[some], load_labels(job.source)[some]
    test, test_labels = load_cifar10(job.source, "test")[some], load_labels(job.source, "test")[some]
    torch.manual_seed(job.seed)
    module, pixels = Classifier(widths=settings.widths), images_of(data)
    module.mean.copy_(pixels.mean((0, 2, 3)))
    module.std.copy_(pixels.std((0, 2, 3)))
    task = Classifying(module, pixels, torch.from_numpy(labels), settings, plan.batch, job.seed)
    progress = job.train("features", task, plan, settings, data, "cross-entropy (smoothed labels)")
    average = channels_last(progress.average)
    assert isinstance(average, Classifier)
    recalibrate(average, task, min(200, plan.steps))
    tensors = half(average)
    refill(average.cpu(), tensors)
    measured = evaluate(average, test, torch.from_numpy(test_labels))
    job.say("test accuracy {test_accuracy:.4f}, {images_per_second:.0f} images/s".format(**measured))
    mean, covariance = moments(average, data)
    tensors |= {"statistics.mean": mean.numpy(), "statistics.covariance": covariance.numpy()}
    card = {
        "description": "Classifier of CIFAR-10 as feature extractor (solverbench.networks.classifier), with mean and "
        "covariance of the features of the training images.",
        "field": "features",
        "network": module.options,
        "data": provenance(data),
        "pixels": "byte / 127.5 - 1; (3, 32, 32)",
        **job.card("features", progress, plan, settings),
        "measurements": measured,
    }
    return Artifact("cifar10-features", tensors, card)

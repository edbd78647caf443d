"""`cifar10-mixture`: Gaussians with low-rank plus diagonal covariance in a colour-DCT basis, fitted by EM.

The law is that of dequantised images, x = (byte + u) / 127.5 - 1 with u uniform on (-1/2, 1/2): a density, whose
likelihood bounds that of the bytes (Theis, van den Oord & Bethge, "A note on the evaluation of generative models",
2016). The uniform noise has variance `QUANTUM`, below which no variance of the mixture may fall.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from solverbench.pretrain.artifact import Artifact, command, digest, provenance, replace_file
from solverbench.pretrain.basis import Basis, fit_basis
from solverbench.pretrain.data import DIMENSION, HALF_RANGE, Bytes, load_cifar10
from solverbench.pretrain.em import Mixture, em_step, log_likelihood
from solverbench.pretrain.gaussian import moments
from solverbench.pretrain.start import start_mixture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Say = Callable[[str], None]

QUANTUM = 1 / (12 * HALF_RANGE**2)  # variance of a uniform one byte wide
TRAIN, TEST = 0, 1  # streams of dequantisation noise under one seed


@dataclass(frozen=True)
class Settings:
    """What is fitted and for how long; the defaults are the shipped artifact."""

    components: int = 64
    rank: int = 2  # per component
    iterations: int = 60  # at most
    sweeps: int = 4  # inner factor updates per iteration
    tolerance: float = 0.02  # stop when an iteration gains less, in nats per image
    images: int | None = None  # of each split; None takes all

    def fitting(self, n: int) -> Settings:
        """The same with no more components than n images can feed, for smoke runs on a handful."""
        return replace(self, components=max(1, min(self.components, n // (4 * self.rank))))


SMOKE = Settings(components=3, rank=2, iterations=4, images=500)


def dequantise(images: Bytes, seed: int, stream: int) -> NDArray[np.float32]:
    """Pixels (n, 3072) of uint8 images with uniform noise one byte wide; `stream` keeps the splits independent."""
    noise = np.random.default_rng([seed, stream]).random((len(images), DIMENSION), np.float32)
    noise -= np.float32(0.5)
    noise += images.reshape(-1, DIMENSION)
    noise /= np.float32(HALF_RANGE)
    noise -= np.float32(1)
    return noise


def fit(rows: torch.Tensor, settings: Settings, seed: int, checkpoint: Path, say: Say) -> tuple[Mixture, int]:
    """EM to convergence on coordinates (n, 3072); returns the mixture and the iterations taken.

    Every iteration replaces `checkpoint`; one found there, readable and made from the same inputs (its name says so),
    is where the fit resumes, on the path it would have taken.
    """
    mixture, done, previous = _load_checkpoint(checkpoint, say) or (None, 0, -math.inf)
    if mixture is None:
        say(f"starting {settings.components} components of rank {settings.rank} on {len(rows)} images")
        mixture = start_mixture(rows, settings.components, settings.rank, QUANTUM, seed)
    else:
        say(f"resuming after iteration {done}")
    while done < settings.iterations:
        updated, score = em_step(mixture, rows, QUANTUM, settings.sweeps)
        gain = score - previous
        say(f"iteration {done + 1}/{settings.iterations}: log-likelihood {score:.3f} nats per image ({gain:+.3f})")
        if gain < settings.tolerance:
            break
        mixture, done, previous = updated, done + 1, score
        _save_checkpoint(checkpoint, mixture, done, previous)
    return mixture, done


def pack(mixture: Mixture, basis: Basis) -> dict[str, NDArray[Any]]:
    """The stored tensors, at stored precision: means in pixels, the rest in basis coordinates."""
    return {
        "weights": (mixture.weights / mixture.weights.sum()).numpy(),
        "means": basis.to_pixels(mixture.means.double()).float().numpy(),
        "diagonal": mixture.diagonal.float().numpy(),
        "factors": mixture.factors.half().numpy(),
        "basis.0": basis.colour,
        "basis.1": basis.frequency,
        "basis.2": basis.frequency.copy(),
    }


def unpack(tensors: dict[str, NDArray[Any]]) -> tuple[Mixture, Basis]:
    """The inverse of `pack`, in float64: the law exactly as a reader of the file sees it."""
    basis = Basis(tensors["basis.0"], tensors["basis.1"])
    weights, means, diagonal, factors = (
        torch.tensor(tensors[key].astype(np.float64)) for key in ("weights", "means", "diagonal", "factors")
    )
    return Mixture(weights, basis.to_coordinates(means), diagonal, factors), basis


def gaussian_log_likelihood(train: Bytes, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """log N(x; mean, covariance + QUANTUM I) of each row, nats, with the exact moments of the training images."""
    mean, covariance = moments(train)
    lower = torch.linalg.cholesky(torch.from_numpy(covariance + QUANTUM * np.eye(DIMENSION)))
    white = torch.linalg.solve_triangular(lower, torch.from_numpy((pixels - mean).T), upper=False)
    constant = lower.diagonal().log().sum() + 0.5 * DIMENSION * math.log(2 * math.pi)
    out: NDArray[np.float64] = (-0.5 * white.square().sum(0) - constant).numpy()
    return out


def bits_per_dimension(nats: float) -> float:
    """Of the bytes, from the log-density in nats per image of dequantised pixels: one byte is 1/127.5 wide."""
    return (math.log(HALF_RANGE) - nats / DIMENSION) / math.log(2)


def held_out(tensors: dict[str, NDArray[Any]], train: Bytes, test: Bytes, seed: int) -> dict[str, Any]:
    """Log-likelihoods of the dequantised test images under the stored mixture and under one full Gaussian."""
    pixels = dequantise(test, seed, TEST)
    mixture, basis = unpack(tensors)
    ours = log_likelihood(mixture, basis.to_coordinates(torch.from_numpy(pixels.astype(np.float64)))).numpy()
    theirs = gaussian_log_likelihood(train, pixels)
    margin = ours - theirs
    return {
        "test_images": len(test),
        "test_nats_per_image": float(ours.mean()),
        "test_bits_per_dimension": bits_per_dimension(float(ours.mean())),
        "gaussian_test_nats_per_image": float(theirs.mean()),
        "gaussian_test_bits_per_dimension": bits_per_dimension(float(theirs.mean())),
        "margin_nats_per_image": float(margin.mean()),
        "margin_standard_error": float(margin.std(ddof=1) / math.sqrt(len(margin))),
    }


def pretrain(data: Path, *, seed: int, smoke: bool, cache: Path, say: Say) -> Artifact:
    """The artifact from the images at `data`; both splits are needed, and `load_cifar10` says what it raises."""
    settings = SMOKE if smoke else Settings()
    train, test = (load_cifar10(data, split)[: settings.images] for split in ("train", "test"))
    settings = settings.fitting(len(train))
    basis = fit_basis(train)
    rows = basis.to_coordinates(torch.from_numpy(dequantise(train, seed, TRAIN)))
    inputs = hashlib.sha256(f"{asdict(settings)} {seed} {digest(train)}".encode()).hexdigest()
    checkpoint = cache / f"mixture-{inputs[:16]}.safetensors"
    mixture, iterations = fit(rows, settings, seed, checkpoint, say)
    tensors = pack(mixture, basis)
    trained = float(log_likelihood(unpack(tensors)[0].to(torch.float32), rows).mean())
    del rows
    measured = {"em_iterations": iterations, "train_nats_per_image": trained, **held_out(tensors, train, test, seed)}
    say("held out: {test_nats_per_image:.2f} nats per image, one Gaussian {gaussian_test_nats_per_image:.2f}, "
        "margin {margin_nats_per_image:.2f} +- {margin_standard_error:.2f}".format(**measured))  # fmt: skip
    checkpoint.unlink(missing_ok=True)
    card = {
        "description": "Mixture of Gaussians on dequantised CIFAR-10 images: component k has weight weights[k], mean "
        "means[k] (pixels) and covariance B (diag(diagonal[k]) + factors[k] factors[k]^T) B^T, where B^T takes pixels "
        "to coordinates, z[a,i,j] = sum basis.0[a,c] basis.1[i,h] basis.2[j,w] x[c,h,w].",
        "field": "mixture",
        "data": provenance(train),
        "pixels": "(byte + u) / 127.5 - 1, u uniform on (-1/2, 1/2); (3, 32, 32) flattened channel by channel, "
        "row by row",
        "command": command("mixture", seed, smoke),
        "seed": seed,
        "smoke": smoke,
        "settings": asdict(settings),
        "measurements": measured,
    }
    return Artifact("cifar10-mixture", tensors, card)


def _save_checkpoint(path: Path, mixture: Mixture, done: int, score: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: tensor.contiguous() for key, tensor in vars(mixture).items()}
    replace_file(path, save(tensors, {"done": str(done), "score": repr(score)}))


def _load_checkpoint(path: Path, say: Say) -> tuple[Mixture, int, float] | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as stored:
            about = stored.metadata()
            mixture = Mixture(*(stored.get_tensor(key) for key in ("weights", "means", "diagonal", "factors")))
            return mixture, int(about["done"]), float(about["score"])
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        say(f"ignoring an unreadable checkpoint, {path}: {error}")
        return None

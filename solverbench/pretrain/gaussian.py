"""`cifar10-gaussian`: mean, spectrum and leading eigenvectors of the CIFAR-10 training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from solverbench.pretrain.artifact import Artifact, command, provenance
from solverbench.pretrain.data import DIMENSION, HALF_RANGE, Bytes, load_cifar10

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Floats = NDArray[np.float64]

EIGENVECTORS = 256
SMOKE_IMAGES = 500
_ROWS = 5000


def moments(images: Bytes) -> tuple[Floats, Floats]:
    """Mean (3072,) and covariance (3072, 3072; divided by n) of uint8 images, in pixels of [-1, 1].

    The sums run over integers far below 2^53, so they are exact in float64 whatever the order of addition.
    """
    total, outer = np.zeros(DIMENSION), np.zeros((DIMENSION, DIMENSION))
    for start in range(0, len(images), _ROWS):
        rows = images[start : start + _ROWS].reshape(-1, DIMENSION).astype(np.float64) - 128.0
        total += rows.sum(0)
        outer += rows.T @ rows
    centre = total / len(images)
    covariance = (outer / len(images) - np.outer(centre, centre)) / HALF_RANGE**2
    return (centre + 128.0) / HALF_RANGE - 1.0, covariance


def spectrum(covariance: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues, descending and at least 0, and eigenvectors as columns, their largest entry positive."""
    variance, vectors = np.linalg.eigh(covariance)
    variance, vectors = np.clip(variance[::-1], 0.0, None), vectors[:, ::-1]
    largest = vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])]
    return variance, vectors * np.where(largest < 0, -1.0, 1.0)


def pretrain(data: Path, *, seed: int, smoke: bool, say: Callable[[str], None]) -> Artifact:
    """The artifact from the training images at `data`; `load_cifar10` says what it raises.

    Nothing is random: `seed` only enters the recorded command.
    """
    images = load_cifar10(data)[: SMOKE_IMAGES if smoke else None]
    say(f"{len(images)} training images")
    mean, covariance = moments(images)
    variance, vectors = spectrum(covariance)
    kept = vectors[:, :EIGENVECTORS].astype(np.float32)
    gram = kept.T.astype(np.float64) @ kept
    measured = {
        "trace": float(np.trace(covariance)),
        "largest_eigenvalue": float(variance[0]),
        "smallest_eigenvalue": float(variance[-1]),
        "share_of_variance_in_eigenvectors": float(variance[:EIGENVECTORS].sum() / variance.sum()),
        "eigenvector_orthonormality_error": float(np.abs(gram - np.eye(EIGENVECTORS)).max()),
    }
    say(f"trace {measured['trace']:.3f}, largest eigenvalue {variance[0]:.3f}")
    card = {
        "description": "Normal law with the mean and covariance of the CIFAR-10 training images. variance holds every "
        "eigenvalue of the covariance, descending; eigenvectors the leading ones, as columns.",
        "field": "gaussian",
        "data": provenance(images),
        "pixels": "byte / 127.5 - 1; (3, 32, 32) flattened channel by channel, row by row",
        "command": command("gaussian", seed, smoke),
        "seed": seed,
        "smoke": smoke,
        "measurements": measured,
    }
    return Artifact("cifar10-gaussian", {"mean": mean, "variance": variance, "eigenvectors": kept}, card)

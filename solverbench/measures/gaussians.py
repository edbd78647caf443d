"""Distances between Gaussians that share their eigenvectors, always of (law || reference).

Arrays are per direction, shape (d,): means and variances in the common eigenbasis.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def w2(mean: Vector, variance: Vector, ref_mean: Vector, ref_variance: Vector) -> float:
    """Wasserstein-2: sqrt(|m - m'|^2 + sum (sqrt V - sqrt V')^2)."""
    return float(np.sqrt(frechet(mean, variance, ref_mean, ref_variance)))


def frechet(mean: Vector, variance: Vector, ref_mean: Vector, ref_variance: Vector) -> float:
    """The squared Frechet distance, the square of Wasserstein-2: what FID is of features."""
    spread = (np.sqrt(variance) - np.sqrt(ref_variance)) ** 2
    return float(np.sum((mean - ref_mean) ** 2) + np.sum(spread))


def kl(mean: Vector, variance: Vector, ref_mean: Vector, ref_variance: Vector) -> float:
    """Kullback-Leibler divergence in nats: 1/2 sum (V/V' - 1 - log(V/V') + (m - m')^2/V').

    Directions in which both laws are the same point contribute nothing; if only one of them is a point it is infinite.
    """
    V, R, m = _but_points(mean, variance, ref_mean, ref_variance)
    if np.any(V == 0) or np.any(R == 0):
        return float("inf")
    excess = V / R - 1
    return float(0.5 * np.sum(excess - np.log1p(excess) + m * m / R))


def reverse_kl(mean: Vector, variance: Vector, ref_mean: Vector, ref_variance: Vector) -> float:
    """KL of (reference || law), in nats: what a law that is too narrow pays for, and what data would cost to code."""
    return kl(ref_mean, ref_variance, mean, variance)


def hellinger(mean: Vector, variance: Vector, ref_mean: Vector, ref_variance: Vector) -> float:
    """Hellinger distance sqrt(1 - int sqrt(p p')), from 0 to 1.

    log int sqrt(p p') = -1/2 sum [log((V + V')/(2 sqrt(V V'))) + (m - m')^2/(2 (V + V'))]; points are as in `kl`, but
    the distance is then 1.
    """
    V, R, m = _but_points(mean, variance, ref_mean, ref_variance)
    if np.any(V == 0) or np.any(R == 0):
        return 1.0
    spread = np.log1p((np.sqrt(V) - np.sqrt(R)) ** 2 / (2 * np.sqrt(V * R)))
    return float(np.sqrt(-np.expm1(-0.5 * np.sum(spread + m * m / (2 * (V + R))))))


DISTANCES = {"w2": w2, "frechet": frechet, "kl": kl, "reverse_kl": reverse_kl, "hellinger": hellinger}
"""By the names of records."""


def _but_points(
    mean: Vector, variance: Vector, ref_mean: Vector, ref_variance: Vector
) -> tuple[Vector, Vector, Vector]:
    """(V, V', m - m') without the directions in which both laws are the same point."""
    rest = ~((variance == 0) & (ref_variance == 0) & (mean == ref_mean))
    return variance[rest], ref_variance[rest], (mean - ref_mean)[rest]

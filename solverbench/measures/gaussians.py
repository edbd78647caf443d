"""Distances between Gaussians that share their eigenvectors, always of (law || reference).

Arrays are per direction, shape (d,): means and variances in the common eigenbasis.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def w2(mean: Vector, variance: Vector, ref_mean: Vector, ref_variance: Vector) -> float:
    """Wasserstein-2: sqrt(|m - m'|^2 + sum (sqrt V - sqrt V')^2); its square is the Frechet distance of the laws."""
    spread = (np.sqrt(variance) - np.sqrt(ref_variance)) ** 2
    return float(np.sqrt(np.sum((mean - ref_mean) ** 2) + np.sum(spread)))


def kl(mean: Vector, variance: Vector, ref_mean: Vector, ref_variance: Vector) -> float:
    """Kullback-Leibler divergence in nats: 1/2 sum (V/V' - 1 - log(V/V') + (m - m')^2/V').

    Directions in which both laws are the same point contribute nothing; if only one of them is a point it is infinite.
    """
    points = (variance == 0) & (ref_variance == 0) & (mean == ref_mean)
    V, R, m = variance[~points], ref_variance[~points], (mean - ref_mean)[~points]
    if np.any(V == 0) or np.any(R == 0):
        return float("inf")
    excess = V / R - 1
    return float(0.5 * np.sum(excess - np.log1p(excess) + m * m / R))

"""The Frechet distance |m - m'|^2 + tr(C + C' - 2 (C^{1/2} C' C^{1/2})^{1/2}) of samples to a known law.

With A = (X - mean)/sqrt(n - 1) the centred samples, C = A^T A and the last trace is the sum of square roots of the
eigenvalues of A C' A^T, a symmetric matrix of the smaller side min(n, d): nothing of size d x d is formed, no matrix
square root is taken, and the result cannot be complex. The known law is given by its mean, trace and product A C'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def frechet_squared(x: Array, mean: Array, trace: float, times: Callable[[Array], Array]) -> float:
    """Squared Frechet distance of samples x (n, d) to the law with this mean (d,) and covariance C'.

    trace = tr C', times(A) = A C' for A (m, d). It is what FID computes in feature space, biased upwards at finite n by
    about 1/n: compare with the value of n exact samples. Raises ValueError for fewer than two samples.
    """
    x = np.asarray(x, dtype=np.float64)
    n, d = x.shape
    if n < 2:
        raise ValueError(f"a Frechet distance needs two samples or more, got {n}")
    centre = x.mean(axis=0)
    A = (x - centre) / np.sqrt(n - 1)
    own_trace = float(np.sum(A * A))
    if n > d:
        A = np.linalg.qr(A, mode="r")
    gram = times(A) @ A.T
    eigenvalues = np.linalg.eigvalsh((gram + gram.T) / 2)
    overlap = float(np.sqrt(np.maximum(eigenvalues, 0)).sum())
    return max(0.0, float(np.sum((centre - mean) ** 2)) + own_trace + trace - 2 * overlap)

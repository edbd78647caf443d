"""The Frechet distance |m - m'|^2 + tr(C + C' - 2 (C^{1/2} C' C^{1/2})^{1/2}), squared, as FID is.

With factors C = F F^T and C' = L L^T the last trace is the sum of singular values of F^T L: a matrix of the smaller
side min(n, d), no square root of a matrix, nothing complex, never negative. At full rank it is the sum of square roots
of the eigenvalues of L^T C L, which is quicker and as good unless some are lost in rounding; then singular values are
taken after all. L belongs to the second law and is made once.

The formula is of Dowson & Landau (1982, equation 4); FID is of Heusel et al. (2017, arXiv 1706.08500, equation 6).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.moments import Array, Normal, contrasts, sampled
from solverbench.threads import blas_for

_EPS = float(np.finfo(np.float64).eps)
LOST = 1e-9
"""Rounding in the distance, relative to the two traces, from which on singular values are taken."""


def frechet(law: Normal, reference: Normal) -> float:
    """Squared Frechet distance of two laws; over many laws the same `reference` is factored once.

    Biased upwards at finite n (`bias`). Raises UsageError if the two are of different dimensions.
    """
    if law.d != reference.d:
        raise UsageError(f"a law in {law.d} dimensions cannot be compared with one in {reference.d}")
    with blas_for(min(law.d, law.factor.shape[1] if law.low_rank else law.d)):
        shared = _overlap(law, reference)
    apart = float(np.sum((law.mean - reference.mean) ** 2))
    return max(0.0, apart + law.trace + reference.trace - 2 * shared)


def _overlap(law: Normal, reference: Normal) -> float:
    L = reference.factor
    if not (law.low_rank or reference.low_rank) and L.shape[0] == L.shape[1]:
        squares = np.linalg.eigvalsh(_congruent(law.covariance, L))
        error = 2 * _EPS * max(squares[-1], 0.0)  # zero where one of them has no spread at all
        roots = np.sqrt(np.maximum(squares, error))
        if error and np.sum(error / roots) / 2 <= LOST * (law.trace + reference.trace):
            return float(roots.sum())
    return float(np.linalg.svd(law.factor.T @ L, compute_uv=False).sum())


def _congruent(C: Array, L: Array) -> Array:
    """L^T C L for lower triangular L (LAPACK's sygst): its lower half, in a third of the time of two products."""
    from scipy.linalg.lapack import dsygst

    product, _ = dsygst(C, L, itype=2, lower=1)
    half: Array = product
    return half


def frechet_squared(x: Array, mean: Array, trace: float, times: Callable[[Array], Array]) -> float:
    """Squared Frechet distance of samples x (n, d) to the law with this mean (d,) and a covariance C' never formed.

    trace = tr C', times(A) = A C' for A (m, d). The sum is of square roots of the eigenvalues of A C' A^T, A the
    samples' factor on the smaller side. Raises UsageError for fewer than two samples.
    """
    x = np.asarray(x, dtype=np.float64)
    n, d = sampled(x)
    A = contrasts(x) / np.sqrt(n - 1)
    own_trace = float(np.sum(A * A))
    if n > d:
        A = np.linalg.qr(A, mode="r")
    gram = times(A) @ A.T
    eigenvalues = np.linalg.eigvalsh((gram + gram.T) / 2)
    overlap = float(np.sqrt(np.maximum(eigenvalues, 0)).sum())
    return max(0.0, float(np.sum((x.mean(0) - mean) ** 2)) + own_trace + trace - 2 * overlap)

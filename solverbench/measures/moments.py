"""Mean and covariance, all that a Frechet distance sees of a law: of samples at once or in batches, or known.

Fewer samples than dimensions are kept as a factor of the covariance, C = F F^T, so nothing of size d x d is formed.
Batches are merged by the update of Chan, Golub & LeVeque (1983, equations 2.1 and 2.3), in float64 throughout.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.threads import blas_for

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
_ERRONEOUS = 1e-6
"""What a covariance may be wrong by, relative to its size: it may have been kept in single precision."""


def contrasts(x: Array) -> Array:
    """n - 1 rows Y with Y^T Y the sum of squares of samples x (n, d) about their mean; full rank where it can be.

    The reflection that takes (1, ..., 1) to the first axis, without that axis. Centred samples themselves are n rows
    of rank n - 1, and the square root of a zero that is only 1e-16 is 1e-8.
    """
    centred = x - x.mean(0)
    rows: Array = centred[1:] + centred[0] / (np.sqrt(len(x)) - 1)
    return rows


class Normal:
    """A law's mean (d,) and covariance (d, d), the latter given as itself or as a factor (d, r) with C = F F^T.

    n: the samples they were taken from, None for a law that is known. Raises UsageError for shapes that do not fit,
    numbers that are not finite and what is no covariance: not symmetric or, once it is factored, not positive.
    """

    def __init__(self, mean: Any, covariance: Any = None, *, factor: Any = None, n: int | None = None) -> None:
        self.mean, self.n = np.asarray(mean, np.float64), n
        given = np.asarray(factor if covariance is None else covariance, np.float64)
        d = self.mean.size
        fits = given.ndim == 2 and len(given) == d and (covariance is None or given.shape == (d, d))
        if self.mean.ndim != 1 or not fits:
            raise UsageError(f"a mean of shape {self.mean.shape} does not go with a covariance of {given.shape}")
        if not (np.isfinite(self.mean).all() and np.isfinite(given).all()):
            raise UsageError("mean and covariance must be finite: some samples are not")
        self.low_rank = covariance is None
        if not self.low_rank and np.abs(given - given.T).max(initial=0) > _ERRONEOUS * np.abs(given).max(initial=0):
            raise UsageError("a covariance is symmetric, this one is not")
        self.__dict__["factor" if self.low_rank else "covariance"] = given

    @classmethod
    def of(cls, x: Any) -> Normal:
        """Of samples x (n, d), the covariance divided by n - 1. Raises UsageError for fewer than two samples."""
        x = np.asarray(x, np.float64)
        n, d = sampled(x)
        if n <= d:
            return cls(x.mean(0), factor=contrasts(x).T / np.sqrt(n - 1), n=n)
        centred = x - x.mean(0)
        with blas_for(d):
            return cls(x.mean(0), centred.T @ centred / (n - 1), n=n)

    @property
    def d(self) -> int:
        """Dimensions."""
        return int(self.mean.size)

    @cached_property
    def trace(self) -> float:
        """The trace of the covariance."""
        return float(np.sum(self.factor**2) if self.low_rank else np.trace(self.covariance))

    @cached_property
    def covariance(self) -> Array:
        """C (d, d)."""
        dense: Array = self.factor @ self.factor.T
        return dense

    @cached_property
    def factor(self) -> Array:
        """F (d, r) with F F^T = C, kept for all distances to this law.

        Lower triangular if C is positive definite to working precision. Otherwise of as many columns as C has
        eigenvalues above rounding: the square root of rounding would not be small.
        """
        C, rounding = self.covariance, self.d * np.finfo(np.float64).eps
        with blas_for(self.d):
            try:
                L = np.asarray(np.linalg.cholesky(C), np.float64)
                if L.diagonal().min() ** 2 > rounding * C.diagonal().max():
                    return L
            except np.linalg.LinAlgError:
                pass
            values, vectors = np.linalg.eigh(C)
        if values[0] < -_ERRONEOUS * np.abs(values).max():
            raise UsageError(
                "a covariance is positive semidefinite, this one has an eigenvalue of "
                f"{values[0]:.3g}, the largest being {values[-1]:.3g}"
            )
        kept = values > rounding * max(values[-1], 0.0)
        root: Array = vectors[:, kept] * np.sqrt(values[kept])
        return root

    @cached_property
    def spectrum(self) -> Array:
        """Eigenvalues of C that are not zero by construction, ascending."""
        with blas_for(self.d):
            if self.low_rank:
                return np.asarray(np.linalg.svd(self.factor, compute_uv=False)[::-1] ** 2, np.float64)
            return np.asarray(np.maximum(np.linalg.eigvalsh(self.covariance), 0), np.float64)


class Running:
    """Moments of samples that come in batches (m, d) of any float type; `merge` joins those of several processes."""

    def __init__(self, d: int) -> None:
        self.n, self.mean, self.scatter = 0, np.zeros(d), np.zeros((d, d))

    def add(self, x: Any) -> Running:
        """Take in a batch (m, d), also an empty one. Raises UsageError if it is of another width."""
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise UsageError(f"a batch of shape {x.shape} does not continue features of width {len(self.mean)}")
        if len(x):
            mean = x.mean(0)
            x = x - mean
            with blas_for(len(mean)):
                self._join(len(x), mean, x.T @ x)
        return self

    def merge(self, other: Running) -> Running:
        """Take in what another has seen."""
        if len(other.mean) != len(self.mean):
            raise UsageError(f"moments of width {len(other.mean)} do not merge with those of width {len(self.mean)}")
        self._join(other.n, other.mean, other.scatter)
        return self

    def _join(self, n: int, mean: Array, scatter: Array) -> None:
        total = self.n + n
        if total:
            delta = mean - self.mean
            self.scatter += scatter + np.outer(delta, delta * (self.n * n / total))
            self.mean = self.mean + delta * (n / total)
            self.n = total

    @property
    def normal(self) -> Normal:
        """Mean and covariance so far, the latter divided by n - 1. Raises UsageError for fewer than two samples."""
        _enough(self.n)
        return Normal(self.mean, self.scatter / (self.n - 1), n=self.n)


def flat(x: Any) -> Array:
    """Samples (n, *shape) as a matrix (n, d). Raises UsageError for numbers that are not finite."""
    x = np.asarray(x, np.float64)
    if not np.isfinite(x).all():
        raise UsageError(f"a distance of samples needs finite numbers, got {np.count_nonzero(~np.isfinite(x))} others")
    return np.asarray(x.reshape(len(x), -1))


def sampled(x: Array) -> tuple[int, int]:
    """(n, d) of samples. Raises UsageError if they are no matrix or fewer than two."""
    if x.ndim != 2:
        raise UsageError(f"samples must be of shape (n, d), got {x.shape}")
    _enough(len(x))
    return x.shape[0], x.shape[1]


def _enough(n: int) -> None:
    if n < 2:
        raise UsageError(f"a Frechet distance needs two samples or more, got {n}")

"""Frechet distances of many subsets of one set: for standard errors, differences and the limit of many samples.

Below full rank a distance sees samples x only through inner products: of x with themselves and, with C' between them,
Q = (x - m') C' (x - m')^T. Both are computed once; a subset then costs an eigenproblem of its own size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures import resampling
from solverbench.measures.estimate import Estimate
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Array, Normal, contrasts, sampled
from solverbench.measures.resampling import Index, bootstrap, halves
from solverbench.threads import blas_for


class ToLaw:
    """Squared Frechet distance of the samples x[index] to a law, for any index, repeated numbers included.

    x: (n, d). The law is a `Normal`, or a mean with `trace` and `times`, as `frechet_squared` takes them.
    """

    def __init__(self, x: Any, law: Normal) -> None:
        x = np.asarray(x, np.float64)
        n, d = sampled(x)
        self._law, self._x = law, x
        self._gram: Array | None = None
        if n <= d:
            B = (x - law.mean) @ law.factor
            self._implicit(x - law.mean, law.trace, B @ B.T)

    @classmethod
    def implicit(cls, x: Any, mean: Array, trace: float, times: Callable[[Array], Array]) -> ToLaw:
        """To a law whose covariance is not formed; for sets that do not have many more samples than dimensions."""
        made = cls.__new__(cls)
        centred = np.asarray(x, np.float64) - mean
        sampled(centred)
        gram = times(centred) @ centred.T
        made._implicit(centred, trace, (gram + gram.T) / 2)
        return made

    def _implicit(self, centred: Array, trace: float, gram: Array) -> None:
        self._x, self._trace, self._gram = centred, trace, gram
        self._inner = centred @ centred.T

    def __call__(self, index: Index) -> float:
        if self._gram is None:
            return frechet(Normal.of(self._x[index]), self._law)
        block, m = np.ix_(index, index), len(index)
        apart = float(self._inner[block].mean())
        own = float((self._inner[index, index].sum() - m * apart) / (m - 1))
        with blas_for(m):
            squares = np.linalg.eigvalsh(_both_sides(self._gram[block]) / (m - 1))
        shared = float(np.sqrt(np.maximum(squares, 0)).sum())
        return max(0.0, apart + own + self._trace - 2 * shared)

    def __len__(self) -> int:
        return len(self._x)


class ToPartners:
    """Squared Frechet distance of x[index] to y[index]: two sets from the same starts, resampled together."""

    def __init__(self, x: Any, y: Any) -> None:
        self._x, self._y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if self._x.shape != self._y.shape:
            raise UsageError(f"sets from the same starts have one shape, got {self._x.shape} and {self._y.shape}")
        sampled(self._x)

    def __call__(self, index: Index) -> float:
        return frechet(Normal.of(self._x[index]), Normal.of(self._y[index]))

    def __len__(self) -> int:
        return len(self._x)


def _both_sides(gram: Array) -> Array:
    """The Gram matrix of contrasts from that of samples."""
    return contrasts(contrasts(gram).T)


def at_n(distance: ToLaw | ToPartners, splits: int = 16, seed: int = 0) -> Estimate:
    """The distance of n samples, its bias included, and its standard error by halves: to compare sets of one size."""
    return resampling.at_n(distance, len(distance), splits, seed)[0]


def unbiased(distance: ToLaw | ToPartners, splits: int = 16, seed: int = 0) -> Estimate:
    """The distance with its bias of order 1/n taken out, and its standard error, by halves.

    What is left is of order 1/n^2: little at n above some ten times the dimensions, and most of the value below them.
    """
    return halves(distance, len(distance), splits, seed)


def difference(one: ToLaw, other: ToLaw, replicates: int = 200, seed: int = 0) -> Estimate:
    """How much farther the first set is than the second, both from the same starts: paired bootstrap.

    Raises UsageError if the sets are of different sizes.
    """
    if len(one) != len(other):
        raise UsageError(f"a paired difference is of sets from the same starts, got {len(one)} and {len(other)}")
    return bootstrap(lambda index: one(index) - other(index), len(one), replicates, seed)


def limit(distance: ToLaw, sizes: int = 8, splits: int = 8, seed: int = 0) -> Estimate:
    """FD-infinity (Chong & Forsyth 2020, arXiv 1911.07023, section 3): the distance as a line in 1/n, at 1/n = 0.

    Fitted over `sizes` subset sizes from n/4 to n, evenly spread in 1/n; its standard error is by halves of the whole
    procedure. Raises UsageError for fewer than 32 samples.
    """
    n = len(distance)
    if n < 32:
        raise UsageError(f"an extrapolation to infinitely many samples needs 32 or more, got {n}")
    rng = np.random.default_rng(seed)

    def extrapolated(index: Index) -> float:
        counts = np.unique((len(index) / np.linspace(1, 4, sizes)).astype(int))
        values = [distance(rng.permutation(index)[:count]) for count in counts]
        return float(np.polyfit(1 / counts, values, 1)[1])

    found = halves(extrapolated, n, splits, seed)
    return Estimate(extrapolated(np.arange(n)), n, found.se, f"line in 1/n, {found.method}", found.degrees)

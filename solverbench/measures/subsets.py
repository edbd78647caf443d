"""Frechet distances of many subsets of one set: for standard errors, differences and the limit of many samples.

Below full rank a distance sees samples x only through inner products: of x with themselves and, with C' between them,
Q = (x - m') C' (x - m')^T. Both are computed once; a subset then costs an eigenproblem of its own size, and all sets
that lack one sample together cost one eigenproblem (`deleted`).

A set's distance is nearly a mean over its samples, of contributions that leaving them out one by one tells (the
jackknife: Efron & Stein 1981, Annals of Statistics 9, equation 1.3). So a standard error is that of a mean, and solvers
that share their starts are compared start by start. Nothing is drawn with repetition, as a bootstrap does: a covariance
of fewer distinct samples is another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, cached_property
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.deleted import ROWS, Rows, lost
from solverbench.measures.estimate import Estimate, mean_of, standard_error
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Array, Normal, contrasts, sampled
from solverbench.measures.resampling import Index, halves, pairs
from solverbench.measures.squares import Square
from solverbench.threads import blas_for

_EPS = float(np.finfo(np.float64).eps)


class ToLaw:
    """Squared Frechet distance of the samples x[index] to a law, for any index, repeated numbers included.

    x: (n, d). The law is a `Normal`, or a mean with `trace` and `times`, as `frechet_squared` takes them.
    """

    def __init__(self, x: Any, law: Normal) -> None:
        x = np.asarray(x, np.float64)
        n, d = sampled(x)
        self._law, self._x, self._mean, self._trace = law, x, law.mean, law.trace
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
        self._x, self._mean, self._trace, self._gram = centred, np.zeros(centred.shape[1]), trace, gram
        self._inner = centred @ centred.T

    def __call__(self, index: Index) -> float:
        if self._gram is None:
            return frechet(Normal.of(self._x[index]), self._law)
        block, m = np.ix_(index, index), len(index)
        apart = float(self._inner[block].mean())
        own = float((self._inner[index, index].sum() - m * apart) / (m - 1))
        with blas_for(m):
            squares = np.linalg.eigvalsh(_both_sides(self._gram[block], contrasts) / (m - 1))
        shared = float(np.sqrt(np.maximum(squares, 0)).sum())
        return max(0.0, apart + own + self._trace - 2 * shared)

    def from_whole(self, index: Index) -> float:
        """The distance of the samples x[index] to all of x."""
        return frechet(Normal.of(self._x[index]), self._whole)

    @cached_property
    def _whole(self) -> Normal:
        return Normal.of(self._x)

    def without(self) -> Array:
        """The distances (n,) of the sets without one sample."""
        n, mean = len(self._x), self._x.mean(0)
        own, shift = self._x - mean, mean - self._mean
        if self._gram is None:
            sigma, left = _decomposed(own, self._law.factor)
        else:
            with blas_for(n):
                squares, U = np.linalg.eigh(_both_sides(self._gram, lambda G: G - G.mean(0)))
            squares = np.maximum(squares, 0)
            squares[squares < _EPS * n * squares[-1]] = 0  # at least one is, as samples are centred
            sigma, left = np.sqrt(squares), U.__getitem__
        shared = (sigma.sum() - lost(n, sigma, left)) / math.sqrt(n - 2)
        return np.asarray(_apart(shift, own) + _trace(own) + self._trace - 2 * shared)

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

    def without(self) -> Array:
        """The distances (n,) of the sets without one sample and its partner."""
        n, shift = len(self._x), self._x.mean(0) - self._y.mean(0)
        x, y = self._x - self._x.mean(0), self._y - self._y.mean(0)
        with blas_for(min(x.shape)):
            (P, R), (Q, S) = np.linalg.qr(x), np.linalg.qr(y)
            u, sigma, v = np.linalg.svd(R @ S.T)
        shared = (sigma.sum() - lost(n, sigma, lambda rows: P[rows] @ u, lambda rows: Q[rows] @ v.T)) / (n - 2)
        return np.asarray(_apart(shift, x - y) + _trace(x) + _trace(y) - 2 * shared)

    def __len__(self) -> int:
        return len(self._x)


Distance: TypeAlias = ToLaw | ToPartners


def _decomposed(own: Array, factor: Array) -> tuple[Array, Rows]:
    """Singular values (d,) of own factor, n > d, and U by rows: nothing of its size (n, d) is formed."""
    R = np.empty((0, factor.shape[1]))
    with blas_for(own.shape[1]):
        for start in range(0, len(own), ROWS):
            R = np.asarray(np.linalg.qr(np.concatenate([R, own[start : start + ROWS] @ factor]), mode="r"))
        _, sigma, V = np.linalg.svd(R)
        back = factor @ np.divide(V.T, sigma, where=sigma > _EPS * sigma.max(initial=0), out=np.zeros_like(V))
    return sigma, lambda rows: own[rows] @ back


def _apart(shift: Array, own: Array) -> Array:
    """Squared norms (n,) of a difference of means without what each sample has of its own."""
    n = len(own)
    return np.asarray(shift @ shift - 2 / (n - 1) * (own @ shift) + _squares(own) / (n - 1) ** 2)


def _trace(own: Array) -> Array:
    """The trace of the covariance without each sample, from centred ones (n, d)."""
    n, squares = len(own), _squares(own)
    return np.asarray((squares.sum() - n / (n - 1) * squares) / (n - 2))


def _squares(own: Array) -> Array:
    return np.asarray(np.einsum("ij,ij->i", own, own))


def _both_sides(gram: Array, of: Callable[[Array], Array]) -> Array:
    """The Gram matrix of a linear function of samples from that of the samples."""
    return of(of(gram).T)


def contributions(distance: Distance) -> Array:
    """What each sample contributes (n,), with the distance as mean: as far as it is one, these are its terms.

    Raises UsageError for fewer than four samples.
    """
    value, without = _left_out(distance)
    return np.asarray(value + (len(distance) - 1) * (without.mean() - without))


def at_n(distance: Distance) -> Estimate:
    """The distance of n samples, its bias included, and its standard error: to compare sets of one size."""
    return mean_of(contributions(distance), "jackknife")


def unbiased(distance: ToLaw, splits: int = 16, seed: int = 0) -> Estimate:
    """The distance with its bias of order 1/n taken out (Quenouille 1956), and its standard error.

    What is left is of order 1/n^2: little at n above some ten times the dimensions, and most of the value below them.
    The interval is that of a squared distance (`squares`); only asking for it takes the distances of 2 `splits` halves
    from the law and from the whole set.
    """
    whole, without = _left_out(distance)
    n = len(distance)
    value, terms = n * whole - (n - 1) * float(without.mean()), whole + (n - 1) * (without.mean() - without)

    @cache
    def square() -> Square:
        both = chain.from_iterable(pairs(n, splits, np.random.default_rng(seed)))
        apart, own = np.array([(distance.from_whole(half), distance(half)) for half in both]).T
        return Square(whole, value, apart, own, terms)

    method = "jackknife, bias of order 1/n taken out"
    return Estimate(value, n, standard_error(terms), method, n - 1, bounds=lambda level: square().bounds(level))


def _left_out(distance: Distance) -> tuple[float, Array]:
    """(of all samples, of all but each (n,))."""
    if (n := len(distance)) < 4:
        raise UsageError(f"a standard error by leaving samples out needs four samples or more, got {n}")
    return distance(np.arange(n)), distance.without()


def difference(one: Distance, other: Distance) -> Estimate:
    """How much farther the first set is than the second, both from the same starts: paired jackknife.

    Raises UsageError if the sets are of different sizes.
    """
    if len(one) != len(other):
        raise UsageError(f"a paired difference is of sets from the same starts, got {len(one)} and {len(other)}")
    return mean_of(contributions(one) - contributions(other), "paired jackknife")


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

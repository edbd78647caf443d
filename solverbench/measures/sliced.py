"""Sliced Wasserstein-2 distance: the mean over directions of the squared W2 between one-dimensional projections.

Along a direction W2 compares quantiles. A mixture's projections are one-dimensional mixtures, so its quantiles are
exact and only the samples are noisy. Of Rabin et al. (2011, SSVM, section 2). Directions depend on the seed alone: all
samples are seen along the same ones, and what the choice of directions adds is not in the standard error.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate, standard_error
from solverbench.measures.moments import Array, flat
from solverbench.measures.resampling import pairs
from solverbench.measures.squares import Square, cells

if TYPE_CHECKING:
    from solverbench.fields.mixture import Mixture


_REACH = 38.0
"""Standard deviations beyond which a normal law has no mass in float64."""
SPLITS = 50
"""Into halves."""


class SlicedLaw:
    """A mixture's quantiles along `count` random directions."""

    def __init__(self, field: Mixture, count: int = 128, seed: int = 0) -> None:
        from solverbench.measures.expectations import projected

        self.directions = directions(field.shape, count, seed)
        self._weights = field.weights
        self._means, self._stds = projected(field, self.directions)
        self.quantiles = cache(self._quantiles)

    def _quantiles(self, n: int) -> Array:
        """(n, L): where the distribution functions are (i - 1/2)/n, by bisection."""
        level = ((np.arange(n) + 0.5) / n)[:, None]
        low = np.broadcast_to((self._means - _REACH * self._stds).min(0), (n, self._means.shape[1]))
        high = np.broadcast_to((self._means + _REACH * self._stds).max(0), low.shape)
        stds = np.maximum(self._stds, 1e-300)
        for _ in range(48):
            middle = (low + high) / 2
            mass = np.zeros_like(middle)
            for w, m, s in zip(self._weights, self._means, stds, strict=True):
                mass += w * ndtr((middle - m) / s)
            below = mass < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found: Array = (low + high) / 2
        return found


def sliced_w2(x: Any, law: SlicedLaw, splits: int = SPLITS, seed: int = 0) -> Estimate:
    """Squared sliced W2 of samples x (n, *shape) to the law, less its bias as far as halves tell it (`squares`).

    splits: pairs of halves. Raises UsageError for fewer than four samples and for numbers that are not finite.
    """
    P = _along(x, law.directions)
    S = np.sort(P, axis=0)
    return _square([(P, S, S - law.quantiles(len(P)))], splits, seed)


def sliced_w2_of_sets(
    x: Any, y: Any, count: int = 128, splits: int = SPLITS, seed: int = 0, paired: bool = False
) -> Estimate:
    """Squared sliced W2 of two sets of one shape (n, *shape), less its bias as far as halves tell it (`squares`).

    splits: pairs of halves. paired: whether x[i] and y[i] come from the same start, and are resampled together; else y
    is permuted first. Raises UsageError for sets of different shapes, fewer than four samples, and numbers that are not
    finite.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape:
        raise UsageError(f"sliced W2 needs two sets of one shape, got {x.shape} and {y.shape}")
    if not paired:
        y = np.random.default_rng(seed).permutation(y)
    theta = directions(x.shape[1:], count, seed)
    P, Q = _along(x, theta), _along(y, theta)
    S, R = np.sort(P, axis=0), np.sort(Q, axis=0)
    return _square([(P, S, S - R), (Q, R, R - S)], splits, seed)


def _along(x: Any, theta: Array) -> Array:
    """Projections (n, L)."""
    return np.asarray(flat(x) @ theta.reshape(len(theta), -1).T)


def _square(sides: list[tuple[Array, Array, Array]], splits: int, seed: int) -> Estimate:
    """Of one set or two: (projections, the same in order, how far these quantiles are beyond the other law's), each
    (n, L)."""
    D = sides[0][2]
    n = len(D)
    h = n // 2
    whole, coarse = [cells(S, h) for _, S, _ in sides], cells(D, h)
    T, finer = float(np.mean(D * D)), float(np.mean(D * D) - np.mean(coarse * coarse))
    apart, own = [], []
    for half in chain.from_iterable(pairs(n, splits, np.random.default_rng(seed))):
        first, *second = (np.sort(P[half], axis=0) - mean for (P, _, _), mean in zip(sides, whole, strict=True))
        e = first - sum(second)
        apart.append(np.mean(e * e))
        own.append(np.mean((coarse + e) ** 2) + finer)
    terms, value = np.asarray(sum(_potential(*side).mean(axis=1) for side in sides)), 2 * T - float(np.mean(own))
    bounds = Square(T, value, np.array(apart), np.array(own), terms).bounds
    method = f"potentials, bias by {splits} pairs of halves taken out"
    return Estimate(value, n, standard_error(terms), method, n - 1, bounds=bounds)


def _potential(P: Array, S: Array, D: Array) -> Array:
    """Kantorovich's potential at the samples (n, L), with slope 2D: W2 squared changes as its mean does (del Barrio &
    Loubes 2019, Annals of Probability 47, 926)."""
    rise = np.cumsum((D[1:] + D[:-1]) * np.diff(S, axis=0), axis=0)
    found = np.empty_like(P)
    np.put_along_axis(found, np.argsort(P, axis=0), np.concatenate([np.zeros_like(D[:1]), rise]), axis=0)
    return found


def directions(shape: tuple[int, ...], count: int, seed: int) -> Array:
    """Unit vectors (count, *shape), uniform on the sphere, the same for a seed whatever their number."""
    theta = np.random.default_rng(seed).normal(size=(count, int(np.prod(shape))))
    unit: Array = (theta / np.linalg.norm(theta, axis=1, keepdims=True)).reshape(count, *shape)
    return unit

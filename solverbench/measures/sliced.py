"""Sliced Wasserstein-2 distance: the mean over directions of the squared W2 between one-dimensional projections.

Along a direction W2 compares quantiles. A mixture's projections are one-dimensional mixtures, so its quantiles are
exact and only the samples are noisy. Of Rabin et al. (2011, SSVM, section 2). Directions depend on the seed alone: all
samples are seen along the same ones, and what the choice of directions adds is not in the standard error.

Samples too many by sqrt n in one of two modes go all the way to the other, which adds to the square in the order
1/sqrt n rather than 1/n: of that bias halves leave 2 - sqrt 2.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate
from solverbench.measures.moments import Array
from solverbench.measures.resampling import Index, halves_of_square

if TYPE_CHECKING:
    from solverbench.fields.mixture import Mixture


_REACH = 38.0
"""Standard deviations beyond which a normal law has no mass in float64."""


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


def sliced_w2(x: Any, law: SlicedLaw, splits: int = 16, seed: int = 0) -> Estimate:
    """Squared sliced W2 of samples x (n, *shape) to the law, its bias of order 1/n taken out, by halves."""
    P = np.asarray(x, np.float64).reshape(len(x), -1) @ law.directions.reshape(len(law.directions), -1).T

    def difference(index: Index) -> Array:
        return np.sort(P[index], axis=0) - law.quantiles(len(index))

    return halves_of_square(difference, len(P), splits, seed)


def sliced_w2_of_sets(
    x: Any, y: Any, count: int = 128, splits: int = 16, seed: int = 0, paired: bool = False
) -> Estimate:
    """Squared sliced W2 of two sets of one shape (n, *shape), its bias taken out, by halves.

    paired: whether x[i] and y[i] come from the same start, and are resampled together; else y is permuted first.
    Raises UsageError for sets of different shapes.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape:
        raise UsageError(f"sliced W2 needs two sets of one shape, got {x.shape} and {y.shape}")
    if not paired:
        y = np.random.default_rng(seed).permutation(y)
    theta = directions(x.shape[1:], count, seed).reshape(count, -1).T
    P, Q = (z.reshape(len(z), -1) @ theta for z in (x, y))

    def difference(index: Index) -> Array:
        found: Array = np.sort(P[index], axis=0) - np.sort(Q[index], axis=0)
        return found

    return halves_of_square(difference, len(P), splits, seed)


def directions(shape: tuple[int, ...], count: int, seed: int) -> Array:
    """Unit vectors (count, *shape), uniform on the sphere, the same for a seed whatever their number."""
    theta = np.random.default_rng(seed).normal(size=(count, int(np.prod(shape))))
    unit: Array = (theta / np.linalg.norm(theta, axis=1, keepdims=True)).reshape(count, *shape)
    return unit

"""Intervals of squared distances, which are too large by their noise and vary the more, the larger they are.

The distance of n samples is T = |delta + e|^2, where |delta|^2 is the true one and e the samples' error, of which
Student's interval knows only the part 2 delta.e. A test by the law that T has at each true value is right near zero
too, and what it does not reject is an interval (Wilson 1927, JASA 22).

That law is told by halves, drawn without repetition (`resampling`). With 1/h - 1/n = 1/n for h = n/2, a half differs
from the whole as the whole does from the truth, so its distance *from the whole* is a draw of |e|^2, as T is where the
true value is 0, and its distance from the law one of |delta + e|^2, as T is where the true value is what T was found to
be. So it is also where e is no mean over the samples: too many of them by sqrt n in one of two distant modes go all the
way to the other, which adds to T in the order of 1/sqrt n rather than 1/n. Of laws with heavy tails the samples do not
show all of the error, and T is said to be too large more often.

No true value is below zero, nor is an end of such an interval; the value without bias may be, and then lies outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, stdtrit

from solverbench.measures.estimate import standard_error
from solverbench.measures.moments import Array

_HALVINGS = 40
"""Of the range in which an end of an interval is looked for."""


@dataclass(frozen=True)
class Square:
    """A squared distance of n samples, with what halves of them and each of them say of its error."""

    whole: float
    """T, its noise included."""
    value: float
    """Without the bias."""
    apart: Array
    """Squared distances (k,) of halves from the whole."""
    halves: Array
    """The halves' own distances (k,)."""
    terms: Array
    """(n,): T changes as their mean does, to first order."""

    def bounds(self, level: float) -> tuple[float, float]:
        """The ends of an interval of true values. Below, where T would be too large; above, the farther of where the
        value would be too small, by its variance there, and of Student's for T, right where T is linear in the samples.
        """
        q = float(stdtrit(len(self.terms) - 1, (1 + level) / 2))
        se = standard_error(self.terms)
        growth = se * se / self.whole if self.whole else 0.0
        above = score(self.value, float(self.apart.var(ddof=1)), growth, q)[1]
        return self._below(level), max(above, self.whole + q * se)

    def _below(self, level: float) -> float:
        """The least true value at which T is no more than its law's quantile, by bisection.

        Mean and variance of T are in proportion between those at 0 and at T; the law is the multiple of a chi-square
        that has them (Patnaik 1949, Biometrika 36, 202).
        """
        from_whole, from_law = ((d.mean(), d.var(ddof=1)) for d in (self.apart, self.halves))

        def beyond(share: float) -> bool:
            mean, variance = ((1 - share) * a + share * b for a, b in zip(from_whole, from_law, strict=True))
            return bool(self.whole > _quantile(float(mean), float(variance), level))

        if not beyond(0.0):
            return 0.0
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if beyond(middle) else (low, middle)
        return high * self.whole


def _quantile(mean: float, variance: float, level: float) -> float:
    """The upper end of a chi-square's multiple of this mean and variance; the mean where nothing varies."""
    degrees = 2 * mean**2 / variance if variance > 0 else math.inf
    return mean * float(chdtri(degrees, (1 - level) / 2)) / degrees if math.isfinite(degrees) else mean


def score(value: float, rest: float, growth: float, q: float) -> tuple[float, float]:
    """The ends of all true v that a value of variance rest + growth v is within q standard deviations of."""
    middle = q * q * growth / 2
    half = math.sqrt(max(q * q * (rest + growth * value) + middle * middle, 0.0))
    return value + middle - half, value + middle + half


def cells(quantiles: Array, h: int) -> Array:
    """Means (h, ...) of the step function with n steps (n, ...) over h cells of equal width."""
    n = len(quantiles)
    area = np.concatenate([np.zeros_like(quantiles[:1]), np.cumsum(quantiles, axis=0)])
    place = np.arange(h + 1) * n / h
    k = np.minimum(place.astype(int), n - 1)
    part = (place - k).reshape(-1, *[1] * (quantiles.ndim - 1))
    return np.asarray(np.diff(area[k] + part * quantiles[k], axis=0) * (h / n))

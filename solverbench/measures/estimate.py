"""A sampled number is never alone: with it go how many samples it is of, its standard error, and how that was found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from solverbench.measures.skewed import reach, skewness


@dataclass(frozen=True)
class Estimate:
    """A value from n samples, its standard error, and the method of both in words."""

    value: float
    n: int
    se: float
    method: str
    degrees: float = math.inf
    """Degrees of freedom of the standard error: how many independent pieces it was found from, less one."""
    variance: tuple[float, float, float] | None = None
    """(a, b, c) of a squared distance, whose variance is max(a + b v, c) if it truly is v: one that came out small has
    a standard error that is too small."""
    skewness: float = 0.0
    """Of the n terms that it is the mean of."""
    of: tuple[Estimate, Callable[[float], float]] | None = None
    """(mean, f) of what is a monotone function of a mean; its interval ends where f of the mean's does."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """(low, high) by Student's t, farther where the tail of skewed terms is (`measures.skewed`).

        All of the line where there is no standard error. With `variance` it is of the true values v that a test by
        their own variance would not reject, |value - v| <= q sqrt(max(a + b v, c)): a score interval (Wilson 1927,
        JASA 22).
        """
        from scipy.stats import t

        if self.of is not None:
            mean, f = self.of
            low, high = sorted(map(f, mean.interval(level)))
            return low, high
        if math.isnan(self.se):
            return -math.inf, math.inf
        q = float(t.ppf((1 + level) / 2, self.degrees))
        if self.variance is None:
            below, above = reach(q, self.skewness, self.n)
            return self.value - below * self.se, self.value + above * self.se
        a, b, c = self.variance
        middle, least = q * q * b / 2, q * math.sqrt(c)
        half = math.sqrt(max(q * q * (a + b * self.value) + middle * middle, 0))
        return self.value + min(middle - half, -least), self.value + max(middle + half, least)

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.se:.2g} (n = {self.n}, {self.method})"


def mean_of(terms: Any, method: str = "mean of samples") -> Estimate:
    """The mean of terms (n,), with its standard error; of one term that is nan."""
    values = np.asarray(terms, np.float64)
    n, se = len(values), standard_error(values)
    return Estimate(float(values.mean()), n, se, method, n - 1, skewness=float(skewness(values)))


def function_of(mean: Estimate, f: Callable[[float], float], slope: float) -> Estimate:
    """f(mean), f monotone and of this slope at the mean, to which its standard error is of first order."""
    se = abs(slope) * mean.se if mean.se else 0.0
    return Estimate(f(mean.value), mean.n, se, mean.method, mean.degrees, of=(mean, f))


def standard_error(terms: Any) -> float:
    """Of the mean of terms (n,)."""
    return float(np.std(terms, ddof=1)) / math.sqrt(len(terms)) if len(terms) > 1 else math.nan
